import { randomBytes } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { QueueOptions } from '../../../lambdas/archive/ship/conveyor.ts';
import { pieceQueue } from '../../../lambdas/archive/ship/piece-queue.ts';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import { FakeAws, FakeBucket } from '../../fakes/index.ts';

const MIB = 2 ** 20;

function world(options: Partial<QueueOptions> = {}) {
  const aws = new FakeAws();
  const queue = pieceQueue({ bucket: new FakeBucket(aws), clock: aws.clock, ...options });
  const stored: string[] = [];
  const push = (key: string, ...chunks: readonly Uint8Array[]): Promise<void> =>
    queue.push({ key, chunks }, () => {
      // Rule 10, at the moment of each confirmation: the object is there.
      expect(aws.objects.has(key)).toBe(true);
      stored.push(key);
    });
  const contents = (key: string): Buffer => zstdDecompressSync(aws.objects.get(key) ?? new Uint8Array());
  return { aws, queue, push, stored, contents };
}

/** Calls of S3 that wait until they are let go, by key. */
function held(aws: FakeAws) {
  const doors = new Map<string, () => void>();
  aws.before = (call) => {
    if (call.operation !== 'ArchiveBucket.put') return;
    const key = String(call.args[0]);
    return new Promise((resolve) => void doors.set(key, resolve));
  };
  const until = async (holds: () => boolean): Promise<void> => {
    for (let turn = 0; !holds(); turn += 1) {
      if (turn > 2000) throw new Error('it never came to that');
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  return { doors, until, let: (key: string) => doors.get(key)?.() };
}

const letters = (n: number): readonly string[] => Array.from({ length: n }, (_, i) => `k${String(i).padStart(2, '0')}`);

describe('the queue of pieces', () => {
  it('stores what it was given, compressed, with a checksum of the content', async () => {
    const { queue, push, aws, contents } = world();
    const chunks = [Buffer.from('a log '.repeat(10_000)), randomBytes(70_000)];
    await push('one', ...chunks);
    await queue.drain();
    expect(contents('one').equals(Buffer.concat(chunks))).toBe(true);
    const object = aws.objects.get('one') ?? new Uint8Array();
    expect(object.length).toBeLessThan(80_000);
    expect((object[4] ?? 0) & 0b100).toBe(0b100); // Content_Checksum_flag, RFC 8878, 3.1.1.1.1
  });

  it('confirms in order, whatever the order in which S3 answers', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(40), { minLength: 1, maxLength: 24 }), async (delays) => {
        const { aws, queue, push, stored } = world();
        aws.before = async (call) => {
          if (call.operation === 'ArchiveBucket.put') await aws.clock.sleep(delays[Number(call.args[0])] ?? 0);
        };
        const keys = delays.map((_, i) => String(i));
        for (const key of keys) await push(key, randomBytes(10));
        await queue.drain();
        expect(stored).toEqual(keys);
      }),
      { numRuns: 30 },
    );
  });

  it('confirms nothing while the one before is not stored, though it is stored itself', async () => {
    const { aws, queue, push, stored } = world();
    const s3 = held(aws);
    for (const key of ['a', 'b', 'c']) await push(key, randomBytes(10));
    await s3.until(() => s3.doors.size === 3);
    s3.let('b');
    s3.let('c');
    await s3.until(() => aws.objects.size === 2);
    expect(stored).toEqual([]);
    s3.let('a');
    await queue.drain();
    expect(stored).toEqual(['a', 'b', 'c']);
  });

  it('takes a key that exists for stored: its name says what is in it', async () => {
    const { aws, queue, push, stored } = world();
    aws.objects.set('a', randomBytes(3));
    await push('a', randomBytes(10));
    await queue.drain();
    expect(stored).toEqual(['a']);
  });

  it.each([1, 4])('keeps at most the bytes that it may, and one piece, on the way (%i MiB pieces)', async (size) => {
    const most = 16 * MIB;
    const { aws, queue, push } = world({ mostBytes: most });
    const s3 = held(aws);
    let pushed = 0;
    let taken = 0;
    const pushing = (async () => {
      for (const key of letters(32)) {
        pushed += 1;
        await push(key, randomBytes(size * MIB));
        taken += 1;
      }
    })();
    await s3.until(() => s3.doors.size >= Math.min(8, most / MIB / size));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect((pushed - 1) * size * MIB).toBeLessThanOrEqual(most + size * MIB);
    expect(taken).toBeLessThan(32);
    aws.before = null;
    for (const key of s3.doors.keys()) s3.let(key);
    await pushing;
    await queue.drain();
    expect(aws.objects.size).toBe(32);
  });

  it('says when the memory of a piece may be used again, and not before it is compressed', async () => {
    const { aws, queue, contents } = world();
    const chunk = Buffer.from('x'.repeat(100_000));
    await queue.push({ key: 'a', chunks: [chunk], release: () => chunk.fill('y') }, () => undefined);
    await queue.drain();
    expect(chunk[0]).toBe('y'.charCodeAt(0));
    expect(contents('a').every((byte) => byte === 'x'.charCodeAt(0))).toBe(true);
    expect(aws.objects.size).toBe(1);
  });

  it('waits out a moment in which S3 is away', async () => {
    const { aws, queue, push, stored } = world();
    aws.failNext('ArchiveBucket.put', new CloudUnavailable('SlowDown'), { times: 3 });
    await push('a', randomBytes(10));
    await queue.drain();
    expect(stored).toEqual(['a']);
  });

  it.each([
    ['S3 that stays away', new CloudUnavailable('SlowDown'), 99],
    ['a refusal', new Error('AccessDenied'), 1],
  ])('%s fails the piece and all after it, and none of those is confirmed', async (_what, error, times) => {
    const { aws, queue, push, stored } = world();
    let left = times;
    aws.before = (call) => {
      if (call.operation === 'ArchiveBucket.put' && call.args[0] === 'b' && left-- > 0) throw error;
    };
    await push('a', randomBytes(10));
    await queue.drain();
    await push('b', randomBytes(10)).catch(() => undefined);
    await push('c', randomBytes(10)).catch(() => undefined);
    await expect(queue.drain()).rejects.toThrow(error.message);
    expect(stored).toEqual(['a']);
    await expect(push('d', randomBytes(10))).rejects.toThrow(error.message);
    await expect(queue.open('e', () => undefined)).rejects.toThrow(error.message);
  });

  it('given up, it confirms nothing any more, whatever S3 still answers', async () => {
    const { aws, queue, push, stored } = world();
    const s3 = held(aws);
    await push('a', randomBytes(10));
    await s3.until(() => s3.doors.size === 1);
    await queue.abort();
    s3.let('a');
    await s3.until(() => aws.objects.has('a'));
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(stored).toEqual([]);
    await expect(push('b', randomBytes(10))).rejects.toThrow(/given up/);
  });

  it('tells what it stored, in order', async () => {
    const told: string[] = [];
    const { queue, push } = world({ stored: (p) => told.push(`${p.key} ${p.rawBytes} ${p.storedBytes < 1000}`) });
    await push('a', Buffer.alloc(5000));
    await push('b', Buffer.alloc(6000), Buffer.alloc(1));
    await queue.drain();
    expect(told).toEqual(['a 5000 true', 'b 6001 true']);
  });
});

