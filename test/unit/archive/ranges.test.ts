/** Which moments can be restored: golden listings, and what must hold whatever is lost. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Listed } from '../../../lambdas/model/archive/catalogue.ts';
import { keyOf } from '../../../lambdas/model/archive/keys.ts';
import { newestHistory, restorableRanges } from '../../../lambdas/model/archive/ranges.ts';
import { parseTimelineHistory } from '../../../lambdas/model/archive/timeline.ts';
import { GALERA, PG, T0, at, base, binlog, data, gtid, historyFile, manifest, mib, sec, wal } from './listing.ts';

/** Seconds after T0 of everything, and sentences. */
function told(listing: readonly Listed[], files: Readonly<Record<number, string>> = {}) {
  const contents = new Map(
    Object.entries(files).map(([timeline, text]) => [
      keyOf(PG, { kind: 'history', timeline: Number(timeline) }),
      parseTimelineHistory(Number(timeline), text),
    ]),
  );
  const seconds = (ms: number): number => (ms - T0) / 1000;
  return restorableRanges(listing, contents).map(({ ranges, holes, unusable }) => ({
    ranges: ranges.map((r) => [seconds(r.fromMs), seconds(r.untilMs), r.bases.join('+')]),
    holes: holes.map((h) => [seconds(h.fromMs), h.untilMs === null ? null : seconds(h.untilMs), h.sentence]),
    unusable: unusable.map((u) => `${u.code}: ${u.sentence}`),
  }));
}

const only = (listing: readonly Listed[], files: Readonly<Record<number, string>> = {}) => {
  const [first, ...more] = told(listing, files);
  expect(more).toEqual([]);
  return first;
};

const whole = [...base('b1', 10, at(1, 32), at(1, 33)), wal(1, 32, 40, 20), wal(1, 40, 48, 30), wal(1, 48, 50, 35)];

