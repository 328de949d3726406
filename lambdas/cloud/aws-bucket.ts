import { createHash } from 'node:crypto';
import type { CompletedPart, ListObjectsV2CommandOutput, S3Client } from '@aws-sdk/client-s3';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { Lazy } from './clients.ts';
import { aws, isCode } from './errors.ts';
import { everyPage, inBatches } from './pages.ts';
import type { ArchiveBucket, Clock, UploadedPart } from './ports.ts';
import { CloudUnavailable } from './ports.ts';

/** As many as S3 takes in one DeleteObjects. */
const KEYS_PER_DELETE = 1000;
/** Another write of the same key was under way (409): how often it is tried again, from how long after, doubling. */
const RACES = { attempts: 5, firstMs: 50 } as const;

const base64 = (hex: string): string => Buffer.from(hex, 'hex').toString('base64');
const hexOf = (text: string): string => Buffer.from(text, 'base64').toString('hex');

/**
 * A body is not part of its request's signature: its own checksum, which S3 verifies, and TLS say that it came as it was sent. The
 * SDK would hash all of it once more, on the main thread, at each attempt.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
function withUnsignedBodies(client: S3Client): S3Client {
  client.middlewareStack.add(
    (next) => (args) => {
      const { body, headers } = args.request as { readonly body?: unknown; readonly headers: Record<string, string> };
      if (body instanceof Uint8Array) headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
      return next(args);
    },
    { step: 'build', name: 'unsignedBodies', override: true },
  );
  return client;
}

/**
 * The archive's bucket on S3. Every body is verified by S3 when it comes: objects by CRC-32, parts by SHA-256, which is
 * also what a base backup's manifest has of them. Errors as in `errors.ts`.
 */
