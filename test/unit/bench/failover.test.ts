import { describe, expect, it } from 'vitest';
import {
  gapsSince,
  longestMs,
  missing,
  successorOf,
  type Acknowledgement,
} from '../../../bench/failover/acknowledgements.ts';
import { straysOf, type Answer } from '../../../bench/failover/databases.ts';
import { spread, type Node, type Reseed, type Round } from '../../../bench/failover/kinds.ts';
import { failoverOptions, type RawOptions } from '../../../bench/failover/options.ts';
import { PATRONI_PROFILES } from '../../../bench/failover/patroni-config.ts';
import { comebackOf } from '../../../bench/failover/report.ts';
import { figures, verdicts, type Figure } from '../../../bench/failover/verdicts.ts';

const writes = (server: string, ...times: readonly number[]): Acknowledgement[] =>
  times.map((atMs) => ({ id: atMs, atMs, server }));

describe('an outage', () => {
  it('is counted from the last write before it, also when that was before the fault', () => {
    const acks = writes('a', 0, 10, 20, 4000, 4010);
    expect(gapsSince(acks, 25, 250)).toEqual([{ fromMs: 20, toMs: 4000 }]);
    expect(longestMs(gapsSince(acks, 25, 250))).toBe(3980);
  });

  it('before the fault is not of it', () => {
    expect(gapsSince(writes('a', 0, 4000, 4010, 4500), 4005, 250)).toEqual([{ fromMs: 4010, toMs: 4500 }]);
  });

  it('comes once for each stretch, and the longest counts', () => {
    const gaps = gapsSince(writes('a', 0, 300, 1300, 1310, 1900), -1, 250);
    expect(gaps.map((gap) => gap.toMs - gap.fromMs)).toEqual([300, 1000, 590]);
    expect(longestMs(gaps)).toBe(1000);
  });
});

describe('writes are back', () => {
  const steady = [...writes('old/1', 0, 100), ...writes('new/2', 5000, 5400, 5800, 6200)];

  it('when another server has acknowledged for long enough without a pause', () => {
    expect(successorOf(steady, 'old/1', 1000, 500, 6210)).toBe('new/2');
  });

  it.each([
    ['it writes too short a time', steady, 2000, 6210],
    ['the last write is long ago', steady, 1000, 6800],
    ['there was a pause', [...steady, ...writes('new/2', 7000)], 1500, 7010],
    ['it is the struck server itself', writes('old/1', 0, 400, 800, 1200), 1000, 1210],
    ['nothing was written', [], 0, 0],
  ])('not when %s', (_, acks, steadyMs, nowMs) => {
    expect(successorOf(acks, 'old/1', steadyMs, 500, nowMs)).toBeNull();
  });

  it('also on the same address, when the server there was started anew', () => {
    const acks = [...writes('h/1', 0), ...writes('h/2', 3000, 3400, 3800)];
    expect(successorOf(acks, 'h/1', 700, 500, 3810)).toBe('h/2');
  });
});

it('an acknowledged write that is not stored is missing; one that is stored and was not acknowledged is not', () => {
  expect(missing(writes('a', 1, 2, 3), new Set([1, 3, 4]))).toEqual([2]);
});

it('the median of an even count lies between the middle two, and of nothing there is none', () => {
  expect(spread([4, 1, 3, 2])).toEqual({ min: 1, median: 2.5, max: 4 });
  expect(() => spread([])).toThrow(/no rounds/);
});

const round = (system: string, writeOutageMs: number, more: Partial<Round> = {}): Round => ({
  system,
  fault: 'host-killed',
  round: 1,
  primary: 'p1',
  successor: '127.0.0.2',
  waitedMs: 0,
  faultAtMs: 0,
  writeOutageMs,
  gaps: [],
  acknowledged: 100,
  lostWrites: 0,
  firstLost: [],
  comeback: 'by-itself',
  helpedHow: null,
  replicaAgainMs: 1000,
  reseed: null,
  reseedBefore: null,
  errors: [],
  story: [],
  ...more,
});

describe('the promises', () => {
  const peers = [round('patroni-default', 20_000), round('patroni-quick', 12_000), round('patroni-minimum', 10_000)];
  const broken = (rounds: readonly Round[]): string[] => verdicts(rounds).flatMap((v) => (v.held ? [] : [v.promise]));

  it('hold at their limits', () => {
    expect(broken([round('rejoin', 5000), ...peers])).toEqual([]);
    expect(verdicts([round('rejoin', 5000), ...peers])).toHaveLength(4);
  });

  it.each([
    ['above 5 s', 5001, [round('patroni-default', 90_000)], /at most 5 s/],
    ['above a quarter of the default', 4000, [round('patroni-default', 15_999)], /quarter/],
    [
      'above half of the faster of the fast ones',
      4000,
      [round('patroni-quick', 90_000), round('patroni-minimum', 7999)],
      /half/,
    ],
  ])('are broken %s', (_, oursMs, others, promise) => {
    const list = broken([round('rejoin', oursMs), ...others]);
    expect(list).toHaveLength(1);
    expect(list[0]).toMatch(promise);
  });

  it('are broken by one lost write in any round, whatever the fault', () => {
    const lossy = round('rejoin', 100, { fault: 'process-killed', lostWrites: 1 });
    expect(broken([round('rejoin', 100), lossy])).toEqual(['no acknowledged write is lost']);
  });

  it('are about the median', () => {
    expect(broken([100, 200, 60_000].map((ms) => round('rejoin', ms)))).toEqual([]);
  });

  it('are not judged by what was not measured', () => {
    expect(verdicts(peers)).toEqual([]);
    expect(verdicts([round('rejoin', 10)]).map((v) => v.promise)).toEqual([
      'no acknowledged write is lost',
      'host-killed: median write outage at most 5 s',
    ]);
  });

  it('come with figures as ratios, fault by fault', () => {
    const list = figures([round('rejoin', 5000), ...peers, round('rejoin', 7, { fault: 'host-frozen' })]);
    expect(list.map((f) => [f.fault, f.system, f.rejoinShare])).toEqual([
      ['host-killed', 'rejoin', 1],
      ['host-killed', 'patroni-default', 0.25],
      ['host-killed', 'patroni-quick', 0.417],
      ['host-killed', 'patroni-minimum', 0.5],
      ['host-frozen', 'rejoin', 1],
    ]);
  });
});

