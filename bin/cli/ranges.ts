/** `rejoin ranges`: reads the bucket's listing, and says what it means. */
import { GetObjectCommand, S3Client, paginateListObjectsV2 } from '@aws-sdk/client-s3';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import type { Listed } from '../../lambdas/model/archive/catalogue.ts';
import { parseKey } from '../../lambdas/model/archive/keys.ts';
import { restorableRanges } from '../../lambdas/model/archive/ranges.ts';
import type { TimelineHistory } from '../../lambdas/model/archive/timeline.ts';
import { parseTimelineHistory } from '../../lambdas/model/archive/timeline.ts';
import { SPEC_PREFIX, describeProblems, parseSpec } from '../../lambdas/model/spec.ts';
import { rangesTold } from './words.ts';

export async function showRanges({
  cluster,
  json,
}: {
  readonly cluster: string;
  readonly json?: boolean;
}): Promise<void> {
  const bucket = await bucketOf(cluster);
  const s3 = new S3Client({});
  const listing: Listed[] = [];
  for await (const page of paginateListObjectsV2({ client: s3 }, { Bucket: bucket, Prefix: `${cluster}/` })) {
    for (const { Key, Size = 0 } of page.Contents ?? [])
      if (Key !== undefined) listing.push({ key: Key, sizeBytes: Size });
  }
  const files = new Map<string, TimelineHistory>();
  for (const { key } of listing) {
    const object = parseKey(key)?.object;
    if (object?.kind !== 'history') continue;
    const answer = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    files.set(key, parseTimelineHistory(object.timeline, (await answer.Body?.transformToString()) ?? ''));
  }
  const found = restorableRanges(listing, files);
  // A GTID position is a Map with big numbers, which JSON has not.
  console.log(
    json === true
      ? JSON.stringify(
          found.map(({ ranges, ...h }) => ({ ...h, ranges: ranges.map(({ end: _, ...r }) => r) })),
          null,
          2,
        )
      : rangesTold(cluster, found),
  );
}

async function bucketOf(cluster: string): Promise<string> {
  const name = `${SPEC_PREFIX}${cluster}`;
  const answer = await new SSMClient({}).send(new GetParameterCommand({ Name: name }));
  const parsed = parseSpec(JSON.parse(answer.Parameter?.Value ?? 'null'));
  if (!parsed.ok) throw new Error(describeProblems(cluster, parsed.problems));
  if (parsed.spec.archive === undefined)
    throw new Error(`${cluster} has no archive: declare it with \`archive\` (docs/deploy.md)`);
  return parsed.spec.archive.bucket;
}
