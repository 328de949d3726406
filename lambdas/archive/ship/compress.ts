/** Zstandard at level 3, off the main thread (libuv's pool), each frame with its content's checksum. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { constants, createZstdCompress } from 'node:zlib';

/**
 * Left to itself V8 lets buffers of a frame's size gather until it looks through all of its heap, again and again: a fifth of all the
 * work of shipping, and half as much memory again (`perf` of `npm run bench -- archive --only wal`; `npm run bench -- archive-large`).
 * What has just become garbage is soon collected; what a frame was compressed into, which outlives that, is given back by hand; and
 * what it is stored from lies in `room.ts`.
 */
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as (what: { readonly type: 'minor' }) => void;

const PARAMS = { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 } as const;
/** The most that a frame of so many bytes may have (ZSTD_COMPRESSBOUND in zstd.h, and its checksum). */
const boundOf = (bytes: number): number => bytes + (bytes >> 8) + 2 ** 10;

/** From chunks, one behind the other, to what is stored; `take`: where it is to lie. */
export type Frame = (chunks: readonly Uint8Array[], take: (bytes: number) => Buffer) => Promise<Uint8Array>;

/**
 * One frame. Frames put one behind the other are one stream to every reader of the format (RFC 8878, 3).
 *
 * All input comes with the word that the frame ends, and all output has room: so zstd works on both where they are. `zstdCompress`
 * of node:zlib writes first and ends then, which makes zstd copy all input through a window of its own, half as fast.
 * `take`: where the frame is to lie.
 */
export function zstdFrame(chunks: readonly Uint8Array[], take: (bytes: number) => Buffer): Promise<Uint8Array> {
  const [only = new Uint8Array()] = chunks;
  const whole = chunks.length === 1 ? only : Buffer.concat(chunks);
  const most = boundOf(whole.length);
  const engine = createZstdCompress({
    ...{ params: PARAMS, pledgedSrcSize: whole.length, flush: constants.ZSTD_e_end },
    ...{ chunkSize: most, readableHighWaterMark: most + 1 }, // room for all, so that the write ends before it is read
  });
  return new Promise<Uint8Array>((resolve, reject) => {
    engine.once('error', reject);
    engine.write(whole, (error) => {
      if (error != null) return; // it is told as an event
      const room = engine.read() as Buffer<ArrayBuffer> | null;
      if (room === null) {
        reject(new Error(`zstd gave nothing for ${whole.length} bytes`));
        return;
      }
      const frame = take(room.length);
      room.copy(frame);
      collect({ type: 'minor' });
      if (room.buffer.byteLength === most) room.buffer.transfer(0); // a small one is a part of Node's pool
      resolve(frame);
    });
  }).finally(() => engine.destroy());
}
