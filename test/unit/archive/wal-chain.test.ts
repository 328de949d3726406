import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WalObject } from '../../../lambdas/model/archive/keys.ts';
import { lsnOfBytes } from '../../../lambdas/model/archive/keys.ts';
import { timelineAt, timelinePath } from '../../../lambdas/model/archive/timeline.ts';
import { walChain } from '../../../lambdas/model/archive/wal-chain.ts';
import { lsnBytes } from '../../../lambdas/model/lsn.ts';

const at = (n: number): string => lsnOfBytes(BigInt(n));
const wal = (timeline: number, start: number, end: number, coveredMs = 0): WalObject => ({
  ...{ kind: 'wal', timeline, coveredMs },
  ...{ start: at(start), end: at(end) },
});
const FIRST = timelinePath(1, null);
const SECOND = timelinePath(2, `1\t${at(150)}\tno recovery target specified\n`);

/** `1:100-150`, or `hole 1:100-150`. */
const told = ({ tiles, holes }: ReturnType<typeof walChain>): readonly string[] =>
  [
    ...tiles.map((t) => ({ text: `${t.object.timeline}:`, ...t })),
    ...holes.map((h) => ({ text: `hole ${h.timeline}:`, ...h })),
  ]
    .map(({ text, from, to }) => ({ from: lsnBytes(from), line: `${text}${lsnBytes(from)}-${lsnBytes(to)}` }))
    .sort((a, b) => Number(a.from - b.from))
    .map(({ line }) => line);

describe('the chain of WAL objects', () => {
  it.each([
    ['objects that follow each other', FIRST, [wal(1, 0, 100), wal(1, 100, 200)], 0, null, ['1:0-100', '1:100-200']],
    ['in any order', FIRST, [wal(1, 100, 200), wal(1, 0, 100)], 0, null, ['1:0-100', '1:100-200']],
    ['from the middle of one', FIRST, [wal(1, 0, 100), wal(1, 100, 200)], 50, null, ['1:50-100', '1:100-200']],
    ['up to the middle of one', FIRST, [wal(1, 0, 100), wal(1, 100, 200)], 0, 150, ['1:0-100', '1:100-150']],
    ['those that overlap, each byte once', FIRST, [wal(1, 0, 100), wal(1, 60, 200)], 0, null, ['1:0-100', '1:100-200']],
    ['the one that leads farthest', FIRST, [wal(1, 0, 50), wal(1, 0, 100), wal(1, 20, 60)], 0, null, ['1:0-100']],
    ['a hole', FIRST, [wal(1, 0, 100), wal(1, 120, 200)], 0, null, ['1:0-100', 'hole 1:100-120', '1:120-200']],
    ['nothing at the end', FIRST, [wal(1, 0, 100)], 0, 150, ['1:0-100', 'hole 1:100-150']],
    ['nothing at all', FIRST, [], 0, 150, ['hole 1:0-150']],
    ['another timeline', FIRST, [wal(2, 0, 100)], 0, 100, ['hole 1:0-100']],
    [
      'over a switch: the old timeline up to it, the new one from it',
      SECOND,
      [wal(1, 100, 170), wal(2, 150, 200)],
      ...([100, null, ['1:100-150', '2:150-200']] as const),
    ],
    [
      'a branch that was left is not followed',
      SECOND,
      [wal(1, 100, 170), wal(1, 170, 300)],
      ...([100, 200, ['1:100-150', 'hole 2:150-200']] as const),
    ],
    ['from beyond the switch', SECOND, [wal(1, 100, 200), wal(2, 150, 200)], 160, null, ['2:160-200']],
    ['up to before the switch', SECOND, [wal(1, 100, 200), wal(2, 150, 200)], 100, 120, ['1:100-120']],
  ])('%s', (_what, path, objects, from, to, expected) => {
    expect(told(walChain(objects, path, at(from), to === null ? null : at(to)))).toEqual(expected);
  });

  it('ends before the first hole, and at a switch on the timeline that begins there', () => {
    expect(walChain([wal(1, 0, 100), wal(1, 120, 200)], FIRST, at(0)).end).toEqual({ timeline: 1, lsn: at(100) });
    expect(walChain([wal(1, 0, 150)], SECOND, at(0)).end).toEqual({ timeline: 2, lsn: at(150) });
    expect(walChain([], SECOND, at(20)).end).toEqual({ timeline: 1, lsn: at(20) });
  });

  it('covers what an object of the unbroken part says, and nothing beyond a hole or off the path', () => {
    const covered = (objects: readonly WalObject[], path = FIRST): number => walChain(objects, path, at(0)).coveredMs;
    expect(covered([wal(1, 0, 100, 5), wal(1, 100, 200, 9), wal(1, 100, 150, 7)])).toBe(9);
    expect(covered([wal(1, 0, 100, 5), wal(1, 120, 200, 9)])).toBe(5);
    expect(covered([wal(1, 0, 150, 5), wal(1, 150, 200, 9), wal(2, 150, 160, 6)], SECOND)).toBe(6);
    expect(covered([wal(1, 0, 170, 9), wal(2, 150, 160, 6)], SECOND)).toBe(6);
    // An empty object says only that there was nothing more.
    expect(covered([wal(1, 0, 100, 5), wal(1, 100, 100, 8)])).toBe(8);
  });

  it('an object without bytes beyond the end tells of a hole before it', () => {
    expect(told(walChain([wal(1, 0, 100, 5), wal(1, 120, 120, 8)], FIRST, at(0)))).toEqual([
      '1:0-100',
      'hole 1:100-120',
    ]);
    const holes = [wal(1, 0, 100), wal(1, 120, 120, 8), wal(1, 150, 160)];
    expect(told(walChain(holes, FIRST, at(0)))).toEqual(['1:0-100', 'hole 1:100-150', '1:150-160']);
    expect(walChain([wal(1, 0, 100, 5), wal(1, 120, 120, 8)], FIRST, at(0)).coveredMs).toBe(5);
  });

  it('takes every byte that is there exactly once, and names every one that is not', () => {
    const range = fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 20 })).map(([s, n]) => wal(1, s, s + n));
    fc.assert(
      fc.property(fc.array(range, { maxLength: 12 }), fc.nat(40), fc.nat(40), (objects, from, length) => {
        const to = from + length;
        const { tiles, holes } = walChain(objects, FIRST, at(from), at(to));
        const bytes = Array.from({ length: to }, () => '');
        for (const t of tiles) {
          const [a, b] = [Number(lsnBytes(t.from)), Number(lsnBytes(t.to))];
          expect(lsnBytes(t.object.start) <= BigInt(a) && lsnBytes(t.object.end) >= BigInt(b)).toBe(true);
          for (let i = a; i < b; i += 1) bytes[i] += 't';
        }
        for (const h of holes)
          for (let i = Number(lsnBytes(h.from)); i < Number(lsnBytes(h.to)); i += 1) bytes[i] += 'h';
        const has = (i: number): boolean =>
          objects.some((o) => lsnBytes(o.start) <= BigInt(i) && lsnBytes(o.end) > BigInt(i));
        for (let i = from; i < to; i += 1) expect(bytes[i]).toBe(has(i) ? 't' : 'h');
      }),
    );
  });
});

