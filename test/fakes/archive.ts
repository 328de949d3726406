import { createHash } from 'node:crypto';
import type { ArchiveBucket, Leases, StoredObject, UploadedPart } from '../../lambdas/cloud/ports.ts';
import type { FakeAws } from './aws.ts';
import { FakeAwsError } from './aws.ts';

/** All parts of an upload but the last have at least so many. */
const LEAST_PART_BYTES = 5 * 2 ** 20;

/** S3, as far as the archive uses it. Keys are in the order of their bytes. */
export class FakeBucket implements ArchiveBucket {
  readonly #aws: FakeAws;
  constructor(aws: FakeAws) {
    this.#aws = aws;
  }

  async *list(prefix: string, { after = '' }: { readonly after?: string } = {}): AsyncIterable<StoredObject> {
    const found = await this.#aws.call('ArchiveBucket.list', [prefix, after], () =>
      [...this.#aws.objects]
        .filter(([key]) => key.startsWith(prefix) && Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0)
        .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        .map(([key, body]) => ({ key, sizeBytes: body.length })),
    );
    yield* found;
  }

  folders(prefix: string): Promise<readonly string[]> {
    return this.#aws.call('ArchiveBucket.folders', [prefix], () => {
      const below = [...this.#aws.objects.keys()]
        .filter((key) => key.startsWith(prefix) && key.includes('/', prefix.length))
        .map((key) => key.slice(0, key.indexOf('/', prefix.length) + 1));
      return [...new Set(below)].sort();
    });
  }

  get(key: string, range?: { readonly from: number; readonly to: number }): Promise<Uint8Array | null> {
    return this.#aws.call('ArchiveBucket.get', [key, range], () => {
      const body = this.#aws.objects.get(key);
      if (body === undefined) return null;
      return Uint8Array.from(range === undefined ? body : body.subarray(range.from, range.to));
    });
  }

  put(key: string, body: Uint8Array): Promise<'stored' | 'exists'> {
    return this.#aws.call('ArchiveBucket.put', [key, body.length], () => this.#store(key, body));
  }

  beginUpload(key: string): Promise<string> {
    return this.#aws.call('ArchiveBucket.beginUpload', [key], () => {
      const id = this.#aws.nextId('upload');
      this.#aws.uploads.set(id, { key, parts: new Map() });
      return id;
    });
  }

  uploadPart(key: string, uploadId: string, number: number, body: Uint8Array): Promise<UploadedPart> {
    return this.#aws.call('ArchiveBucket.uploadPart', [key, uploadId, number, body.length], () => {
      this.#upload(key, uploadId).parts.set(number, Uint8Array.from(body));
      return partOf(number, body);
    });
  }

  parts(key: string, uploadId: string): Promise<readonly UploadedPart[]> {
    return this.#aws.call('ArchiveBucket.parts', [key, uploadId], () =>
      [...this.#upload(key, uploadId).parts].sort(([a], [b]) => a - b).map(([number, body]) => partOf(number, body)),
    );
  }

  completeUpload(key: string, uploadId: string, parts: readonly UploadedPart[]): Promise<'stored' | 'exists'> {
    return this.#aws.call('ArchiveBucket.completeUpload', [key, uploadId, parts], () => {
      const upload = this.#aws.uploads.get(uploadId);
      // Completed by a call whose answer was lost.
      if (upload === undefined && this.#aws.objects.has(key)) return 'exists';
      const there = this.#upload(key, uploadId).parts;
      const bodies = parts.map(({ number, etag }, i) => {
        const body = there.get(number);
        if (body === undefined || partOf(number, body).etag !== etag)
          throw new FakeAwsError('InvalidPart', `part ${number} of ${key} is not there, or is another`);
        if (i < parts.length - 1 && body.length < LEAST_PART_BYTES)
          throw new FakeAwsError('EntityTooSmall', `part ${number} of ${key} has ${body.length} bytes`);
        return body;
      });
      const result = this.#store(key, Buffer.concat(bodies));
      if (result === 'stored') this.#aws.uploads.delete(uploadId);
      return result;
    });
  }

  abortUpload(key: string, uploadId: string): Promise<void> {
    return this.#aws.call('ArchiveBucket.abortUpload', [key, uploadId], () => void this.#aws.uploads.delete(uploadId));
  }

  remove(keys: readonly string[]): Promise<void> {
    return this.#aws.call('ArchiveBucket.remove', [keys], () => {
      for (const key of keys) this.#aws.objects.delete(key);
    });
  }

  #store(key: string, body: Uint8Array): 'stored' | 'exists' {
    if (this.#aws.objects.has(key)) return 'exists';
    this.#aws.objects.set(key, Uint8Array.from(body));
    return 'stored';
  }

  #upload(key: string, uploadId: string) {
    const upload = this.#aws.uploads.get(uploadId);
    if (upload?.key !== key) throw new FakeAwsError('NoSuchUpload', `there is no upload ${uploadId} of ${key}`);
    return upload;
  }
}

function partOf(number: number, body: Uint8Array): UploadedPart {
  const etag = `"${createHash('md5').update(body).digest('hex')}"`;
  return { number, etag, sizeBytes: body.length, sha256: createHash('sha256').update(body).digest('hex') };
}

export class FakeLeases implements Leases {
  readonly #aws: FakeAws;
  constructor(aws: FakeAws) {
    this.#aws = aws;
  }

  take(cluster: string, what: string, holder: string, untilMs: number): Promise<boolean> {
    return this.#aws.call('Leases.take', [cluster, what, holder, untilMs], () => {
      const now = this.#aws.leases.get(`${cluster}#${what}`);
      if (now !== undefined && now.holder !== holder && now.untilMs > this.#aws.clock.nowMs()) return false;
      this.#aws.leases.set(`${cluster}#${what}`, { holder, untilMs });
      return true;
    });
  }

  release(cluster: string, what: string, holder: string): Promise<void> {
    return this.#aws.call('Leases.release', [cluster, what, holder], () => {
      const id = `${cluster}#${what}`;
      if (this.#aws.leases.get(id)?.holder === holder) this.#aws.leases.delete(id);
    });
  }
}