describe('an open piece', () => {
  it('becomes one object, of parts of at least 8 MiB, only when it is closed', async () => {
    const { aws, queue, stored, contents } = world();
    const chunks = Array.from({ length: 50 }, () => randomBytes(MIB));
    const piece = await queue.open('large', () => stored.push('large'));
    for (const chunk of chunks) await piece.append(chunk);
    expect(aws.objects.size).toBe(0);
    await piece.close();
    await queue.drain();
    expect(stored).toEqual(['large']);
    expect(contents('large').equals(Buffer.concat(chunks))).toBe(true);
    const sizes = aws.callsOf('ArchiveBucket.uploadPart').map((c) => Number(c.args[3]));
    expect(sizes.length).toBeGreaterThan(2);
    expect(sizes.slice(0, -1).every((size) => size >= 8 * MIB)).toBe(true);
    expect(aws.uploads.size).toBe(0);
  });

  it('of little is one put', async () => {
    const { aws, queue, contents, stored } = world();
    const piece = await queue.open('small', () => stored.push('small'));
    await piece.append(Buffer.from('a'));
    await piece.append(Buffer.from('b'));
    await piece.close();
    await queue.drain();
    expect(contents('small').toString()).toBe('ab');
    expect(aws.callsOf('ArchiveBucket.beginUpload')).toEqual([]);
  });

  it('is confirmed in its turn among the pieces', async () => {
    const { queue, push, stored } = world();
    await push('a', randomBytes(10));
    const piece = await queue.open('b', () => stored.push('b'));
    await push('c', randomBytes(10));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(stored).toEqual(['a']);
    await piece.append(randomBytes(10));
    await piece.close();
    await queue.drain();
    expect(stored).toEqual(['a', 'b', 'c']);
  });

  it('takes no more than there is room for', async () => {
    const { aws, queue } = world({ mostBytes: 32 * MIB });
    const door = Promise.withResolvers<void>();
    aws.before = (call) => (call.operation === 'ArchiveBucket.uploadPart' ? door.promise : undefined);
    const piece = await queue.open('large', () => undefined);
    let appended = 0;
    const appending = (async () => {
      for (; appended < 200; appended += 1) await piece.append(randomBytes(MIB));
    })();
    const refused = expect(appending).rejects.toThrow(/given up/);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(appended).toBeLessThanOrEqual(32 + 16 * 3 + 8);
    const givenUp = queue.abort();
    door.resolve();
    await Promise.all([givenUp, refused]);
  });

  it('given up, leaves neither an object nor an upload', async () => {
    const { aws, queue } = world();
    const piece = await queue.open('large', () => undefined);
    for (let i = 0; i < 40; i += 1) await piece.append(randomBytes(MIB));
    await queue.abort();
    await expect(piece.append(randomBytes(1))).rejects.toThrow(/given up/);
    expect([aws.objects.size, aws.uploads.size]).toEqual([0, 0]);
  });

  it('a part that cannot be stored fails the piece and what comes after it', async () => {
    const { aws, queue, stored, push } = world();
    aws.failNext('ArchiveBucket.uploadPart', new Error('AccessDenied'));
    const piece = await queue.open('large', () => stored.push('large'));
    const appending = (async () => {
      for (let i = 0; i < 40; i += 1) await piece.append(randomBytes(MIB));
      await push('after', randomBytes(10));
      await piece.close();
      await queue.drain();
    })();
    await expect(appending).rejects.toThrow('AccessDenied');
    expect(stored).toEqual([]);
  });

  it('that is discarded leaves nothing, is not confirmed, and holds nobody up', async () => {
    for (const bytes of [1000, 40 * MIB]) {
      const { aws, queue, push, stored } = world();
      await push('a', Buffer.from('a'));
      const piece = await queue.open('discarded', () => stored.push('discarded'));
      await piece.append(randomBytes(bytes));
      await push('b', Buffer.from('b'));
      await piece.discard();
      await queue.drain();
      expect(stored).toEqual(['a', 'b']);
      expect([...aws.objects.keys()].sort()).toEqual(['a', 'b']);
      expect(aws.uploads.size).toBe(0);
      await expect(piece.append(Buffer.from('more'))).rejects.toThrow(/closed/);
    }
  });
});