describe('the chain of weeks of log', () => {
  it('is found in about a second', () => {
    const objects = Array.from({ length: 300_000 }, (_, n) =>
      wal(n < 200_000 ? 1 : 2, n * 10, n * 10 + 12, n),
    ).reverse();
    const path = timelinePath(2, `1\t${at(2_000_000)}\treason`);
    const before = process.threadCpuUsage();
    expect(walChain(objects, path, at(5)).tiles).toHaveLength(300_000);
    // Half a second of an idle core. Not by the clock: tests run on busy ones.
    expect(process.threadCpuUsage(before).user).toBeLessThan(3_000_000);
  }, 120_000);
});

describe('the path of timelines', () => {
  it('is read from a history file, comments and all', () => {
    const text = '# a comment\n1\t0/3000000\tno recovery target specified\n\n2\t0/5000028\tbefore 2026-11-20\n';
    expect(timelinePath(4, text)).toEqual([
      { timeline: 1, from: '0/0', to: '0/3000000' },
      { timeline: 2, from: '0/3000000', to: '0/5000028' },
      { timeline: 4, from: '0/5000028', to: null },
    ]);
  });

  it('says whose a byte is: at a switch the new timeline’s', () => {
    expect([149, 150, 151].map((n) => timelineAt(SECOND, at(n)))).toEqual([1, 2, 2]);
  });

  it.each(['1 nonsense why', 'one\t0/1\twhy'])('refuses the line %j, and names it', (line) => {
    expect(() => timelinePath(2, line)).toThrow(JSON.stringify(line));
  });
});
