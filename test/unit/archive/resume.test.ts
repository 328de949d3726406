/** Where a shipper goes on: before the archive's newest object, where one that was killed has left a hole that may be filled yet. */
import { describe, expect, it } from 'vitest';
import { resumeFrom } from '../../../lambdas/archive/ship/postgres/resume.ts';
import { keyOf, lsnOfBytes } from '../../../lambdas/model/archive/keys.ts';
import { timelinePath } from '../../../lambdas/model/archive/timeline.ts';
import { fakeCloud } from '../../fakes/index.ts';

const PLACE = { cluster: 'orders', history: '7' };
const BORDER = 0x1000;
const lsn = (at: number): string => lsnOfBytes(BigInt(at));

/** The places to ship from, for a server that keeps its log from `kept` on. */
async function waysWith(kept: number, ...objects: readonly (readonly [number, number])[]): Promise<readonly string[]> {
  const { bucket } = fakeCloud();
  for (const [start, end] of objects) {
    const range = { start: lsn(start), end: lsn(end), coveredMs: 0 };
    await bucket.put(keyOf(PLACE, { kind: 'wal', timeline: 1, ...range }), Buffer.from('log'));
  }
  const ways = await resumeFrom(bucket, PLACE, timelinePath(1, null), lsn(kept), BORDER);
  return ways.map((way) => way.lsn);
}

const HOLE: readonly (readonly [number, number])[] = [
  [0x3000, 0x4000],
  [0x4000, 0x4f80],
  [0x5000, 0x6000],
];

describe('where a shipper goes on', () => {
  it('is the end of the archive, when the server was told that all before it is there', async () => {
    expect(await waysWith(0x5800, [0x4000, 0x5000], [0x5000, 0x5800])).toEqual(['0/5800']);
    expect(await waysWith(0x5000, [0x4000, 0x5000])).toEqual(['0/5000']);
  });

  it('is the border before the log of a server, when nothing is there', async () => {
    expect(await waysWith(0x5800)).toEqual(['0/5000']);
  });

  it('is a hole behind what the server keeps', async () => {
    expect(await waysWith(0x4f80, ...HOLE)).toEqual(['0/4F80']);
  });

  it('is first the hole before a slot that was made anew, for another node may have its log, and then the end', async () => {
    expect(await waysWith(0x7000, ...HOLE)).toEqual(['0/4F80', '0/6000']);
    expect(await waysWith(0x5010, ...HOLE)).toEqual(['0/4F80', '0/6000']);
    // At the very end of an object, as if it had been confirmed.
    expect(await waysWith(0x6000, ...HOLE)).toEqual(['0/4F80', '0/6000']);
  });

  it('is each of several holes in turn', async () => {
    const ways = await waysWith(0x9000, [0x1000, 0x2000], [0x3000, 0x4000], [0x5000, 0x6000]);
    expect(ways).toEqual(['0/2000', '0/4000', '0/6000']);
  });

  it('does not look for the holes of long ago, which nobody can fill', async () => {
    const old = [0x1000, 0x2000] as const;
    expect(await waysWith(0x90000, old, [0x80000, 0x81000])).toEqual(['0/81000']);
  });
});
