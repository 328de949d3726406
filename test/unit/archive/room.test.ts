import { randomBytes } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pieceQueue } from '../../../lambdas/archive/ship/piece-queue.ts';
import { Room } from '../../../lambdas/archive/ship/room.ts';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import { FakeAws, FakeBucket } from '../../fakes/index.ts';

const MIB = 2 ** 20;

describe('room', () => {
  it('is used again when it was given back, where it is not much larger than what is asked for', () => {
    const room = new Room(64 * MIB);
    const first = room.take(6 * MIB - 5);
    room.give(first);
    const second = room.take(5 * MIB);
    expect(second.buffer).toBe(first.buffer);
    expect(second).toHaveLength(5 * MIB);
    room.give(second);
    expect(room.take(MIB).buffer).not.toBe(first.buffer);
    expect(room.take(7 * MIB).buffer).not.toBe(first.buffer);
    expect(room.take(6 * MIB).buffer).toBe(first.buffer);
  });

  it('is never two takers’ at once', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ bytes: fc.nat(3 * MIB), back: fc.nat(9) }), { maxLength: 60 }), (asked) => {
        const room = new Room(8 * MIB);
        const held: Buffer[] = [];
        for (const { bytes, back } of asked) {
          const taken = room.take(bytes);
          expect(taken).toHaveLength(bytes);
          expect(held.map((b) => b.buffer)).not.toContain(taken.buffer);
          held.push(taken);
          if (back < held.length) room.give(held.splice(back, 1)[0] ?? Buffer.alloc(0));
        }
      }),
      { numRuns: 30 },
    );
  });

  it('is not given back twice', () => {
    const room = new Room(MIB);
    const taken = room.take(5);
    room.give(taken);
    expect(() => room.give(taken)).toThrow(/room for 5 bytes is given back twice/);
  });

  it('beyond what may be kept is not kept', () => {
    const room = new Room(MIB);
    const [one, two] = [room.take(5), room.take(5)];
    room.give(one);
    room.give(two);
    expect([room.take(5).buffer, room.take(5).buffer]).not.toContain(two.buffer);
  });
});

describe('the queue of pieces, with room that is used again', () => {
  it('stores what it was given while calls of S3 are slow, fail, and read their bodies late', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ bytes: fc.nat(60_000), waitMs: fc.nat(30), fails: fc.boolean() }), { maxLength: 30 }),
        async (pieces) => {
          const aws = new FakeAws();
          const queue = pieceQueue({ bucket: new FakeBucket(aws), clock: aws.clock, mostBytes: MIB });
          const failed = new Set<string>();
          aws.before = async (call) => {
            const key = String(call.args[0]);
            await aws.clock.sleep(pieces[Number(key)]?.waitMs ?? 0);
            if (pieces[Number(key)]?.fails !== true || failed.has(key)) return;
            failed.add(key);
            throw new CloudUnavailable('SlowDown');
          };
          const bodies = pieces.map(({ bytes }) => randomBytes(bytes));
          for (const [n, body] of bodies.entries())
            await queue.push({ key: String(n), chunks: [body] }, () => undefined);
          await queue.drain();
          for (const [n, body] of bodies.entries())
            expect(zstdDecompressSync(aws.objects.get(String(n)) ?? new Uint8Array()).equals(body)).toBe(true);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('does not use the room of a call that S3 did not answer', async () => {
    const aws = new FakeAws();
    const bucket = new FakeBucket(aws);
    const seen: Uint8Array[] = [];
    const spied = Object.assign(Object.create(bucket) as FakeBucket, {
      put: (key: string, body: Uint8Array) => {
        seen.push(body);
        return bucket.put(key, body);
      },
    });
    aws.failNext('ArchiveBucket.put', new CloudUnavailable('SlowDown'));
    const queue = pieceQueue({ bucket: spied, clock: aws.clock });
    for (const key of ['a', 'b', 'c']) {
      await queue.push({ key, chunks: [randomBytes(1000)] }, () => undefined);
      await queue.drain();
    }
    const [failed, again, b, c] = seen.map((body) => body.buffer);
    expect(again).toBe(failed);
    expect(b).not.toBe(failed);
    expect(c).toBe(b);
  });
});
