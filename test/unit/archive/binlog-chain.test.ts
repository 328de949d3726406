import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { binlogChain, binlogRuns, holesBetween } from '../../../lambdas/model/archive/binlog-chain.ts';
import { formatGtidPosition, includesPosition, parseGtidPosition } from '../../../lambdas/model/archive/gtid.ts';
import type { BinlogObject } from '../../../lambdas/model/archive/keys.ts';

const at = (text: string): ReturnType<typeof parseGtidPosition> => parseGtidPosition(text);
const object = (after: string, upTo: string, coveredMs = 0, source = `i-1~b.1~${coveredMs}`): BinlogObject => ({
  kind: 'binlog',
  after: at(after),
  upTo: at(upTo),
  coveredMs,
  source,
});
/** Of one domain and server, by sequences. */
const o = (after: number, upTo: number, coveredMs = 0): BinlogObject =>
  object(after === 0 ? '' : `0-1-${after}`, `0-1-${upTo}`, coveredMs);
const ranges = (links: readonly { readonly object: BinlogObject }[]): string =>
  links.map((l) => `${formatGtidPosition(l.object.after)}..${formatGtidPosition(l.object.upTo)}`).join(' ');

describe('the chain of binlog objects', () => {
  it('is all of them in order when each begins where the one before ended', () => {
    const chain = binlogChain([o(20, 30, 7), o(0, 10), o(10, 20)], at(''), null);
    expect(ranges(chain.links)).toBe('..0-1-10 0-1-10..0-1-20 0-1-20..0-1-30');
    expect(chain).toMatchObject({ reaches: true, hole: null, coveredMs: 7 });
    expect(formatGtidPosition(chain.upTo)).toBe('0-1-30');
  });

  it('prefers the object that reaches farthest where they overlap', () => {
    const chain = binlogChain([o(0, 10), o(0, 25), o(10, 20), o(20, 40), o(22, 30)], at(''), null);
    expect(ranges(chain.links)).toBe('..0-1-25 0-1-20..0-1-40');
  });

  it('begins with an object that begins before what is in', () => {
    expect(ranges(binlogChain([o(0, 10), o(10, 20)], at('0-1-15'), null).links)).toBe('0-1-10..0-1-20');
  });

  it.each([
    ['in the middle of an object', '0-1-12', true, '..0-1-10 0-1-10..0-1-20'],
    ["at an object's end", '0-1-10', true, '..0-1-10'],
    ['at what is in already', '', true, ''],
    ['beyond the newest', '0-1-31', false, '..0-1-10 0-1-10..0-1-20 0-1-20..0-1-30'],
  ])('ends %s when that is asked for', (_, to, reaches, expected) => {
    const chain = binlogChain([o(0, 10), o(10, 20), o(20, 30)], at(''), at(to));
    expect(chain.reaches).toBe(reaches);
    expect(ranges(chain.links)).toBe(expected);
  });

  it('names the hole that it ends at, and the others', () => {
    const objects = [o(0, 10, 1), o(15, 20, 2), o(20, 30, 3), o(50, 60, 4)];
    const chain = binlogChain(objects, at(''), at('0-1-20'));
    expect(chain.reaches).toBe(false);
    expect(chain.hole).toEqual({ after: at('0-1-10'), next: at('0-1-15') });
    const runs = binlogRuns(objects, at(''));
    expect(runs.map((r) => ranges(r.links))).toEqual(['..0-1-10', '0-1-15..0-1-20 0-1-20..0-1-30', '0-1-50..0-1-60']);
    expect(runs.map((r) => r.coveredMs)).toEqual([1, 3, 4]);
    expect(holesBetween(runs).map((h) => `${formatGtidPosition(h.after)}→${formatGtidPosition(h.next)}`)).toEqual([
      '0-1-10→0-1-15',
      '0-1-30→0-1-50',
    ]);
  });

  it('has a hole at once when the log begins after the position', () => {
    const chain = binlogChain([o(10, 20)], at('0-1-5'), null);
    expect(chain).toMatchObject({ links: [], hole: { after: at('0-1-5'), next: at('0-1-10') } });
    expect(binlogChain([], at('0-1-5'), null)).toMatchObject({ links: [], hole: null, upTo: at('0-1-5') });
  });

  it('is covered as far as any object says that ends within it, those without transactions too', () => {
    const idle = { ...o(20, 20, 900), source: 'i-1~b.1~777' };
    const chain = binlogChain([o(0, 10, 100), o(10, 20), idle], at(''), null);
    expect(ranges(chain.links)).toBe('..0-1-10 0-1-10..0-1-20');
    expect(chain.links.map((l) => l.coveredMs)).toEqual([100, 900]);
    expect(chain.coveredMs).toBe(900);
    // What says more ends beyond the hole.
    expect(binlogChain([o(0, 10, 100), o(15, 20, 500)], at(''), null).coveredMs).toBe(100);
    // Nothing was written since the backup.
    expect(binlogChain([idle], at('0-1-20'), null)).toMatchObject({ links: [], coveredMs: 900, hole: null });
  });

  it('goes by all domains, and takes a later server of a domain for what comes after', () => {
    const objects = [
      object('', '0-1-5,1-1-2'),
      object('0-1-5,1-1-2', '0-2-9,1-1-2'),
      object('0-2-9,1-1-2', '0-2-9,1-1-7'),
    ];
    expect(ranges(binlogChain(objects, at(''), null).links)).toBe(
      '..0-1-5,1-1-2 0-1-5,1-1-2..0-2-9,1-1-2 0-2-9,1-1-2..0-2-9,1-1-7',
    );
    expect(binlogChain(objects.slice(1), at('0-1-5'), null).hole).toEqual({
      after: at('0-1-5'),
      next: at('0-1-5,1-1-2'),
    });
  });

  it('never leaves a transaction out, nor takes an object in vain, whatever was shipped by whom', () => {
    const cutPoints = fc.uniqueArray(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(
        cutPoints,
        cutPoints,
        fc.integer({ min: 0, max: 200 }),
        fc.func(fc.integer()),
        (a, b, from, order) => {
          const pieces = [a, b].flatMap((cuts) => {
            const points = [0, ...[...cuts].sort((x, y) => x - y)];
            return points.slice(1).map((end, i) => o(points[i] ?? 0, end));
          });
          const shuffled = [...pieces].sort((x, y) => order(x) - order(y));
          const start = from === 0 ? at('') : at(`0-1-${from}`);
          const chain = binlogChain(shuffled, start, null);
          let position = start;
          for (const { object: piece, upTo } of chain.links) {
            expect(includesPosition(position, piece.after)).toBe(true);
            expect(includesPosition(position, piece.upTo)).toBe(false);
            position = piece.upTo;
            expect(formatGtidPosition(upTo)).toBe(formatGtidPosition(position));
          }
          const newest = Math.max(...a, ...b, from);
          expect(formatGtidPosition(chain.upTo)).toBe(newest === 0 ? '' : `0-1-${newest}`);
          expect(chain.hole).toBeNull();
        },
      ),
    );
  });

  it('is found among weeks of objects in about a second', () => {
    const objects = Array.from({ length: 300_000 }, (_, n) => o(n * 10, n * 10 + 10, n)).reverse();
    const before = process.threadCpuUsage();
    expect(binlogChain(objects, at('0-1-1000'), null).links).toHaveLength(299_900);
    // Half a second of an idle core. Not by the clock: tests run on busy ones.
    expect(process.threadCpuUsage(before).user).toBeLessThan(3_000_000);
  }, 120_000);
});
