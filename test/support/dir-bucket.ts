/** A bucket that is a folder: it outlives processes that are killed, and shows an object only when it is whole. */
import { createHash, randomUUID } from 'node:crypto';
import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { ArchiveBucket, StoredObject, UploadedPart } from '../../lambdas/cloud/ports.ts';

export class DirBucket implements ArchiveBucket {
  readonly #objects: string;
  readonly #work: string;

  constructor(folder: string) {
    this.#objects = join(folder, 'objects');
    this.#work = join(folder, 'work');
    mkdirSync(this.#objects, { recursive: true });
    mkdirSync(this.#work, { recursive: true });
  }

  async *list(prefix: string, { after = '' }: { readonly after?: string } = {}): AsyncIterable<StoredObject> {
    const found = readdirSync(this.#objects, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    const keys = found.map(({ parentPath, name }) => relative(this.#objects, join(parentPath, name)));
    for (const key of keys.filter((k) => k.startsWith(prefix) && k > after).sort())
      yield { key, sizeBytes: statSync(this.pathOf(key)).size };
  }

  async folders(prefix: string): Promise<readonly string[]> {
    const below: string[] = [];
    for await (const { key } of this.list(prefix)) {
      const end = key.indexOf('/', prefix.length);
      if (end >= 0) below.push(key.slice(0, end + 1));
    }
    return [...new Set(below)];
  }

  async get(key: string, range?: { readonly from: number; readonly to: number }): Promise<Uint8Array | null> {
    try {
      const body = readFileSync(this.pathOf(key));
      return range === undefined ? body : body.subarray(range.from, range.to);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }

  async put(key: string, body: Uint8Array): Promise<'stored' | 'exists'> {
    const work = join(this.#work, randomUUID());
    writeFileSync(work, body);
    mkdirSync(dirname(this.pathOf(key)), { recursive: true });
    try {
      linkSync(work, this.pathOf(key));
      return 'stored';
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return 'exists';
      throw error;
    } finally {
      rmSync(work);
    }
  }

  async beginUpload(): Promise<string> {
    const id = randomUUID();
    mkdirSync(join(this.#work, id));
    return id;
  }

  async uploadPart(_key: string, uploadId: string, number: number, body: Uint8Array): Promise<UploadedPart> {
    writeFileSync(join(this.#work, uploadId, String(number)), body);
    return partOf(number, body);
  }

  async parts(_key: string, uploadId: string): Promise<readonly UploadedPart[]> {
    return readdirSync(join(this.#work, uploadId))
      .map(Number)
      .sort((a, b) => a - b)
      .map((number) => partOf(number, readFileSync(join(this.#work, uploadId, String(number)))));
  }

  async completeUpload(key: string, uploadId: string, parts: readonly UploadedPart[]): Promise<'stored' | 'exists'> {
    return this.put(
      key,
      Buffer.concat(parts.map(({ number }) => readFileSync(join(this.#work, uploadId, String(number))))),
    );
  }

  async abortUpload(_key: string, uploadId: string): Promise<void> {
    rmSync(join(this.#work, uploadId), { recursive: true, force: true });
  }

  async remove(keys: readonly string[]): Promise<void> {
    for (const key of keys) rmSync(this.pathOf(key), { force: true });
  }

  count(): number {
    return readdirSync(this.#objects, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
      .length;
  }

  /** The file that holds an object. */
  pathOf(key: string): string {
    return join(this.#objects, key);
  }
}

const partOf = (number: number, body: Uint8Array): UploadedPart => ({
  number,
  etag: createHash('md5').update(body).digest('hex'),
  sizeBytes: body.length,
  sha256: createHash('sha256').update(body).digest('hex'),
});
