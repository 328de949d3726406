/** What S3 says and moto does not: conflicts, throttling, pages, checksums of parts. */
import { S3Client } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { awsBucket } from '../../lambdas/cloud/aws-bucket.ts';
import type { ArchiveBucket } from '../../lambdas/cloud/ports.ts';
import { CloudUnavailable } from '../../lambdas/cloud/ports.ts';
import { FakeClock } from '../fakes/index.ts';
import type { Answer } from './recorded.ts';
import { useRecorded } from './recorded.ts';

const recorded = useRecorded();
const KEY = 'orders/7/wal/00000001/a.zst';
const body = new TextEncoder().encode('log');

const xml = (name: string, inside: string): string => `<?xml version="1.0"?><${name}>${inside}</${name}>`;
const error = (status: number, code: string): Answer => ({
  status,
  body: xml('Error', `<Code>${code}</Code><Message>m</Message>`),
});
const stored: Answer = { body: '', headers: { etag: '"e"' } };

async function bucketThatAnswers(
  ...answers: [Answer, ...Answer[]]
): Promise<{ readonly bucket: ArchiveBucket; readonly requests: readonly unknown[] }> {
  const { config, requests } = await recorded(answers);
  const client = new S3Client({ ...config, forcePathStyle: true });
  return { bucket: awsBucket(() => client, 'archive', new FakeClock()), requests };
}

describe('ArchiveBucket', () => {
  it('an object that another is writing at this moment is written again until that is settled', async () => {
    const conflict = error(409, 'ConditionalRequestConflict');
    const { bucket, requests } = await bucketThatAnswers(conflict, conflict, stored);
    expect(await bucket.put(KEY, body)).toBe('stored');
    expect(requests).toHaveLength(3);
  });

  it('and when the other one was first, it exists', async () => {
    const { bucket } = await bucketThatAnswers(
      error(409, 'ConditionalRequestConflict'),
      error(412, 'PreconditionFailed'),
    );
    expect(await bucket.put(KEY, body)).toBe('exists');
  });

  it('a conflict that does not settle is no answer: nobody may take the object for stored', async () => {
    const { bucket, requests } = await bucketThatAnswers(error(409, 'ConditionalRequestConflict'));
    await expect(bucket.put(KEY, body)).rejects.toBeInstanceOf(CloudUnavailable);
    expect(requests).toHaveLength(5);
  });

  it.each([
    ['throttling', error(503, 'SlowDown')],
    ['a failure of its own', error(500, 'InternalError')],
  ])('%s is CloudUnavailable, naming the call', async (_what, answer) => {
    const { bucket } = await bucketThatAnswers(answer);
    const put = bucket.put(KEY, body);
    await expect(put).rejects.toBeInstanceOf(CloudUnavailable);
    await expect(put).rejects.toThrow(/s3:PutObject/);
  });

  it('a refusal is the error that S3 gave', async () => {
    const { bucket } = await bucketThatAnswers(error(403, 'AccessDenied'));
    await expect(bucket.put(KEY, body)).rejects.toMatchObject({ name: 'AccessDenied' });
  });

  it('a listing is read over all pages', async () => {
    const item = (key: string) => `<Contents><Key>${key}</Key><Size>5</Size></Contents>`;
    const { bucket, requests } = await bucketThatAnswers(
      { body: xml('ListBucketResult', `${item('a')}${item('b')}<NextContinuationToken>n</NextContinuationToken>`) },
      { body: xml('ListBucketResult', item('c')) },
    );
    const keys: string[] = [];
    for await (const { key } of bucket.list('', { after: '0' })) keys.push(key);
    expect(keys).toEqual(['a', 'b', 'c']);
    expect(requests[0]).toMatch(/start-after=0/);
    expect(requests[1]).toMatch(/continuation-token=n/);
  });

  it('parts are listed with the SHA-256 that S3 has verified', async () => {
    const part = '<PartNumber>1</PartNumber><ETag>"e"</ETag><Size>3</Size>';
    const sum = `<ChecksumSHA256>${Buffer.from('ab'.repeat(32), 'hex').toString('base64')}</ChecksumSHA256>`;
    const { bucket } = await bucketThatAnswers({ body: xml('ListPartsResult', `<Part>${part}${sum}</Part>`) });
    expect(await bucket.parts(KEY, 'u')).toEqual([{ number: 1, etag: '"e"', sizeBytes: 3, sha256: 'ab'.repeat(32) }]);
  });

  it('an upload that S3 knows no more is completed if the object is there', async () => {
    const gone = error(404, 'NoSuchUpload');
    const there = { body: xml('ListBucketResult', `<Contents><Key>${KEY}</Key><Size>5</Size></Contents>`) };
    const part = { number: 1, etag: '"e"', sizeBytes: 5, sha256: null };
    const completed = await bucketThatAnswers(gone, there);
    expect(await completed.bucket.completeUpload(KEY, 'u', [part])).toBe('exists');
    const lost = await bucketThatAnswers(gone, { body: xml('ListBucketResult', '') });
    await expect(lost.bucket.completeUpload(KEY, 'u', [part])).rejects.toMatchObject({ name: 'NoSuchUpload' });
  });

  it('keys that could not be removed are an error naming the first', async () => {
    const failed = '<Error><Key>a</Key><Code>AccessDenied</Code><Message>locked</Message></Error>';
    const { bucket } = await bucketThatAnswers({ body: xml('DeleteResult', failed) });
    await expect(bucket.remove(['a', 'b'])).rejects.toThrow(/left 1 of 2: a: AccessDenied locked/);
  });
});
