/** What a person may ask for, and what is refused with which sentence. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HistoryRanges } from '../../../lambdas/model/archive/ranges.ts';
import { newestHistory, restorableRanges } from '../../../lambdas/model/archive/ranges.ts';
import {
  chooseHistory,
  defaultName,
  isRefused,
  parseTarget,
  refuseMoment,
  refuseName,
  targetText,
} from '../../../lambdas/model/archive/target.ts';
import type { EngineKind } from '../../../lambdas/model/spec.ts';
import { PG, T0, at, base, sec, wal } from './listing.ts';

const read = (text: string, engine: EngineKind = 'postgres') => {
  const target = parseTarget(text, engine);
  return isRefused(target) ? `${target.refused}: ${target.sentence}` : target;
};

describe('a target that is understood', () => {
  it.each([
    ['2026-11-20T14:03:07Z', '2026-11-20T14:03:07Z'],
    ['2026-11-20T15:03:07+01:00', '2026-11-20T14:03:07Z'],
    ['2026-11-20 14:03:07 Z', '2026-11-20T14:03:07Z'],
    ['2026-11-20T08:33:07-0530', '2026-11-20T14:03:07Z'],
    ['2026-11-20T14:03Z', '2026-11-20T14:03:00Z'],
    ['2026-11-20T14:03:07.25+00', '2026-11-20T14:03:07.25Z'],
    ['2026-02-28T23:59:59-01:00', '2026-03-01T00:59:59Z'],
    ['latest', 'latest'],
    ['0/3000148', '0/3000148'],
    ['2/a/3000148', '2/A/3000148'],
    ['before-deploy', 'before-deploy'],
  ])('%s', (text, expected) => {
    const target = parseTarget(text, 'postgres');
    expect(isRefused(target) ? target.sentence : targetText(target)).toBe(expected);
  });

  it('a microsecond counts: the log must cover the millisecond after it', () => {
    expect(read('2026-11-20T14:00:00.000001Z')).toEqual({
      kind: 'time',
      atMs: T0 + 1,
      text: '2026-11-20T14:00:00.000001Z',
    });
    expect(read('2026-11-20T14:00:00.000Z', 'galera')).toMatchObject({ atMs: T0, text: '2026-11-20T14:00:00Z' });
  });

  it('GTIDs, one or several', () => {
    expect(read('0-1-270', 'galera')).toMatchObject({ kind: 'gtid' });
    const several = parseTarget('1-5-9,0-1-270', 'galera');
    expect(isRefused(several) ? '' : targetText(several)).toBe('0-1-270,1-5-9');
  });

  it('any moment in any zone is the same moment', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 4_000_000_000 }),
        fc.integer({ min: -720, max: 840 }),
        (seconds, offset) => {
          const local = new Date((seconds + offset * 60) * 1000).toISOString().slice(0, 19);
          if (local.length !== 19 || local.startsWith('-')) return;
          const [h, m] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60].map((n) =>
            String(n).padStart(2, '0'),
          );
          const found = parseTarget(`${local}${offset < 0 ? '-' : '+'}${h}:${m}`, 'galera');
          expect(found).toMatchObject({ kind: 'time', atMs: seconds * 1000 });
        },
      ),
    );
  });
});

describe('rule 11: a target that is refused, with what would be accepted', () => {
  it.each<[string, EngineKind, RegExp]>([
    ['2026-11-20T14:03:07', 'postgres', /^TIME_WITHOUT_ZONE: .*add Z for UTC.*"2026-11-20T14:03:07Z"$/],
    ['2026-11-20', 'postgres', /^NOT_A_TARGET: .* is no time: give "latest"/],
    ['2026-13-20T14:03:07Z', 'postgres', /^NOT_A_TARGET: .* no moment of the calendar/],
    ['2026-02-30T14:03:07Z', 'postgres', /^NOT_A_TARGET: .* no moment of the calendar/],
    ['2026-11-20T25:03:07Z', 'postgres', /^NOT_A_TARGET/],
    ['2026-11-20T14:03:07+25:00', 'postgres', /^NOT_A_TARGET/],
    ['2026-11-20T14:03:07.5Z', 'galera', /^TIME_TOO_FINE: .*whole seconds: give "2026-11-20T14:03:07Z", or a GTID/],
    ['2026-11-20T14:03:07.1234567Z', 'postgres', /^TIME_TOO_FINE/],
    ['0/3000148', 'galera', /^OTHER_ENGINE: .* is an LSN, and the cluster runs MariaDB/],
    ['0-1-270', 'postgres', /^OTHER_ENGINE: .* is a GTID, and the cluster runs PostgreSQL/],
    ['0-1-270,0-2-271', 'galera', /^NOT_A_TARGET: .*names domain 0 twice/],
    ['', 'postgres', /^NOT_A_TARGET: the target is "": give "latest"/],
    ['before deploy; rm -rf /', 'postgres', /^NOT_A_TARGET/],
    ['yesterday\n', 'postgres', /^$/],
  ])('%j', (text, engine, expected) => {
    const found = read(text, engine);
    if (expected.source === '^$') expect(found).toEqual({ kind: 'name', name: 'yesterday' });
    else expect(found).toMatch(expected);
  });
});

const listing = [
  ...base('b1', 10, at(1, 32)),
  wal(1, 32, 40, 20),
  wal(1, 64, 70, 100),
  ...base('b2', 101, at(1, 66)),
  wal(1, 70, 72, 120),
];
const [history] = restorableRanges(listing) as [HistoryRanges];

describe('rule 11: a moment that cannot be restored', () => {
  it.each([
    [10, null],
    [20, null],
    [120, null],
    [9, 'BEFORE_THE_FIRST'],
    [21, 'IN_A_HOLE'],
    [100, 'IN_A_HOLE'],
    [121, 'BEYOND_THE_END'],
    [301, 'IN_THE_FUTURE'],
  ])('second %i: %s', (s, code) => {
    const refused = refuseMoment(sec(s), history, sec(300));
    expect(refused?.refused ?? null).toBe(code);
    if (refused !== null)
      expect(refused.sentence).toContain('2026-11-20T14:00:10.000Z to 2026-11-20T14:00:20.000Z, and');
  });

  it('with nothing at all says how to begin', () => {
    const [none] = restorableRanges(base('b1', 10, at(1, 32))) as [HistoryRanges];
    expect(refuseMoment(sec(15), none, sec(300))).toMatchObject({ refused: 'NOTHING_RESTORABLE' });
  });
});

describe('the new cluster’s name', () => {
  it('is the old one’s with the minute, cut to what a specification allows', () => {
    expect(defaultName('orders', T0)).toBe('orders-r202611201400');
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z][a-z0-9-]{0,28}[a-z0-9]$/), (name) => {
        const made = defaultName(name, T0);
        expect(made.length).toBeLessThanOrEqual(30);
        expect(refuseName(made, [])).toBeNull();
      }),
    );
  });

  it('is refused when it exists or is none', () => {
    expect(refuseName('orders', ['orders'])).toMatchObject({ refused: 'NAME_TAKEN' });
    expect(refuseName('Orders!', [])).toMatchObject({ refused: 'BAD_NAME' });
    expect(refuseName('x'.repeat(31), [])).toMatchObject({ refused: 'BAD_NAME' });
  });
});

it('the newest database is meant unless another is named', () => {
  const other = { cluster: 'orders', history: '7400000000000000000' };
  const all = restorableRanges([
    ...listing,
    ...base('c1', 1000, at(1, 16), at(1, 16), other),
    wal(1, 16, 20, 1010, other),
  ]);
  const newest = newestHistory(all);
  expect(chooseHistory('orders', all, newest, null)).toMatchObject({ place: other });
  expect(chooseHistory('orders', all, newest, PG.history)).toMatchObject({ place: PG });
  expect(chooseHistory('orders', all, newest, '1')).toMatchObject({ refused: 'UNKNOWN_HISTORY' });
  expect(chooseHistory('stock', [], null, null)).toMatchObject({ refused: 'NOTHING_RESTORABLE' });
});
