/** A restore's plan: the base, the log in order, and what is refused. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { catalogue } from '../../../lambdas/model/archive/catalogue.ts';
import type { Catalogue, Listed } from '../../../lambdas/model/archive/catalogue.ts';
import { keyOf } from '../../../lambdas/model/archive/keys.ts';
import type { Manifest } from '../../../lambdas/model/archive/manifest.ts';
import { isRefused, parseTarget } from '../../../lambdas/model/archive/target.ts';
import { parseTimelineHistory } from '../../../lambdas/model/archive/timeline.ts';
import type { Choice } from '../../../lambdas/model/archive/choose.ts';
import { choose } from '../../../lambdas/model/archive/choose.ts';
import { planOf } from '../../../lambdas/model/archive/plan.ts';
import { GALERA, PG, at, base, binlog, gtid, historyFile, iso, mib, point, sec, wal } from './listing.ts';

const NOW = sec(10_000);
const FILES = new Map([[keyOf(PG, { kind: 'history', timeline: 2 }), parseTimelineHistory(2, `1\t${mib(50)}\tr`)]]);

const pg = [
  ...base('b1', 10, at(1, 32), at(1, 33)),
  wal(1, 32, 40, 20),
  wal(1, 40, 48, 30),
  ...base('b2', 32, at(1, 48), at(1, 48)),
  wal(1, 48, 52, 35),
  historyFile(2),
  wal(2, 50, 54, 60),
  wal(2, 54, 60, 70),
  point('before-deploy', 33, at(1, 49)),
  point('twice', 1, at(1, 34)),
  point('twice', 2, at(1, 35)),
];
const mariadb = [
  ...base('g1', 10, gtid('0-1-100')),
  binlog('0-1-100', '0-1-150', 20),
  binlog('0-1-150', '0-1-180', 30),
  binlog('0-1-180', '0-2-190', 40),
  binlog('0-2-195', '0-2-200', 90),
];

const one = (listing: readonly Listed[]): Catalogue => {
  const [found] = catalogue(listing);
  if (found === undefined) throw new Error('the listing names no archive');
  return found;
};

function chosen(listing: readonly Listed[], text: string, files = FILES): Choice | string {
  const of = one(listing);
  const target = parseTarget(text, of.engine);
  const found = isRefused(target) ? target : choose(of, files, target, NOW);
  return isRefused(found) ? `${found.refused}: ${found.sentence}` : found;
}

const inShort = (choice: Choice | string) =>
  typeof choice === 'string'
    ? choice
    : [
        choice.base.id,
        ...choice.links.map((l) =>
          l.key
            .split('/')
            .slice(2)
            .join('/')
            .replace(/-\d{13}\.zst|\.zst$/, ''),
        ),
      ];

const w = (timeline: number, from: number, to: number): string =>
  wal(timeline, from, to, null)
    .key.split('/')
    .slice(2)
    .join('/')
    .replace(/-\d{13}\.zst$/, '');

describe('PostgreSQL: the newest base at or before the target, and the log up to it', () => {
  it.each<[string, string, readonly string[]]>([
    ['the latest', 'latest', ['b2', w(1, 48, 52), w(2, 50, 54), w(2, 54, 60)]],
    ['a moment before the second base', iso(25), ['b1', w(1, 32, 40), w(1, 40, 48)]],
    ['a moment that the first object covers', iso(15), ['b1', w(1, 32, 40)]],
    ['the very end of a base', iso(32), ['b2', w(1, 48, 52), w(2, 50, 54)]],
    ['a moment after the switch', iso(65), ['b2', w(1, 48, 52), w(2, 50, 54), w(2, 54, 60)]],
    ['an LSN', mib(41), ['b1', w(1, 32, 40), w(1, 40, 48)]],
    ['an LSN with its timeline', `2/${mib(51)}`, ['b2', w(1, 48, 52), w(2, 50, 54)]],
    ['the place where a timeline was left', `1/${mib(50)}`, ['b2', w(1, 48, 52), w(2, 50, 54)]],
    ['the same as the next one’s', `2/${mib(50)}`, ['b2', w(1, 48, 52), w(2, 50, 54)]],
    ['a restore point', 'before-deploy', ['b2', w(1, 48, 52)]],
  ])('%s', (_, text, expected) => {
    const found = chosen(pg, text);
    expect(inShort(found)).toEqual(expected);
  });

  it.each([
    [mib(31), /^BEFORE_THE_FIRST: .*give 1\/0\/2100000 or a later one/],
    [mib(61), /^BEYOND_THE_END: .*give 2\/0\/3C00000 or an earlier place, or "latest"/],
    [`1/${mib(53)}`, /^BEYOND_THE_END: .* timeline 1 was left before it; give 2\//],
    ['after-deploy', /^UNKNOWN_POINT: .*give one of twice, twice, before-deploy/],
    ['twice', /^AMBIGUOUS_POINT: 2 restore points .*1\/0\/2200000.*1\/0\/2300000/],
    [iso(71), /^BEYOND_THE_END/],
    [iso(20_000), /^IN_THE_FUTURE/],
  ])('refuses %s', (text, expected) => {
    expect(chosen(pg, text)).toMatch(expected);
  });

  it('finds a place of a timeline that was left, while nothing of the next one is there yet', () => {
    const listing = pg.filter((o) => !o.key.includes('/wal/00000002/'));
    expect(inShort(chosen(listing, `1/${mib(49)}`))).toEqual(['b2', w(1, 48, 52)]);
    expect(chosen(listing, `2/${mib(49)}`)).toMatch(/timeline 2 was left before it; give 1\//);
  });

  describe('after the loss of a timeline was accepted', () => {
    const three = keyOf(PG, { kind: 'history', timeline: 3 });
    const files = new Map([...FILES, [three, parseTimelineHistory(3, `1\t${mib(50)}\tr`)]]);
    const lost = [...pg, ...base('b3', 65, at(2, 55)), wal(2, 60, 62, 80), historyFile(3), wal(3, 50, 60, 90)];
    const found = (text: string, listing = lost): unknown => inShort(chosen(listing, text, files));
    const live = ['b2', w(1, 48, 52), w(3, 50, 60)];
    const way = [w(1, 48, 52), w(2, 50, 54), w(2, 54, 60)];

    it('the latest is of what is there now, and not of the newest base', () => {
      expect(found('latest')).toEqual(live);
    });

    it.each([
      ['a place of what is there now', `3/${mib(56)}`, live],
      ['a place without a timeline', mib(56), live],
      ['a place of what was lost', `2/${mib(56)}`, ['b3', ...way]],
      ['a moment at which that was there', iso(75), ['b3', ...way, w(2, 60, 62)]],
      ['a moment of what is there now', iso(85), live],
    ])('%s is found', (_, text, expected) => {
      expect(found(text)).toEqual(expected);
    });

    it('nothing is taken for the latest when no base leads there', () => {
      const listing = lost.filter((o) => !/b1|b2/.test(o.key));
      expect(found('latest', listing)).toMatch(/^NOTHING_RESTORABLE: no base backup leads to what is there now: b3/);
      expect(found(mib(56), listing)).toMatch(/^BEYOND_THE_END: .*give 2\//);
      expect(found(`2/${mib(56)}`, listing)).toEqual(['b3', ...way]);
    });
  });

  it('refuses a place in a hole', () => {
    const listing = [
      ...pg.filter((o) => o.key !== wal(2, 54, 60, 70).key),
      wal(2, 60, 64, 90),
      ...base('b3', 91, at(2, 62)),
    ];
    expect(chosen(listing, mib(58))).toMatch(/^IN_A_HOLE: .*log between 2\/0\/3600000 and 2\/0\/3C00000 is missing/);
  });
});

describe('MariaDB', () => {
  const b = (after: string, upTo: string): string =>
    binlog(after, upTo, null).key.split('/').slice(2).join('/').slice(0, -4);
  const short = (choice: Choice | string) =>
    typeof choice === 'string' ? choice : [choice.base.id, choice.links.length];

  it.each([
    ['0-1-101', ['g1', 1]],
    ['0-1-150', ['g1', 1]],
    ['0-1-151', ['g1', 2]],
    ['0-2-190', ['g1', 3]],
    ['0-1-100', ['g1', 0]],
    ['2026-11-20T14:00:25Z', ['g1', 2]],
    ['latest', ['g1', 3]],
  ])('%s', (text, expected) => {
    expect(short(chosen(mariadb, text))).toEqual(expected);
    expect(b('0-1-100', '0-1-150')).toContain('binlog/');
  });

  it('refuses what lies in a hole or before the base', () => {
    expect(chosen(mariadb, '0-2-193')).toMatch(/^IN_A_HOLE: .*transactions between 0-2-190 and 0-2-195 are missing/);
    expect(chosen(mariadb, '0-1-99')).toMatch(/^BEFORE_THE_FIRST/);
  });
});

describe('a loss right after the only base backup: no log tells up to which moment it leads', () => {
  const galera = base('g1', 10, gtid('0-1-100'));
  const postgres = [...base('b1', 10, at(1, 32), at(1, 33)), wal(1, 32, 34, 9)];

  it.each<[string, readonly Listed[], string, readonly string[]]>([
    ['MariaDB, the latest', galera, 'latest', ['g1']],
    ['MariaDB, its own position', galera, '0-1-100', ['g1']],
    ['PostgreSQL, the latest', postgres, 'latest', ['b1', w(1, 32, 34)]],
    ['PostgreSQL, a place in its log', postgres, mib(33), ['b1', w(1, 32, 34)]],
  ])('%s', (_, listing, text, expected) => {
    expect(inShort(chosen(listing, text))).toEqual(expected);
  });

  it('the latest is from the newest base, though only an older one has moments', () => {
    expect(inShort(chosen([...mariadb, ...base('g2', 95, gtid('0-2-201'))], 'latest'))).toEqual(['g2']);
  });

  it.each([
    [galera, '2026-11-20T14:00:10Z', /^NOTHING_RESTORABLE: .*g1 is whole, .*"latest" can be restored from it/],
    [postgres, iso(10), /^NOTHING_RESTORABLE: .*b1 is whole, .*"latest" can be restored from it/],
    [galera, '0-1-101', /^BEYOND_THE_END: .*give 0-1-100 or an earlier place, or "latest"/],
    [base('b1', 10, at(1, 32), at(1, 33)), 'latest', /^NOTHING_RESTORABLE: .*no more log is there/],
    [[...base('b1', 10, at(1, 32), at(1, 33)), wal(1, 33, 34, 20)], 'latest', /^NOTHING_RESTORABLE/],
  ])('refused all the same: %#', (listing, text, expected) => {
    expect(chosen(listing, text)).toMatch(expected);
  });
});

const aManifest = (choice: Choice, overrides: Partial<Manifest> = {}): Manifest => ({
  version: 1,
  ...choice.catalogue.place,
  engine: choice.catalogue.engine,
  id: choice.base.id,
  data: choice.base.dataKey,
  engineVersion: '15.18',
  takenOn: 'i-1',
  beganAt: iso(0),
  endedAt: iso(10),
  start: {},
  end: {},
  rawBytes: 5_000_000,
  storedBytes: 1_000_000,
  sha256: 'a'.repeat(64),
  parts: [
    { bytes: 600_000, sha256: 'b'.repeat(64) },
    { bytes: 400_000, sha256: 'c'.repeat(64) },
  ],
  ...overrides,
});

const choiceOf = (listing: readonly Listed[], text: string): Choice => {
  const choice = chosen(listing, text);
  if (typeof choice === 'string') throw new Error(choice);
  return choice;
};

describe('the plan that a host reads', () => {
  it('PostgreSQL: as docs/archive.md has it', () => {
    const choice = choiceOf(pg, iso(40));
    const plan = planOf(choice, aManifest(choice), FILES, 'orders-new');
    if (isRefused(plan)) throw new Error(plan.sentence);
    const folder = `orders/${PG.history}`;
    expect(plan.text.split('\n').map((l) => l.split('\t'))).toEqual([
      ['engine', 'postgres'],
      ['base', `${folder}/base/b2/data.zst`, '1000000', 'a'.repeat(64)],
      ['part', '1', '600000', 'b'.repeat(64)],
      ['part', '2', '400000', 'c'.repeat(64)],
      ['history', '2', `${folder}/history/00000002`],
      ['log', wal(1, 48, 52, 35).key, '1/0/3000000', '1/0/3400000'],
      ['log', wal(2, 50, 54, 60).key, '2/0/3200000', '2/0/3600000'],
      ['target', 'time', '2026-11-20T14:00:40.000Z'.replace('.000', '')],
      ['end', '2/0/3600000'],
      [''],
    ]);
    expect(plan.summary).toMatchObject({
      as: 'orders-new',
      log: { objects: 2, bytes: 2000, from: '1/0/3000000', to: '2/0/3600000' },
      notIncluded: { objects: 1, bytes: 1000, until: iso(70) },
    });
    expect(plan.summary.estimate.seconds).toBeGreaterThan(150);
  });

  it('MariaDB', () => {
    const choice = choiceOf(mariadb, '0-1-151');
    const plan = planOf(choice, aManifest(choice), FILES, 'orders-new');
    if (isRefused(plan)) throw new Error(plan.sentence);
    expect(plan.text.split('\n').slice(-4)).toEqual([
      `log\t${binlog('0-1-150', '0-1-180', 30).key}\t0-1-150\t0-1-180`,
      'target\tgtid\t0-1-151',
      'end\t0-1-180',
      '',
    ]);
    expect(GALERA.cluster).toBe('orders');
  });

  it.each<[string, Partial<Manifest>, RegExp]>([
    ['another size than is stored', { storedBytes: 7 }, /1000000 bytes are stored, the manifest says 7/],
    ['parts that do not add up', { parts: [] }, /its 0 parts 0/],
    ['other data', { data: 'orders/x/base/b9/data.zst' }, /is about orders\/x/],
  ])('is refused when the manifest names %s', (_, overrides, expected) => {
    const choice = choiceOf(pg, 'latest');
    const plan = planOf(choice, aManifest(choice, overrides), FILES, 'orders-new');
    expect(isRefused(plan) ? plan.sentence : plan.text).toMatch(expected);
  });
});

it('every moment that is said to be restorable has a plan without a gap that covers it', () => {
  const pieces = fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 2 })), {
    minLength: 2,
    maxLength: 8,
  });
  fc.assert(
    fc.property(pieces, fc.integer({ min: 10, max: 100 }), (lengths, second) => {
      const listing = [...base('b1', 10, at(1, 32))];
      let [place, covered] = [32, 10];
      for (const [length, overlap] of lengths) {
        covered += length * 3;
        listing.push(wal(1, Math.max(32, place - overlap), place + length, covered));
        place += length;
      }
      const choice = chosen(listing, iso(second));
      if (second > covered) {
        expect(choice).toMatch(/^BEYOND_THE_END/);
        return;
      }
      if (typeof choice === 'string') throw new Error(choice);
      let reach = mib(32);
      for (const link of choice.links) {
        if (link.kind !== 'wal') throw new Error('expected WAL');
        expect(
          link.start <= reach || Number.parseInt(link.start.slice(2), 16) <= Number.parseInt(reach.slice(2), 16),
        ).toBe(true);
        reach = link.end;
      }
      expect(choice.links.at(-1)?.coveredMs).toBeGreaterThanOrEqual(sec(second));
    }),
  );
});