describe('PostgreSQL', () => {
  it('from the end of the base to what the newest object covers', () => {
    expect(only(whole)).toEqual({ ranges: [[10, 35, 'b1']], holes: [], unusable: [] });
  });

  it('never beyond: an object whose moment is unknown adds log and no moment', () => {
    expect(only([...whole, wal(1, 50, 60, null)])?.ranges).toEqual([[10, 35, 'b1']]);
    expect(only([...whole, wal(1, 50, 60, null), wal(1, 60, 61, 50)])?.ranges).toEqual([[10, 50, 'b1']]);
  });

  it('up to what an idle server has attested, if it is at the end of the chain', () => {
    expect(only([...whole, wal(1, 50, 50, 90)])).toEqual({ ranges: [[10, 90, 'b1']], holes: [], unusable: [] });
    expect(only([...whole, wal(1, 50, 50, 90), wal(1, 50, 51, 100)])?.ranges).toEqual([[10, 100, 'b1']]);
    expect(only([...whole, wal(1, 52, 52, 90)])?.ranges).toEqual([[10, 35, 'b1']]);
  });

  it('a segment is needed from its beginning', () => {
    const inTheMiddle = [...base('b1', 10, at(1, 33)), wal(1, 33, 40, 20)];
    expect(only(inTheMiddle)?.ranges).toEqual([]);
    expect(only([...inTheMiddle, wal(1, 32, 33, 5)])?.ranges).toEqual([[10, 20, 'b1']]);
  });

  it('objects may overlap, and come twice', () => {
    const listing = [
      ...whole.filter((o) => !o.key.includes('/0000000002800000-')),
      wal(1, 36, 49, 31),
      wal(1, 34, 37, 15),
    ];
    expect(only(listing)).toEqual({ ranges: [[10, 35, 'b1']], holes: [], unusable: [] });
  });

  it('a hole in the log ends the range, and the next base begins another', () => {
    const listing = [...whole, wal(1, 64, 70, 100), ...base('b2', 101, at(1, 66)), wal(1, 70, 72, 120)];
    expect(only(listing)).toEqual({
      ranges: [
        [10, 35, 'b1'],
        [101, 120, 'b2'],
      ],
      holes: [[35, 101, 'log between 1/0/3200000 and 1/0/4000000 is missing']],
      unusable: [],
    });
  });

  it('a hole after which no base is, reaches to the end', () => {
    expect(only([...whole, wal(1, 64, 70, 100)])?.holes).toEqual([
      [35, null, 'log between 1/0/3200000 and 1/0/4000000 is missing'],
    ]);
  });

  it('several bases on one unbroken log are one range', () => {
    expect(only([...whole, ...base('b2', 22, at(1, 41))])?.ranges).toEqual([[10, 35, 'b1+b2']]);
  });

  it('a base without data, without log or without a moment is none', () => {
    expect(only([manifest('b1', 10, at(1, 32), at(1, 33)), wal(1, 32, 40, 20)])).toEqual({
      ranges: [],
      holes: [],
      unusable: [
        `data-missing: the base backup b1 has a manifest and no data: expected orders/${PG.history}/base/b1/data.zst`,
      ],
    });
    expect(only(base('b1', 10, at(1, 32)))?.unusable[0]).toMatch(
      /^log-does-not-follow: .* it leads to 1\/0\/2000000: no more log is there$/,
    );
    expect(only([...base('b1', 10, at(1, 32)), wal(1, 32, 40, 9)])?.ranges).toEqual([]);
    expect(only([data('b1'), wal(1, 32, 40, 20)])).toEqual({ ranges: [], holes: [], unusable: [] });
  });

  const switched = [...whole, historyFile(2), wal(2, 50, 52, 60)];
  it('goes on over a switch of the timeline', () => {
    expect(only(switched, { 2: `1\t${mib(50)}\tno recovery target specified\n` })?.ranges).toEqual([[10, 60, 'b1']]);
  });

  it('does not restore the tail that a switch left behind', () => {
    const listing = [...switched, wal(1, 50, 55, 44), wal(1, 55, 56, 45)];
    const files = { 2: `1\t${mib(50)}\treason` };
    expect(only(listing, files)).toEqual({ ranges: [[10, 60, 'b1']], holes: [], unusable: [] });
    expect(
      only(
        listing.filter((o) => !o.key.includes('/00000002/')),
        files,
      )?.ranges,
    ).toEqual([[10, 35, 'b1']]);
  });

  it('an object that reaches beyond the switch serves up to it, and its moment does not count', () => {
    const files = { 2: `1\t${mib(50)}\treason` };
    const listing = [...whole.slice(0, -1), wal(1, 48, 53, 44), historyFile(2)];
    expect(only(listing, files)?.ranges).toEqual([[10, 30, 'b1']]);
    expect(only([...listing, wal(2, 50, 52, 60)], files)?.ranges).toEqual([[10, 60, 'b1']]);
  });

  it('log missing before the switch is a hole', () => {
    const listing = switched.filter((o) => !o.key.includes('wal/00000001/0000000003000000'));
    expect(only(listing, { 2: `1\t${mib(50)}\treason` })?.holes).toEqual([
      [30, null, 'log between 1/0/3000000 and 1/0/3200000, where timeline 2 goes on is missing'],
    ]);
  });

  it('without the history file nothing beyond the new timeline’s beginning is promised', () => {
    const listing = [...whole, wal(1, 50, 55, 44), wal(2, 50, 52, 60)];
    expect(only(listing)).toEqual({
      ranges: [[10, 35, 'b1']],
      holes: [
        [35, null, `the history file of timeline 2 is missing: expected it as orders/${PG.history}/history/00000002`],
      ],
      unusable: [],
    });
  });

  it('a base on what a switch left behind is none', () => {
    const listing = [...switched, wal(1, 50, 56, 45), ...base('b2', 44, at(1, 52), at(1, 54))];
    expect(only(listing, { 2: `1\t${mib(50)}\treason` })).toMatchObject({
      ranges: [[10, 60, 'b1']],
      unusable: [expect.stringMatching(/^abandoned: the base backup b2 ends at 1\/0\/3600000, beyond 0\/3200000/)],
    });
  });

  it('a base within the new timeline’s first segment needs the old one’s beginning of it', () => {
    const files = { 2: `1\t${mib(50)}\treason` };
    const listing = [...base('b2', 60, at(2, 51)), historyFile(2), wal(2, 50, 60, 70)];
    expect(only(listing, files)?.ranges).toEqual([]);
    expect(only([...listing, wal(1, 48, 50, 35)], files)?.ranges).toEqual([[60, 70, 'b2']]);
  });

  it('a timeline of another branch does not count', () => {
    const files = { 2: `1\t${mib(50)}\tr`, 3: `1\t${mib(20)}\tr` };
    const listing = [...switched, historyFile(3), wal(3, 20, 90, 500)];
    expect(only(listing, files)?.ranges).toEqual([[10, 60, 'b1']]);
  });

  it('two databases of one name are two, and the newer one is meant', () => {
    const other = { cluster: 'orders', history: '7400000000000000000' };
    const listing = [...whole, ...base('c1', 1000, at(1, 16), at(1, 16), other), wal(1, 16, 20, 1010, other)];
    const answer = restorableRanges([...listing, { key: 'orders/restore/x/plan', sizeBytes: 1 }]);
    expect(answer.map((h) => h.place.history)).toEqual([PG.history, other.history]);
    expect(newestHistory(answer)?.place.history).toBe(other.history);
  });
});