describe('a member that is copied anew', () => {
  const nodes: Node[] = ['p1', 'p2', 'p3'].map((id, i) => ({ id, address: `127.9.${i + 1}.1` }));
  const primary: Answer = { role: 'primary', streaming: 1, synchronous: 1, address: '127.9.1.1' };
  const follower: Answer = { role: 'replica', receives: true };
  const apart: Answer = { role: 'replica', receives: false };
  const silent: Answer = { role: 'silent', why: 'connect ECONNREFUSED' };
  const strays = (...answers: readonly Answer[]): string[] => straysOf(nodes, answers).map((node) => node.id);

  it.each([
    ['one that answers nothing', [primary, follower, silent], ['p3']],
    ['a replica that receives nothing', [primary, apart, follower], ['p2']],
    ['both, when neither follows', [silent, primary, apart], ['p1', 'p3']],
  ])('is %s', (_, answers, expected) => {
    expect(strays(...answers)).toEqual(expected);
  });

  it.each([
    ['all follow', [primary, follower, follower]],
    ['nobody is the primary yet', [apart, apart, silent]],
    ['two say that they are', [primary, primary, silent]],
  ])('is none while %s', (_, answers) => {
    expect(strays(...answers)).toEqual([]);
  });
});

describe('a round that was not whole in its time', () => {
  const reseed: Reseed = { nodes: ['p3'], why: 'p3 silent', how: 'copied anew', afterMs: 120_000, wholeMs: 2000 };
  const peer = (replicaAgainMs: number | null): Round =>
    round('patroni-minimum', 4000, {
      comeback: 'helped',
      replicaAgainMs,
      reseed: replicaAgainMs === null ? reseed : null,
    });
  const words = (rounds: readonly Round[]): string[] => figures(rounds).map((figure: Figure) => comebackOf(figure));

  it('does not count as a replica again, and counts for the outage', () => {
    expect(figures([peer(6000), peer(null), peer(8000)])).toMatchObject([
      {
        rounds: 3,
        reseeded: 1,
        writeOutageMs: { median: 4000 },
        replicaAgainMs: { min: 6000, median: 7000, max: 8000 },
      },
    ]);
  });

  it('is told beside those that were', () => {
    expect(words([peer(6000), peer(null), peer(8000)])).toEqual([
      'never by itself; helped: 7000 (6000 to 8000); copied anew in 1 of 3',
    ]);
    expect(words([peer(6000)])).toEqual(['never by itself; helped: 6000 (6000 to 6000)']);
    expect(words([round('rejoin', 100)])).toEqual(['1000 (1000 to 1000)']);
  });

  it('leaves nothing to take a median of when there is no other', () => {
    expect(words([peer(null)])).toEqual(['never by itself; helped: in no round in time; copied anew in 1 of 1']);
  });
});

describe("Patroni's timings", () => {
  it.each(Object.entries(PATRONI_PROFILES))('%s keep its documented limits and its rule', (_, t) => {
    expect(t.ttl).toBeGreaterThanOrEqual(20);
    expect(t.loopWait).toBeGreaterThanOrEqual(1);
    expect(t.retryTimeout).toBeGreaterThanOrEqual(3);
    expect(t.loopWait + 2 * t.retryTimeout).toBeLessThanOrEqual(t.ttl);
  });
});

describe('the options', () => {
  const given: RawOptions = {
    rounds: '5',
    patroni: 'default,quick,minimum',
    hold: '5',
    reseedAfter: '120',
    ec2Silent: false,
    eventDelay: '2000',
    boot: '20000',
    shutdown: '10000',
    powerOff: '5000',
    forceStop: '30000',
  };

  it('measure everything unless told otherwise', () => {
    expect(failoverOptions(given)).toMatchObject({
      rejoin: true,
      patroni: ['default', 'quick', 'minimum'],
      faults: ['host-killed', 'process-killed', 'host-frozen'],
    });
  });

  it('measure one system or one fault alone', () => {
    expect(failoverOptions({ ...given, only: 'rejoin' })).toMatchObject({ rejoin: true, patroni: [] });
    expect(failoverOptions({ ...given, only: 'patroni', fault: 'host-frozen' })).toMatchObject({
      rejoin: false,
      faults: ['host-frozen'],
    });
  });

  it.each([
    [{ rounds: '0' }, /--rounds is "0"; give a whole number from 1/],
    [{ rounds: '2.5' }, /--rounds/],
    [{ rounds: '' }, /--rounds/],
    [{ only: 'galera' }, /--only is "galera"/],
    [{ fault: 'fire' }, /--fault is "fire"; give one of host-killed/],
    [{ patroni: 'default,tuned' }, /--patroni names "tuned"/],
    [{ hold: '-1' }, /--hold is "-1"/],
    [{ reseedAfter: '0' }, /--reseed-after is "0"; give a whole number from 1/],
    [{ forceStop: 'soon' }, /--force-stop is "soon"/],
  ])('refuse %j', (wrong, message) => {
    expect(() => failoverOptions({ ...given, ...wrong })).toThrow(message);
  });
});
