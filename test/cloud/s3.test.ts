/** S3 through the gateway, as the archive uses it: nothing is overwritten, bodies are what they are said to be, parts are listed. */
import { createHash } from 'node:crypto';
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud } from './cloud-harness.ts';
import type { TestCloud } from './cloud-harness.ts';

const Bucket = 'archive';
const FIVE_MIB = 5 * 1024 * 1024;
let test: TestCloud;
let s3: S3Client;

beforeAll(async () => {
  test = await startTestCloud();
  s3 = new S3Client(test.cloud.adminConfig);
  await s3.send(new CreateBucketCommand({ Bucket, CreateBucketConfiguration: { LocationConstraint: 'eu-west-1' } }));
});
afterAll(async () => {
  s3.destroy();
  await test.stop();
});

/** Every byte there is, and not in a pattern that a text survives. */
const bytes = (length: number, seed: number): Buffer => {
  const out = Buffer.alloc(length);
  for (let i = 0, x = seed; i < length; i++) out[i] = x = (x * 1103515245 + 12345) & 0xff;
  return out;
};
const sha256 = (body: Buffer): string => createHash('sha256').update(body).digest('base64');
const named = (work: Promise<unknown>): Promise<string | null> =>
  work.then(
    () => null,
    (error: unknown) => (error as Error).name,
  );

async function upload(Key: string, parts: readonly Buffer[]) {
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ChecksumAlgorithm: 'SHA256' }));
  const sent = [];
  for (const [i, Body] of parts.entries()) {
    const part = { Bucket, Key, UploadId, PartNumber: i + 1, Body, ChecksumSHA256: sha256(Body) };
    const { ETag } = await s3.send(new UploadPartCommand(part));
    sent.push({ PartNumber: i + 1, ETag, ChecksumSHA256: sha256(Body) });
  }
  return { UploadId, parts: sent };
}

describe('an object', () => {
  it('comes back byte by byte, whole and in ranges, under any key of the archive', async () => {
    const Key = 'orders/0f4e-1/binlog/0-1-00000000000000000270,1-1-3_none_i-0a~binlog.000001~4.zst';
    const Body = bytes(300_000, 7);
    await s3.send(new PutObjectCommand({ Bucket, Key, Body, IfNoneMatch: '*' }));
    const whole = await s3.send(new GetObjectCommand({ Bucket, Key }));
    expect(Buffer.from(await whole.Body!.transformToByteArray()).equals(Body)).toBe(true);
    const range = await s3.send(new GetObjectCommand({ Bucket, Key, Range: 'bytes=1000-1999' }));
    expect(Buffer.from(await range.Body!.transformToByteArray()).equals(Body.subarray(1000, 2000))).toBe(true);
  });

  it('is not overwritten, neither by a put nor by the end of an upload', async () => {
    const put = (text: string) => s3.send(new PutObjectCommand({ Bucket, Key: 'once', Body: text, IfNoneMatch: '*' }));
    await put('first');
    expect(await named(put('second'))).toBe('PreconditionFailed');
    const { UploadId, parts } = await upload('once', [bytes(100, 1)]);
    const end = { Bucket, Key: 'once', UploadId, IfNoneMatch: '*', MultipartUpload: { Parts: parts } };
    expect(await named(s3.send(new CompleteMultipartUploadCommand(end)))).toBe('PreconditionFailed');
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: 'once' }));
    expect(await Body!.transformToString()).toBe('first');
  });

  it.each(['ChecksumSHA256', 'ChecksumCRC32'] as const)('that is not what %s says is refused', async (checksum) => {
    const wrong = { [checksum]: checksum === 'ChecksumCRC32' ? 'AAAAAA==' : sha256(bytes(1, 1)) };
    const put = new PutObjectCommand({ Bucket, Key: checksum, Body: 'what it is', ...wrong });
    expect(await named(s3.send(put))).toBe('BadDigest');
    expect(await named(s3.send(new GetObjectCommand({ Bucket, Key: checksum })))).toBe('NoSuchKey');
  });
});

describe('an upload in parts', () => {
  it('lists its parts with their SHA-256, and is the parts in order when it ends', async () => {
    const bodies = [bytes(FIVE_MIB, 3), bytes(1234, 4)];
    const { UploadId, parts } = await upload('parts', bodies);
    const listed = await s3.send(new ListPartsCommand({ Bucket, Key: 'parts', UploadId }));
    expect(listed.Parts?.map((p) => [p.PartNumber, p.Size, p.ChecksumSHA256])).toEqual(
      bodies.map((body, i) => [i + 1, body.length, sha256(body)]),
    );
    const end = { Bucket, Key: 'parts', UploadId, IfNoneMatch: '*', MultipartUpload: { Parts: parts } };
    await s3.send(new CompleteMultipartUploadCommand(end));
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: 'parts' }));
    expect(Buffer.from(await Body!.transformToByteArray()).equals(Buffer.concat(bodies))).toBe(true);
  });

  it('refuses a part that is not what its checksum says', async () => {
    const { UploadId } = await upload('bad', []);
    const part = { Bucket, Key: 'bad', UploadId, PartNumber: 1, Body: 'x', ChecksumSHA256: sha256(bytes(1, 1)) };
    expect(await named(s3.send(new UploadPartCommand(part)))).toBe('BadDigest');
  });
});
