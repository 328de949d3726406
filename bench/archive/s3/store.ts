/** What the benchmark's S3 server holds: an index in memory, bodies as files of one folder. It lives as long as the server. */
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface Body {
  readonly file: string;
  readonly bytes: number;
}

/** An object's bytes are those of its bodies, one after another: a completed upload is not copied together. */
export interface Stored {
  readonly bodies: readonly Body[];
  readonly bytes: number;
  readonly etag: string;
  readonly atMs: number;
}

export interface Upload {
  readonly bucket: string;
  readonly key: string;
  readonly parts: Map<number, Stored>;
}

export interface Listing {
  readonly objects: readonly { readonly key: string; readonly object: Stored }[];
  readonly prefixes: readonly string[];
  /** Where the next page goes on; null when this is the last. */
  readonly next: string | null;
}

/** Of a body, its bytes in a file: as large as a write to a file of a RAM disk should be to cost little. */
const WRITE_BYTES = 1 << 20;

export class Store {
  private readonly buckets = new Map<string, Map<string, Stored>>();
  private readonly uploads = new Map<string, Upload>();
  private count = 0;
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  makeBucket(bucket: string): void {
    if (!this.buckets.has(bucket)) this.buckets.set(bucket, new Map());
  }

  async removeBucket(bucket: string): Promise<void> {
    for (const key of this.objectsOf(bucket).keys()) await this.remove(bucket, key);
    this.buckets.delete(bucket);
  }

  hasBucket(bucket: string): boolean {
    return this.buckets.has(bucket);
  }

  get(bucket: string, key: string): Stored | null {
    return this.buckets.get(bucket)?.get(key) ?? null;
  }

  /** Takes a body in. Throws, and keeps nothing, when it is not as long as was said. */
  async receive(from: Readable, expectedBytes: number): Promise<Stored> {
    const file = join(this.folder, String((this.count += 1)));
    const to = createWriteStream(file, { highWaterMark: WRITE_BYTES });
    try {
      await pipeline(from, to);
      if (to.bytesWritten !== expectedBytes)
        throw new Error(`a body of ${to.bytesWritten} bytes came where ${expectedBytes} were announced`);
    } catch (error) {
      await rm(file, { force: true });
      throw error;
    }
    return this.stored([{ file, bytes: to.bytesWritten }]);
  }

  private stored(bodies: readonly Body[]): Stored {
    const bytes = bodies.reduce((total, body) => total + body.bytes, 0);
    return { bodies, bytes, etag: `"${(this.count += 1).toString(16).padStart(32, '0')}"`, atMs: Date.now() };
  }

  /** False, with the bytes thrown away, when `onlyNew` and the key is there. */
  async put(bucket: string, key: string, object: Stored, onlyNew: boolean): Promise<boolean> {
    const objects = this.objectsOf(bucket);
    const before = objects.get(key);
    if (onlyNew && before !== undefined) {
      await this.discard(object);
      return false;
    }
    objects.set(key, object);
    if (before !== undefined) await this.discard(before);
    return true;
  }

  async remove(bucket: string, key: string): Promise<void> {
    const objects = this.objectsOf(bucket);
    const object = objects.get(key);
    objects.delete(key);
    if (object !== undefined) await this.discard(object);
  }

  beginUpload(bucket: string, key: string): string {
    this.objectsOf(bucket);
    const id = `upload-${(this.count += 1)}`;
    this.uploads.set(id, { bucket, key, parts: new Map() });
    return id;
  }

  upload(bucket: string, key: string, id: string): Upload | null {
    const upload = this.uploads.get(id);
    return upload?.bucket === bucket && upload.key === key ? upload : null;
  }

  async putPart(upload: Upload, number: number, part: Stored): Promise<void> {
    const before = upload.parts.get(number);
    upload.parts.set(number, part);
    if (before !== undefined) await this.discard(before);
  }

  /** False when `onlyNew` and the key is there (the upload stays); null when a part is not there as named. */
  async complete(
    id: string,
    upload: Upload,
    wanted: readonly { readonly number: number; readonly etag: string }[],
    onlyNew: boolean,
  ): Promise<Stored | 'exists' | 'no-such-part'> {
    const parts = wanted.map(({ number, etag }) => {
      const part = upload.parts.get(number);
      return part?.etag === etag ? part : null;
    });
    const found = parts.filter((part) => part !== null);
    if (found.length === 0 || found.length !== parts.length) return 'no-such-part';
    if (onlyNew && this.get(upload.bucket, upload.key) !== null) return 'exists';
    const object = this.stored(found.flatMap((part) => part.bodies));
    this.uploads.delete(id);
    for (const part of upload.parts.values()) if (!found.includes(part)) await this.discard(part);
    await this.put(upload.bucket, upload.key, object, false);
    return object;
  }

  async abort(id: string): Promise<void> {
    const upload = this.uploads.get(id);
    this.uploads.delete(id);
    for (const part of upload?.parts.values() ?? []) await this.discard(part);
  }

  /** A page of the keys beyond `after`, in order, folded at the delimiter when one is given. */
  list(bucket: string, prefix: string, delimiter: string, after: string, most: number): Listing {
    const objects: { key: string; object: Stored }[] = [];
    const prefixes = new Set<string>();
    const all = this.objectsOf(bucket);
    let last = '';
    for (const key of [...all.keys()].filter((k) => k.startsWith(prefix) && k > after).sort()) {
      const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
      const folder = cut === -1 ? null : key.slice(0, cut + delimiter.length);
      if (folder !== null && (prefixes.has(folder) || after.startsWith(folder))) continue;
      if (objects.length + prefixes.size >= most) return { objects, prefixes: [...prefixes], next: last };
      if (folder !== null) prefixes.add(folder);
      const object = all.get(key);
      if (folder === null && object !== undefined) objects.push({ key, object });
      last = folder ?? key;
    }
    return { objects, prefixes: [...prefixes], next: null };
  }

  private objectsOf(bucket: string): Map<string, Stored> {
    const objects = this.buckets.get(bucket);
    if (objects === undefined) throw new Error(`there is no bucket ${JSON.stringify(bucket)}; make it first`);
    return objects;
  }

  private async discard({ bodies }: Stored): Promise<void> {
    await Promise.all(bodies.map(({ file }) => rm(file, { force: true })));
  }
}
