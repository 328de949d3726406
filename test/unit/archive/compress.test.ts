/** Frames of zstd. */
import { randomBytes } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { zstdFrame } from '../../../lambdas/archive/ship/compress.ts';

/** RFC 8878, 3.1.1: magic number; of the descriptor, bit 2 says that a checksum of the content follows. */
const MAGIC = 0xfd2fb528;
const CHECKSUM = 0b100;

describe('a frame', () => {
  it('gives back what went in, whatever it was made of', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 5 }),
        fc.nat(3),
        async (chunks, times) => {
          const whole = Buffer.concat(chunks);
          const repeated = Array.from({ length: times + 1 }, () => whole);
          expect(zstdDecompressSync(await zstdFrame(repeated, (n) => Buffer.alloc(n)))).toEqual(
            Buffer.concat(repeated),
          );
        },
      ),
    );
  });

  it.each([0, 1, 65_536, 5_000_001, 2 ** 24])(
    'of %i bytes that do not compress is one, with a checksum',
    async (size) => {
      const bytes = randomBytes(size);
      const frame = Buffer.from(await zstdFrame([bytes], (n) => Buffer.alloc(n)));
      expect(frame.readUInt32LE(0)).toBe(MAGIC);
      expect(frame.readUInt8(4) & CHECKSUM).toBe(CHECKSUM);
      expect(frame.length).toBeLessThan(size + size / 256 + 100);
      expect(zstdDecompressSync(frame).equals(bytes)).toBe(true);
      frame.writeUInt8(frame.readUInt8(frame.length - 1) ^ 1, frame.length - 1);
      expect(() => zstdDecompressSync(frame)).toThrow();
    },
  );

  it('keeps apart what is compressed side by side', async () => {
    const inputs = Array.from({ length: 12 }, (_, n) => {
      const bytes = new Uint8Array(300_000 + n).fill(n);
      bytes.set(randomBytes(1000), n * 1000);
      return bytes;
    });
    const frames = await Promise.all(inputs.map((bytes) => zstdFrame([bytes], (n) => Buffer.alloc(n))));
    expect(frames.map((frame, n) => zstdDecompressSync(frame).equals(inputs[n] ?? new Uint8Array()))).toEqual(
      inputs.map(() => true),
    );
  });
});
