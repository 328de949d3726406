import { describe, expect, it } from 'vitest';
import { figures, OURS, verdicts } from '../../../bench/archive/figures.ts';
import type { Part, Round } from '../../../bench/archive/kinds.ts';
import { expectChain } from '../../../bench/archive/mariadb-part.ts';
import { archiveOptions, type RawArchiveOptions } from '../../../bench/archive/options.ts';
import { inTurn } from '../../../bench/archive/race.ts';
import { parseGtidPosition, type GtidPosition } from '../../../lambdas/model/archive/gtid.ts';
import { keyOf } from '../../../lambdas/model/archive/keys.ts';

const GB = 1_000_000_000;

interface Took {
  readonly seconds?: number;
  readonly cpu?: number;
  readonly stored?: number | null;
}

const round = (part: Part, contestant: string, { seconds = 10, cpu = 20, stored = 1000 }: Took = {}): Round => ({
  ...{
    part,
    contestant,
    round: 1,
    logBytes: GB,
    loadBefore: 0,
    serverCpuSeconds: {},
    phaseSeconds: { one: seconds / 4 },
  },
  // Half of it in each of two steps, and of the CPU three quarters in the kernel: sums must find it all.
  steps: Object.fromEntries(
    ['first', 'second'].map((name) => [
      name,
      { seconds: seconds / 2, userSeconds: cpu / 8, systemSeconds: (cpu * 3) / 8, peakRssBytes: 5_000_000 },
    ]),
  ),
  kept: stored === null ? null : { bytes: stored, objects: 3 },
});

describe('figures', () => {
  it('add the steps of a round, and take the median of the rounds', () => {
    const rounds = [4, 10, 5].map((seconds) => round('wal', OURS, { seconds, cpu: 2 * seconds }));
    const [figure] = figures(rounds);
    expect(figure).toMatchObject({
      ...{ rounds: 3, seconds: { min: 4, median: 5, max: 10 }, logMBps: { min: 100, median: 200, max: 250 } },
      ...{ cpuSecondsPerGB: { min: 8, median: 10, max: 20 }, peakMB: { min: 5, median: 5, max: 5 }, ofPeer: null },
      phaseSeconds: { one: { min: 1, median: 1.25, max: 2.5 } },
    });
  });

  it('are multiples of the peer of the same part', () => {
    const rounds = [
      round('wal', 'pgbackrest', { seconds: 15, cpu: 10, stored: 1000 }),
      round('restore', 'pgbackrest', { seconds: 1, cpu: 1, stored: null }),
      round('wal', OURS, { seconds: 10, cpu: 12, stored: 900 }),
    ];
    expect(figures(rounds).at(-1)?.ofPeer).toEqual({ speed: 1.5, cpu: 1.2, memory: 1, stored: 0.9 });
  });
});

describe('the promises', () => {
  const peer = round('wal', 'pgbackrest', { seconds: 15, cpu: 20, stored: 1000 });
  const judged = (...rounds: readonly Round[]): [string, boolean][] =>
    verdicts(figures(rounds)).map((v) => [v.promise.split(' ').slice(0, 3).join(' '), v.held]);
  const of = (part: Part, took: Took): [string, boolean][] => judged(peer, round(part, OURS, took));

  it('hold at their limits', () => {
    expect(of('wal', { seconds: 10, cpu: 20, stored: 1050 })).toEqual([
      ['ships WAL at', true],
      ['with no more', true],
      ['stored bytes at', true],
    ]);
  });

  it.each([
    ['slower', { seconds: 10.1, cpu: 20, stored: 1000 }, 0],
    ['more CPU', { seconds: 10, cpu: 20.1, stored: 1000 }, 1],
    ['more bytes', { seconds: 10, cpu: 20, stored: 1051 }, 2],
  ])('are broken each for itself: %s', (_, took, which) => {
    expect(of('wal', took).map(([, held]) => held)).toEqual([0, 1, 2].map((i) => i !== which));
  });

  it('of a restore is about both steps together', () => {
    const theirs = round('restore', 'pgbackrest', { seconds: 20, stored: null });
    const ours = (seconds: number): Round => round('restore', OURS, { seconds, stored: null });
    expect(judged(theirs, ours(20))).toEqual([['restore and replay', true]]);
    expect(judged(theirs, ours(20.1))).toEqual([['restore and replay', false]]);
  });

  it('are not judged where the peer was not measured', () => {
    expect(judged(round('wal', OURS))).toEqual([]);
    expect(judged(peer)).toEqual([]);
  });
});

it('each round begins with another contestant, and has all of them', () => {
  expect([1, 2, 3, 4].map((n) => inTurn(['a', 'b', 'c'], n).join(''))).toEqual(['abc', 'bca', 'cab', 'abc']);
  expect(inTurn([], 1)).toEqual([]);
});

describe('the options', () => {
  const given: RawArchiveOptions = { rounds: '5', restoreRounds: '3', sizeMb: '1000' };

  it('measure everything unless told otherwise', () => {
    expect(archiveOptions(given)).toEqual({
      ...{ rounds: 5, restoreRounds: 3, sizeBytes: GB, parts: ['wal', 'binlog', 'restore'], reportFile: null },
    });
    expect(archiveOptions({ ...given, only: 'restore,wal' }).parts).toEqual(['wal', 'restore']);
  });

  it.each([
    [{ rounds: '0' }, /--rounds is "0"; give a whole number from 1/],
    [{ restoreRounds: '' }, /--restore-rounds is ""/],
    [{ sizeMb: '63' }, /--size-mb is "63"; give a whole number from 64 to 8192/],
    [{ only: 'wal,wall' }, /--only names "wall"; give some of wal, binlog, restore/],
  ])('refuse %j', (wrong, message) => {
    expect(() => archiveOptions({ ...given, ...wrong })).toThrow(message);
  });
});

describe('the chain of binlogs', () => {
  const gtid = (text: string): GtidPosition => parseGtidPosition(text);
  const key = (after: string, upTo: string): string =>
    keyOf(
      { cluster: 'shop', history: 'h' },
      { kind: 'binlog', after: gtid(after), upTo: gtid(upTo), coveredMs: 0, source: 'i-1~binlog.000001~4' },
    );

  it('leads from nothing to where the server is, whatever the order of the listing', () => {
    expect(() => expectChain([key('0-1-5', '0-1-9'), key('', '0-1-5')], '0-1-9')).not.toThrow();
  });

  it.each([
    ['has a hole', [key('', '0-1-5'), key('0-1-6', '0-1-9')], /goes on after 0-1-5/],
    ['does not begin at the beginning', [key('0-1-5', '0-1-9')], /goes on after nothing/],
    ['ends early', [key('', '0-1-5')], /ends at 0-1-5; expected 0-1-9/],
    ['is empty', [], /ends at nothing/],
  ])('is refused when it %s', (_, keys, message) => {
    expect(() => expectChain(keys, '0-1-9')).toThrow(message);
  });
});
