/** What the retention takes away, and what it never does. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Listed } from '../../../lambdas/model/archive/catalogue.ts';
import { restorableRanges } from '../../../lambdas/model/archive/ranges.ts';
import { retentionOf } from '../../../lambdas/model/archive/retention.ts';
import { parseTimelineHistory } from '../../../lambdas/model/archive/timeline.ts';
import { GALERA, PG, at, base, binlog, data, gtid, historyFile, mib, point, sec, wal } from './listing.ts';

const HOUR = 3600;
const plan = (listing: readonly Listed[], retention: number, now: number) =>
  retentionOf(listing, new Map(), retention * 1000, sec(now));

const foreign: Listed = { key: 'orders/README', sizeBytes: 1 };
const parts = (id: string, place = PG): Listed => ({
  key: `${place.cluster}/${place.history}/base/${id}/parts`,
  sizeBytes: 1,
});

const listing = [
  ...base('b1', 10, at(1, 32)),
  parts('b1'),
  wal(1, 32, 48, 20),
  wal(1, 48, 64, 30),
  point('old', 15, at(1, 40)),
  ...base('b2', 32, at(1, 66)),
  wal(1, 64, 80, 40),
  ...base('b3', 50, at(1, 90)),
  wal(1, 80, 96, 60),
  foreign,
];

describe('PostgreSQL', () => {
  it('what lies before the base of the oldest moment goes, the manifest first', () => {
    const { remove, classes } = plan(listing, 20, 60);
    expect(remove).toEqual([
      base('b1', 10, at(1, 32))[1]?.key,
      data('b1').key,
      parts('b1').key,
      wal(1, 32, 48, 20).key,
      wal(1, 48, 64, 30).key,
      point('old', 15, at(1, 40)).key,
    ]);
    expect(classes.filter((c) => c.act === 'removed').map((c) => [c.what, c.objects])).toEqual([
      ['manifests', 1],
      ['base backups', 2],
      ['log', 2],
      ['restore points', 1],
    ]);
    expect(classes.find((c) => c.what === 'log')?.why).toContain('b2 ended 2026-11-20T14:00:32.000Z');
    expect(classes.filter((c) => c.act === 'kept').map((c) => c.objects)).toEqual([2, 2]);
  });

  it('the segment in which a kept base begins stays whole', () => {
    expect(plan(listing, 20, 60).remove).not.toContain(wal(1, 64, 80, 40).key);
  });

  it('nothing goes while no good base is older than the retention', () => {
    expect(plan(listing, 55, 60).remove).toEqual([]);
    expect(
      plan(
        listing.filter((o) => o.key !== data('b1').key && o.key !== data('b2').key),
        20,
        60,
      ).remove,
    ).toEqual([]);
  });

  it('never the last good base backup, however old', () => {
    const old = [...base('b1', 10, at(1, 32)), wal(1, 32, 48, 20)];
    expect(plan(old, 1, 1_000_000).remove).toEqual([]);
  });

  it('a base on a timeline whose loss was accepted does not push out the one before it, which leads to what is there now', () => {
    const [two, three] = [historyFile(2), historyFile(3)];
    const files = new Map([two, three].map(({ key }, i) => [key, parseTimelineHistory(i + 2, `1\t${mib(50)}\tr`)]));
    const left = [
      ...[...base('b1', 10, at(1, 32)), wal(1, 32, 48, 20), wal(1, 48, 64, 30), two],
      ...[wal(2, 50, 64, 35), ...base('b2', 32, at(2, 52)), three, wal(3, 50, 64, 90)],
    ];
    const removed = (of: readonly Listed[]) => retentionOf(of, files, 20_000, sec(60)).remove;
    expect(removed(left)).toEqual([]);
    expect(removed(left.filter(({ key }) => !key.includes('/00000003')))).toContain(data('b1').key);
  });

  it('a base of which no log tells a moment does not push the one before it out', () => {
    const untold = [...base('b1', 10, at(1, 32)), wal(1, 32, 48, 20), ...base('b2', 31, at(1, 40))];
    expect(plan(untold, 20, 60).remove).toEqual([]);
  });

  it('a base without data does not push the one before it out', () => {
    const without = listing.filter((o) => o.key !== data('b2').key);
    expect(plan(without, 20, 60).remove).toEqual([]);
  });

  it('an old upload without a manifest goes, one of today stays', () => {
    const old = data('20261119T140000Z-i-1');
    const young = data('20261120T140050Z-i-1');
    expect(plan([...listing, old, young], 20, 60).remove).toContain(old.key);
    expect(plan([...listing, old, young], 20, 60).remove).not.toContain(young.key);
  });

  it('a database that another has followed for longer than the retention goes as a whole; never before', () => {
    const other = { cluster: 'orders', history: '7400000000000000000' };
    const later = [...base('c1', HOUR, at(1, 16), at(1, 16), other), wal(1, 16, 32, 3 * HOUR, other)];
    const ownKeys = listing.filter((o) => o !== foreign).map((o) => o.key);
    expect([...plan([...listing, ...later], HOUR, 3 * HOUR).remove].sort()).toEqual([...ownKeys].sort());
    expect(plan([...listing, ...later], 3 * HOUR - 55, 3 * HOUR).remove).not.toContain(data('b3').key);
  });
});

it('MariaDB: log that every kept base has in goes', () => {
  const own = [
    ...base('g1', 10, gtid('0-1-100')),
    binlog('0-1-100', '0-1-150', 20),
    binlog('0-1-150', '0-1-180', 30),
    ...base('g2', 32, gtid('0-1-170')),
    binlog('0-1-180', '0-1-190', 60),
  ];
  expect(plan(own, 20, 60).remove).toEqual([
    base('g1', 10, gtid('0-1-100'))[1]?.key,
    data('g1', GALERA).key,
    binlog('0-1-100', '0-1-150', 20).key,
  ]);
});

describe('whatever is in the bucket', () => {
  const archive = fc.array(
    fc.record({
      length: fc.integer({ min: 1, max: 3 }),
      base: fc.constantFrom('good', 'none', 'none', 'without data'),
      hole: fc.integer({ min: 0, max: 9 }),
      known: fc.boolean(),
    }),
    { minLength: 3, maxLength: 14 },
  );

  it('each moment of the retention that could be restored still can be, and what goes is older and ours', () => {
    let removals = 0;
    fc.assert(
      fc.property(archive, fc.integer({ min: 1, max: 150 }), (steps, retention) => {
        const all: Listed[] = [foreign, { key: 'orders/restore/x/plan', sizeBytes: 1 }];
        let [place, now] = [32, 10];
        for (const [i, step] of steps.entries()) {
          if (step.base !== 'none') {
            const made = base(`b${i}`, now, at(1, place));
            all.push(...(step.base === 'good' ? made : made.slice(1)));
          }
          now += step.length * 5;
          const end = place + step.length * 8;
          if (step.hole > 0) all.push(wal(1, place, end, step.known || i === steps.length - 1 ? now : null));
          place = end;
        }
        const { remove } = plan(all, retention, now);
        removals += remove.length;
        const gone = new Set(remove);
        const left = all.filter((o) => !gone.has(o.key));
        const [before, after] = [restorableRanges(all), restorableRanges(left)];
        const can = (found: typeof before, s: number): boolean =>
          found.some((h) => h.ranges.some((r) => r.fromMs <= sec(s) && sec(s) <= r.untilMs));
        const lost: number[] = [];
        for (let s = now - retention; s <= now; s += 1) if (can(before, s) && !can(after, s)) lost.push(s);
        expect(lost).toEqual([]);
        expect(left).toContain(foreign);
        const youngest = /-(\d{13})\.zst$/;
        for (const key of remove) {
          const covered = Number(youngest.exec(key)?.[1] ?? 0);
          expect(covered).toBeLessThan(sec(now - retention));
        }
        if (before.some((h) => h.ranges.length > 0)) expect(after.some((h) => h.ranges.length > 0)).toBe(true);
      }),
      { numRuns: 300 },
    );
    expect(removals).toBeGreaterThan(100);
  });
});
