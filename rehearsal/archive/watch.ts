/** Looks at the archive from outside: how far behind it is at every moment, what is put into it, and at the end where it has holes. */
import { S3Client } from '@aws-sdk/client-s3';
import { awsBucket } from '../../lambdas/cloud/aws-bucket.ts';
import { systemClock } from '../../lambdas/cloud/clock.ts';
import type { ArchiveBucket } from '../../lambdas/cloud/ports.ts';
import { parseKey } from '../../lambdas/model/archive/keys.ts';
import { restorableRanges } from '../../lambdas/model/archive/ranges.ts';
import { parseTimelineHistory } from '../../lambdas/model/archive/timeline.ts';
import type { TimelineHistory } from '../../lambdas/model/archive/timeline.ts';
import type { Cloud } from '../cloud/cloud.ts';

/** For the report. */
export interface ArchiveFigures {
  /** Now less the moment up to which all that was acknowledged is in S3, looked at ten times a second. */
  readonly rpoMsP50: number | null;
  readonly rpoMsP99: number | null;
  readonly bytes: number;
  readonly objects: number;
  readonly gaps: number;
}

export interface ArchiveWatch {
  readonly bucket: ArchiveBucket;
  readonly bucketName: string;
  /** Forgets the lag so far: the scenario starts here. */
  reset(): void;
  /** From now on nobody can write: how far the archive is behind is measured no more. */
  noMoreWrites(): void;
  /** Up to when everything is in S3, epoch ms; null before the first object that says so. */
  coveredMs(): number | null;
  /** A base backup is there. */
  hasBackup(): boolean;
  figures(): Promise<ArchiveFigures>;
  stop(): void;
}

const LOOK_EVERY_MS = 100;

/** `values` need no order; null when there are none. */
export function percentile(values: readonly number[], share: number): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
}

const MAKES_AN_OBJECT = ['PutObject', 'CompleteMultipartUpload'] as const;

/** Of one cluster's archive. `bucketName`: where it is. */
export function watchArchive(cloud: Cloud, cluster: string, bucketName: string): ArchiveWatch {
  const s3 = new S3Client(cloud.adminConfig);
  const bucket = awsBucket(() => s3, bucketName, systemClock);
  let covered: number | null = null;
  let backups = 0;
  let lags: number[] = [];
  const removals = MAKES_AN_OBJECT.map((operation) =>
    cloud.use({
      service: 's3',
      operation,
      after({ params }, response) {
        if (response.status >= 300 || params['Bucket'] !== bucketName) return undefined;
        const parsed = parseKey(String(params['Key']));
        if (parsed?.place.cluster !== cluster) return undefined;
        const { object } = parsed;
        if (object.kind === 'manifest') backups += 1;
        if (object.kind === 'wal' || object.kind === 'binlog') covered = Math.max(covered ?? 0, object.coveredMs);
        return undefined;
      },
    }),
  );
  const timer = setInterval(() => {
    if (covered !== null && covered > 0) lags.push(Date.now() - covered);
  }, LOOK_EVERY_MS);
  return {
    bucket,
    bucketName,
    reset: () => void (lags = []),
    noMoreWrites: () => clearInterval(timer),
    coveredMs: () => covered,
    hasBackup: () => backups > 0,
    figures: async () => {
      const [p50, p99] = [percentile(lags, 0.5), percentile(lags, 0.99)];
      return { rpoMsP50: p50, rpoMsP99: p99, ...(await contents(bucket, cluster)) };
    },
    stop: () => {
      clearInterval(timer);
      for (const remove of removals) remove();
      s3.destroy();
    },
  };
}

async function contents(
  bucket: ArchiveBucket,
  cluster: string,
): Promise<Pick<ArchiveFigures, 'bytes' | 'objects' | 'gaps'>> {
  const listing = [];
  const files = new Map<string, TimelineHistory>();
  for await (const object of bucket.list(`${cluster}/`)) {
    listing.push(object);
    const named = parseKey(object.key)?.object;
    if (named?.kind !== 'history') continue;
    const text = Buffer.from((await bucket.get(object.key)) ?? []).toString('utf8');
    files.set(object.key, parseTimelineHistory(named.timeline, text));
  }
  const histories = restorableRanges(listing, files);
  return {
    bytes: listing.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    objects: listing.length,
    gaps: histories.reduce((sum, { holes }) => sum + holes.length, 0),
  };
}
