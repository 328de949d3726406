import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  covers,
  declaredNeed,
  mustCover,
  parseSynchronousStandbyNames,
  type QuorumSet,
  synchronousStandbyNames,
  type SyncState,
} from '../../../lambdas/model/quorum.ts';

const NODES = ['i-0a', 'i-0b', 'i-0c', 'i-0d', 'i-0e'];
const quorum = (need: number, ...standbys: string[]): QuorumSet => ({ need, standbys });
const state = (...sets: QuorumSet[]): SyncState => ({ sets, barrierLsn: null });

/** Sets that wait for somebody. */
const waiting = fc
  .subarray(NODES, { minLength: 1 })
  .chain((standbys) => fc.integer({ min: 1, max: standbys.length }).map((need) => quorum(need, ...standbys)));
const some = fc.subarray(NODES).map((ids) => new Set(ids));

/** Everything that `acknowledgers` may have been, when a commit was acknowledged under this set. */
function acknowledgers({ need, standbys }: QuorumSet): string[][] {
  const all: string[][] = [[]];
  for (const id of standbys) all.push(...all.map((chosen) => [...chosen, id]));
  return all.filter((chosen) => chosen.length === need);
}

describe('what a count of standbys proves (safety rules 3 and 4)', () => {
  it('covered: every commit that was acknowledged under any of the sets is on one of them', () => {
    fc.assert(
      fc.property(fc.array(waiting, { minLength: 1, maxLength: 3 }), some, (sets, covered) => {
        fc.pre(covers(state(...sets), covered));
        for (const set of sets) {
          for (const have of acknowledgers(set)) expect(have.some((id) => covered.has(id))).toBe(true);
        }
      }),
    );
  });

  it('covered: with these cut off, a primary under any of the sets gets no acknowledgement more', () => {
    fc.assert(
      fc.property(fc.array(waiting, { minLength: 1, maxLength: 3 }), some, (sets, covered) => {
        fc.pre(covers(state(...sets), covered));
        for (const { need, standbys } of sets) {
          expect(standbys.filter((id) => !covered.has(id)).length).toBeLessThan(need);
        }
      }),
    );
  });

  it('not covered: under one of the sets a commit may have been acknowledged by the others alone', () => {
    fc.assert(
      fc.property(fc.array(waiting, { minLength: 1, maxLength: 3 }), some, (sets, covered) => {
        fc.pre(!covers(state(...sets), covered));
        expect(sets.some((set) => acknowledgers(set).some((have) => !have.some((id) => covered.has(id))))).toBe(true);
      }),
    );
  });

  it.each([
    ['ANY 1 of 2: one is not enough', state(quorum(1, 'i-0a', 'i-0b')), ['i-0a'], false],
    ['ANY 1 of 2: both are', state(quorum(1, 'i-0a', 'i-0b')), ['i-0a', 'i-0b'], true],
    ['ANY 2 of 4: three are', state(quorum(2, 'i-0a', 'i-0b', 'i-0c', 'i-0d')), ['i-0a', 'i-0b', 'i-0c'], true],
    ['ANY 2 of 4: two are not', state(quorum(2, 'i-0a', 'i-0b', 'i-0c', 'i-0d')), ['i-0a', 'i-0b'], false],
    ['standbys of no set do not count', state(quorum(1, 'i-0a', 'i-0b')), ['i-0a', 'i-0c', 'i-0d'], false],
    ['a set of before counts too', state(quorum(1, 'i-0a', 'i-0b'), quorum(1, 'i-0a')), ['i-0a'], false],
    ['a set that waits for nobody proves nothing', state(quorum(0)), NODES, false],
    ['nor does one beside it', state(quorum(0, 'i-0a'), quorum(1, 'i-0a')), NODES, false],
  ])('%s', (_, sync, covered, expected) => {
    expect(covers(sync, new Set(covered))).toBe(expected);
  });

  it('counts one standby for each that may be lost, and one more', () => {
    expect(mustCover(quorum(1, 'i-0a', 'i-0b'))).toBe(2);
    expect(mustCover(quorum(2, 'i-0a', 'i-0b'))).toBe(1);
    expect(mustCover(quorum(2, ...NODES))).toBe(4);
  });
});

describe('synchronous_standby_names', () => {
  it('reads what it writes', () => {
    fc.assert(
      fc.property(waiting, (set) => {
        const read = parseSynchronousStandbyNames(synchronousStandbyNames(set));
        expect(read).toEqual({ need: set.need, standbys: [...set.standbys].sort() });
      }),
    );
  });

  it.each([
    [quorum(1, 'i-0b', 'i-0a'), 'ANY 1 ("i-0a", "i-0b")'],
    [quorum(0, 'i-0a'), ''],
    [quorum(1), ''],
  ])('writes %j', (set, text) => {
    expect(synchronousStandbyNames(set)).toBe(text);
  });

  it.each(['FIRST 1 ("i-0a")', '*', 'i-0a', 'ANY 1 (i-0a)', 'ANY 1 ("x")', 'ANY ("i-0a")', 'ANY 1 ("i-0a", )'])(
    'knows %j for a person’s own setting',
    (text) => {
      expect(parseSynchronousStandbyNames(text)).toBeNull();
    },
  );

  it('reads an empty setting as one that waits for nobody', () => {
    expect(parseSynchronousStandbyNames(' ')).toEqual({ need: 0, standbys: [] });
  });
});

describe('the acknowledgements that are declared', () => {
  it.each([
    [3, 1],
    [4, 2],
    [5, 2],
    [9, 4],
  ])('of %i nodes make, with the primary, a majority: %i', (nodes, need) => {
    expect(declaredNeed(nodes)).toBe(need);
    expect(need + 1).toBeGreaterThan(nodes / 2);
  });

  it('are those of the specification when it says', () => {
    expect(declaredNeed(5, 3)).toBe(3);
  });
});