export function awsBucket(given: Lazy<S3Client>, bucket: string, clock: Clock): ArchiveBucket {
  let made: S3Client | undefined;
  const s3 = (): S3Client => (made ??= withUnsignedBodies(given()));
  const page = (
    input: Omit<ConstructorParameters<typeof ListObjectsV2Command>[0], 'Bucket'>,
  ): Promise<ListObjectsV2CommandOutput> =>
    aws('s3:ListBucket', () => s3().send(new ListObjectsV2Command({ Bucket: bucket, ...input })));

  const isThere = async (key: string): Promise<boolean> =>
    (await page({ Prefix: key, MaxKeys: 1 })).Contents?.[0]?.Key === key;

  /** `If-None-Match: *`: 412 says that the key exists; 409 that another write of it was under way, which settles soon. */
  const unlessExists = async (write: () => Promise<unknown>): Promise<'stored' | 'exists'> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await write();
        return 'stored';
      } catch (error) {
        if (isCode(error, 'PreconditionFailed')) return 'exists';
        if (!isCode(error, 'ConditionalRequestConflict')) throw error;
        if (attempt >= RACES.attempts) {
          throw new CloudUnavailable(`${error.message} (after ${attempt} attempts)`, { cause: error });
        }
      }
      await clock.sleep(RACES.firstMs * 2 ** (attempt - 1));
    }
  };

  return {
    async *list(prefix, { after } = {}) {
      let token: string | undefined;
      do {
        const answer: ListObjectsV2CommandOutput = await page({
          Prefix: prefix,
          ContinuationToken: token,
          StartAfter: token === undefined ? after : undefined,
        });
        for (const { Key: key, Size: sizeBytes = 0 } of answer.Contents ?? []) {
          if (key !== undefined) yield { key, sizeBytes };
        }
        token = answer.NextContinuationToken;
      } while (token !== undefined);
    },

    folders: (prefix) =>
      everyPage(async (token) => {
        const answer = await page({ Prefix: prefix, Delimiter: '/', ContinuationToken: token });
        const names = (answer.CommonPrefixes ?? []).flatMap((p) => p.Prefix ?? []);
        return { items: names, next: answer.NextContinuationToken };
      }),

    async get(key, range) {
      const Range = range && `bytes=${range.from}-${range.to - 1}`;
      try {
        return await aws('s3:GetObject', async () => {
          const answer = await s3().send(new GetObjectCommand({ Bucket: bucket, Key: key, Range }));
          return answer.Body?.transformToByteArray() ?? new Uint8Array();
        });
      } catch (error) {
        if (isCode(error, 'NoSuchKey', 'NotFound')) return null;
        throw error;
      }
    },

    put: (key, body) =>
      unlessExists(() =>
        aws('s3:PutObject', () =>
          s3().send(
            new PutObjectCommand({
              ...{ Bucket: bucket, Key: key, Body: body, IfNoneMatch: '*', ContentLength: body.length },
              ChecksumAlgorithm: 'CRC32',
            }),
          ),
        ),
      ),

    async beginUpload(key) {
      const answer = await aws('s3:PutObject', () =>
        s3().send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: key, ChecksumAlgorithm: 'SHA256' })),
      );
      if (answer.UploadId === undefined) throw new Error(`S3 began an upload of ${key} without an UploadId`);
      return answer.UploadId;
    },

    async uploadPart(key, uploadId, number, body) {
      const sha256 = createHash('sha256').update(body).digest('hex');
      const answer = await aws('s3:PutObject', () =>
        s3().send(
          new UploadPartCommand({
            ...{ Bucket: bucket, Key: key, UploadId: uploadId, PartNumber: number },
            ...{ Body: body, ContentLength: body.length, ChecksumSHA256: base64(sha256) },
          }),
        ),
      );
      if (answer.ETag === undefined) throw new Error(`S3 answered part ${number} of ${key} without an ETag`);
      return { number, etag: answer.ETag, sizeBytes: body.length, sha256 };
    },

    parts: (key, uploadId) =>
      everyPage(async (token) => {
        const answer = await aws('s3:ListMultipartUploadParts', () =>
          s3().send(new ListPartsCommand({ Bucket: bucket, Key: key, UploadId: uploadId, PartNumberMarker: token })),
        );
        const items = (answer.Parts ?? []).map((p): UploadedPart => ({
          ...{ number: p.PartNumber ?? 0, etag: p.ETag ?? '', sizeBytes: p.Size ?? 0 },
          sha256: p.ChecksumSHA256 === undefined ? null : hexOf(p.ChecksumSHA256),
        }));
        return { items, next: answer.IsTruncated === true ? answer.NextPartNumberMarker : undefined };
      }),

    async completeUpload(key, uploadId, parts) {
      const Parts = parts.map(({ number, etag, sha256 }): CompletedPart => ({
        ...{ PartNumber: number, ETag: etag },
        ...(sha256 !== null && { ChecksumSHA256: base64(sha256) }),
      }));
      try {
        return await unlessExists(() =>
          aws('s3:PutObject', () =>
            s3().send(
              new CompleteMultipartUploadCommand({
                ...{ Bucket: bucket, Key: key, UploadId: uploadId, IfNoneMatch: '*' },
                MultipartUpload: { Parts },
              }),
            ),
          ),
        );
      } catch (error) {
        // Completed by a call whose answer was lost: the upload is no more, and the object is there.
        if (isCode(error, 'NoSuchUpload') && (await isThere(key))) return 'exists';
        throw error;
      }
    },

    async abortUpload(key, uploadId) {
      try {
        await aws('s3:AbortMultipartUpload', () =>
          s3().send(new AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: uploadId })),
        );
      } catch (error) {
        if (!isCode(error, 'NoSuchUpload')) throw error;
      }
    },

    async remove(keys) {
      for (const batch of inBatches(keys, KEYS_PER_DELETE)) {
        const Delete = { Objects: batch.map((Key) => ({ Key })), Quiet: true };
        const answer = await aws('s3:DeleteObject', () =>
          s3().send(new DeleteObjectsCommand({ Bucket: bucket, Delete })),
        );
        const [first] = answer.Errors ?? [];
        if (first !== undefined) {
          const why = `${first.Code ?? 'no code'} ${first.Message ?? ''}`;
          throw new Error(`s3:DeleteObject left ${answer.Errors?.length} of ${batch.length}: ${first.Key}: ${why}`);
        }
      }
    },
  };
}