describe('MariaDB', () => {
  const log = [binlog('0-1-90', '0-1-100', 5), binlog('0-1-100', '0-1-150', 20), binlog('0-1-150', '0-2-180', 30)];
  const listing = [...base('g1', 10, gtid('0-1-100')), ...log];

  it('from the end of the base to what the newest object covers', () => {
    expect(only(listing)).toEqual({ ranges: [[10, 30, 'g1']], holes: [], unusable: [] });
  });

  it('goes on from another node’s binlog that overlaps', () => {
    const more = [...listing, binlog('0-1-120', '0-2-200', 40, 'i-2~b.000007~4')];
    expect(only(more)?.ranges).toEqual([[10, 40, 'g1']]);
  });

  it('a hole in the log is told by its transactions', () => {
    const more = [
      ...listing,
      binlog('0-2-190', '0-2-200', 60),
      ...base('g2', 61, gtid('0-2-195')),
      binlog('0-2-200', '0-2-201', 70),
    ];
    expect(only(more)).toEqual({
      ranges: [
        [10, 30, 'g1'],
        [61, 70, 'g2'],
      ],
      holes: [[30, 61, 'transactions between 0-2-180 and 0-2-190 are missing']],
      unusable: [],
    });
  });

  it('several domains: an object follows when all before it is in', () => {
    const two = [
      ...base('g1', 10, gtid('0-1-100,1-5-7')),
      binlog('0-1-100,1-5-7', '0-1-110,1-5-9', 20),
      binlog('0-1-110,1-5-9', '0-1-110,1-5-12', 30),
    ];
    expect(only(two)?.ranges).toEqual([[10, 30, 'g1']]);
    expect(only(two.filter((o) => !o.key.includes('1-5-00000000000000000009_')))?.ranges).toEqual([]);
    expect(GALERA.cluster).toBe('orders');
  });
});

describe('whatever is lost', () => {
  interface Piece {
    readonly from: number;
    readonly to: number;
    readonly covered: number;
  }
  /** Pieces of log that follow each other, some of it stored again with other borders. */
  const pieces = fc
    .record({
      lengths: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 3, maxLength: 10 }),
      again: fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 1, max: 8 })), { maxLength: 6 }),
    })
    .map(({ lengths, again }) => {
      const all: Piece[] = [];
      let from = 32;
      for (const length of lengths) {
        all.push({ from, to: from + length, covered: from + length });
        from += length;
      }
      const end = from;
      for (const [offset, length] of again) {
        const start = Math.min(32 + offset, end - 1);
        const to = Math.min(start + length, end);
        all.push({ from: start, to, covered: to });
      }
      return all;
    });

  it('a hole appears exactly when nothing else covers what was removed, and nothing beyond it is promised', () => {
    fc.assert(
      fc.property(pieces, fc.nat(), (all, n) => {
        const lost = n % all.length;
        const left = all.filter((_, i) => i !== lost);
        const listing = [...base('b1', 10, at(1, 32)), ...left.map((p) => wal(1, p.from, p.to, p.covered))];
        // MiB by MiB, as slowly as it can be said.
        let reach = 32;
        while (left.some((p) => p.from <= reach && reach < p.to)) reach += 1;
        const inside = left.filter((p) => p.to <= reach);
        const beyond = left.filter((p) => p.to > reach);
        const [found] = restorableRanges(listing);
        const untilMs = found?.ranges[0]?.untilMs ?? null;
        if (inside.length === 0) {
          expect(found?.ranges).toEqual([]);
          expect(found?.unusable).toHaveLength(1);
        } else {
          expect(untilMs).toBe(sec(Math.max(...inside.map((p) => p.covered))));
          expect(found?.holes.length).toBe(beyond.length > 0 ? 1 : 0);
        }
      }),
      { numRuns: 500 },
    );
  });
});
