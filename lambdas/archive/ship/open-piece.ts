/**
 * A piece too large to be held: compressed frame by frame, uploaded part by part. It becomes an object when it is closed
 * and whole; one that never grew to a part is put at once instead.
 */
import type { UploadedPart } from '../../cloud/ports.ts';
import type { Conveyor, StoredPiece } from './conveyor.ts';
import { bytesOf } from './conveyor.ts';
import type { OpenPiece } from './ports.ts';

/** What is compressed into one frame: four times zstd's window at level 3, so that it compresses as well as more would. */
const FRAME_BYTES = 8 * 2 ** 20;
/** S3 takes 5 MiB at least (but for the last part) and 10,000 parts at most: 60 GB compressed. */
const PART_BYTES = 6 * 2 ** 20;

export const openPiece = (
  conveyor: Conveyor,
  key: string,
  done: (piece: StoredPiece | null) => void,
): OpenPiece & { giveUp(): Promise<void> } => new Opened(conveyor, key, done);

class Opened implements OpenPiece {
  readonly #conveyor: Conveyor;
  readonly #key: string;
  readonly #done: (piece: StoredPiece | null) => void;
  /** The frame that is filled, and those that are free to be: garbage of this size would stay for a while. */
  #frame: Buffer | null = null;
  #filled = 0;
  readonly #free: Buffer[] = [];
  /** Compressed, in order, not yet a part. */
  #pending: Uint8Array[] = [];
  #rawBytes = 0;
  #storedBytes = 0;
  #uploadId: Promise<string> | null = null;
  #parts: Promise<UploadedPart>[] = [];
  /** The frames before this one have been taken in. */
  #tail: Promise<void> = Promise.resolve();
  #over = false;

  constructor(conveyor: Conveyor, key: string, done: (piece: StoredPiece | null) => void) {
    this.#conveyor = conveyor;
    this.#key = key;
    this.#done = done;
  }

  async append(chunk: Uint8Array): Promise<void> {
    this.#conveyor.check();
    if (this.#over) throw new Error(`${this.#key} is closed: nothing can be appended`);
    // The caller's buffer is its own again when this answers.
    for (let from = 0; from < chunk.length;) {
      this.#frame ??= this.#free.pop() ?? Buffer.allocUnsafeSlow(FRAME_BYTES);
      const part = chunk.subarray(from, from + FRAME_BYTES - this.#filled);
      this.#frame.set(part, this.#filled);
      from += part.length;
      this.#filled += part.length;
      if (this.#filled < FRAME_BYTES) continue;
      this.#compress();
      await this.#conveyor.room();
    }
  }

  async close(): Promise<void> {
    this.#conveyor.check();
    if (this.#over) throw new Error(`${this.#key} is closed already`);
    this.#over = true;
    if (this.#filled > 0 || this.#rawBytes === 0) this.#compress();
    void this.#finish().catch((error: unknown) => this.#conveyor.fail(error));
    await this.#conveyor.room();
  }

  async discard(): Promise<void> {
    this.#conveyor.check();
    await this.#tail;
    await this.giveUp();
    for (const body of this.#pending.splice(0)) this.#conveyor.carry(-body.length);
    this.#done(null);
  }

  /** Ends the upload, if one was begun; the lifecycle rule of the bucket ends what this cannot. */
  async giveUp(): Promise<void> {
    this.#over = true;
    const uploadId = await this.#uploadId?.catch(() => undefined);
    if (uploadId === undefined) return;
    await Promise.allSettled(this.#parts);
    await this.#conveyor.bucket.abortUpload(this.#key, uploadId);
  }

  #compress(): void {
    const frame = this.#frame ?? Buffer.alloc(0);
    const raw = frame.subarray(0, this.#filled);
    this.#frame = null;
    this.#filled = 0;
    this.#rawBytes += raw.length;
    const compressed = this.#conveyor.compressed([raw]).finally(() => {
      if (frame.length === FRAME_BYTES) this.#free.push(frame);
    });
    const before = this.#tail;
    this.#tail = (async () => {
      const [body] = await Promise.all([compressed, before]);
      this.#pending.push(body);
      this.#storedBytes += body.length;
      if (bytesOf(this.#pending) >= PART_BYTES) this.#part();
    })();
    this.#tail.catch((error: unknown) => this.#conveyor.fail(error));
  }

  #part(): void {
    const body = this.#taken();
    this.#uploadId ??= this.#conveyor.upload(() => this.#conveyor.bucket.beginUpload(this.#key));
    const uploadId = this.#uploadId;
    const number = this.#parts.length + 1;
    const part = uploadId.then((id) =>
      this.#conveyor.store(body, () => this.#conveyor.bucket.uploadPart(this.#key, id, number, body)),
    );
    part.catch((error: unknown) => this.#conveyor.fail(error));
    this.#parts.push(part);
  }

  #taken(): Uint8Array {
    const body = this.#conveyor.joined(this.#pending);
    this.#pending = [];
    return body;
  }

  async #finish(): Promise<void> {
    await this.#tail;
    const { bucket } = this.#conveyor;
    if (this.#parts.length === 0) {
      const body = this.#taken();
      await this.#conveyor.store(body, () => bucket.put(this.#key, body));
    } else {
      if (this.#pending.length > 0) this.#part();
      const parts = await Promise.all(this.#parts);
      const uploadId = (await this.#uploadId) ?? '';
      const answer = await this.#conveyor.upload(() => bucket.completeUpload(this.#key, uploadId, parts));
      if (answer === 'exists') await bucket.abortUpload(this.#key, uploadId);
      this.#uploadId = null;
    }
    this.#done({ key: this.#key, rawBytes: this.#rawBytes, storedBytes: this.#storedBytes });
  }
}
