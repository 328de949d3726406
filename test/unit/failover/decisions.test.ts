/** The pure decisions of a failover: who is fenced, who is chosen, whom the new primary waits for. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Contest } from '../../../lambdas/failover/choose-candidate.ts';
import { chooseCandidate } from '../../../lambdas/failover/choose-candidate.ts';
import type { FenceView } from '../../../lambdas/failover/fence-proof.ts';
import { fenceProof } from '../../../lambdas/failover/fence-proof.ts';
import { degraded, followersOf, quorumOf, withSet } from '../../../lambdas/failover/new-quorum.ts';
import { comparePosition } from '../../../lambdas/model/lsn.ts';
import type { QuorumSet } from '../../../lambdas/model/quorum.ts';
import { aSpec } from '../../fakes/index.ts';
import { postgresEngine } from '../../support/postgres-world.ts';

const at = (timeline: number, lsn: string, systemId = '7') => ({ timeline, lsn, systemId });

const [A, B, C, D, E] = ['i-a', 'i-b', 'i-c', 'i-d', 'i-e'] as const;
const BOTH: QuorumSet = { need: 1, standbys: [B, C] };

const contest = (change: Partial<Contest> = {}): Contest => ({
  cluster: 'orders',
  told: { [B]: at(1, '0/500'), [C]: at(1, '0/500') },
  remembered: {},
  old: A,
  revived: null,
  sync: { sets: [BOTH], barrierLsn: null },
  engine: { durability: 'quorum', maxLagBytes: 0x100 },
  position: { node: A, timeline: 1, lsn: '0/500', atMs: 1 },
  accept: null,
  maintenance: null,
  ...change,
});

const async = { durability: 'async', maxLagBytes: 0x100 } as const;

describe('the candidate is', () => {
  it.each<[string, Partial<Contest>, string]>([
    ['the lower id of two that are equal', {}, B],
    ['the more advanced by LSN', { told: { [B]: at(1, '0/500'), [C]: at(1, '0/501') } }, C],
    ['by LSN as numbers, not as text', { told: { [B]: at(1, '0/9FF'), [C]: at(1, '0/A00') } }, C],
    ['by the upper half first', { told: { [B]: at(1, '0/FFFFFF'), [C]: at(1, '1/0') } }, C],
    ['the higher timeline, whatever the LSN', { told: { [B]: at(1, '0/900'), [C]: at(2, '0/500') } }, C],
    ['rather not the old primary, when others have as much', { told: { [A]: at(1, '0/500'), [C]: at(1, '0/500') } }, C],
    ['the old primary, when nobody has as much', { told: { [A]: at(1, '0/501'), [C]: at(1, '0/500') } }, A],
    ['not one in maintenance', { maintenance: B }, C],
    [
      'whoever has what the old primary has by its own word, with nothing else known',
      { told: { [A]: at(1, '0/500'), [C]: at(1, '0/500') }, sync: null },
      C,
    ],
    [
      'the instance that has its volume',
      { told: { [B]: at(1, '0/500'), 'i-n': at(1, '0/600') }, revived: 'i-n' },
      'i-n',
    ],
    ['async: one that lacks as much as is allowed', { engine: async, sync: null, told: { [B]: at(1, '0/400') } }, B],
    [
      'async: one that is near to what a lost candidate told, though that was never seen as the primary',
      { engine: async, sync: null, told: { [C]: at(1, '0/500') }, remembered: { [B]: at(1, '0/600') }, old: B },
      C,
    ],
    ['who was accepted, behind as it is', { told: { [B]: at(1, '0/100') }, accept: B }, B],
    [
      'who was accepted, and not the more advanced that was not',
      { told: { [B]: at(1, '0/100'), [D]: at(1, '0/200') }, accept: B },
      B,
    ],
    [
      'one that lacks nothing, rather than who was accepted',
      { told: { [B]: at(1, '0/500'), [C]: at(1, '0/100') }, accept: C },
      B,
    ],
    [
      'with a lost candidate that had no more',
      { told: { [C]: at(1, '0/500') }, remembered: { [B]: at(1, '0/500') }, old: B },
      C,
    ],
  ])('%s', (_, change, node) => {
    expect(chooseCandidate(contest(change))).toMatchObject({ kind: 'candidate', node });
  });

  it.each<[string, Partial<Contest>, RegExp]>([
    ['nobody has told a position', { told: {} }, /no standby has told its position\. Positions: none/],
    [
      'one of two is missing that may have an acknowledged write',
      { told: { [B]: at(1, '0/500') } },
      /expected positions of 2 of i-b, i-c/,
    ],
    [
      'a set in force waits for nobody',
      { sync: { sets: [BOTH, { need: 0, standbys: [] }], barrierLsn: null } },
      /the lost primary itself/,
    ],
    [
      'one of two sets is not covered',
      { sync: { sets: [BOTH, { need: 1, standbys: [D] }], barrierLsn: null } },
      /and of 1 of i-d/,
    ],
    ['quorum, and the ledger knows of none', { sync: null }, /knows of no quorum/],
    ['quorum, though the lag would be allowed', { told: { [B]: at(1, '0/4FF') } }, /may be missing/],
    [
      'a lost candidate had more',
      { told: { [C]: at(1, '0/400') }, remembered: { [B]: at(1, '0/500') }, old: B },
      /i-b had timeline 1 at 0\/500 and is lost/,
    ],
    [
      'async, a byte more is missing than is allowed',
      { engine: async, sync: null, told: { [B]: at(1, '0/3FF') } },
      /257 bytes .* at most 256/,
    ],
    ['async, the position was never seen', { engine: async, sync: null, position: null }, /never seen/],
    [
      'async, the primary was on a newer timeline',
      { engine: async, sync: null, position: { node: A, timeline: 2, lsn: '0/1', atMs: 1 } },
      /timeline 1, and the primary was seen on 2, so that the lag cannot be measured/,
    ],
    [
      'async, the best followed the primary to a timeline that nobody has seen it on',
      { engine: async, sync: null, told: { [B]: at(2, '0/500') } },
      /timeline 2, and the primary was seen on 1, so that the lag cannot be measured/,
    ],
    [
      'async, the position is of the primary before',
      { engine: async, sync: null, old: B, told: { [C]: at(1, '0/500') } },
      /i-b was never seen as the primary, i-a was the last one/,
    ],
    [
      'async, a lost candidate had more than may be missing',
      { engine: async, sync: null, told: { [C]: at(1, '0/4FF') }, remembered: { [B]: at(1, '0/600') }, old: B },
      /257 bytes .* at most 256/,
    ],
    [
      'another one was accepted',
      { told: { [B]: at(1, '0/100') }, accept: C },
      /i-c, which a person accepted, does not answer/,
    ],
    ['the only one is in maintenance', { told: { [B]: at(1, '0/500') }, maintenance: B }, /no standby/],
    [
      'nobody knows which database is the right one',
      { told: { [D]: at(1, '0/500'), [E]: at(1, '0/500', '8') } },
      /of another database/,
    ],
  ])('nobody when %s', (_, change, why) => {
    const choice = chooseCandidate(contest(change));
    expect(choice.kind).toBe('nobody');
    expect(choice.why).toMatch(why);
    expect(choice.why).toContain('"action":"accept-loss","cluster":"orders"');
  });
});

/** Commits in the order of one log, each on those standbys that had flushed it when it was acknowledged. */
const history = fc
  .record({
    standbys: fc.integer({ min: 1, max: 8 }),
    flushed: fc.array(fc.nat(40), { minLength: 8, maxLength: 8 }),
    here: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
  })
  .chain((h) => fc.record({ h: fc.constant(h), need: fc.integer({ min: 1, max: h.standbys }) }));

describe('whatever was flushed where', () => {
  it('a candidate with no loss has every acknowledged commit, and the fence leaves too few to acknowledge one', () => {
    fc.assert(
      fc.property(history, ({ h, need }) => {
        const ids = Array.from({ length: h.standbys }, (_, i) => `i-${i}`);
        const flushed = new Map(ids.map((id, i) => [id, h.flushed[i] ?? 0]));
        const here = ids.filter((_, i) => h.here[i]);
        const told = Object.fromEntries(here.map((id) => [id, at(1, `0/${(flushed.get(id) ?? 0).toString(16)}`)]));
        const sync = { sets: [{ need, standbys: ids }], barrierLsn: null };
        // The last commit that `need` of them have is the last that can have been acknowledged.
        const acknowledged = [...flushed.values()].toSorted((a, b) => b - a)[need - 1] ?? 0;
        const choice = chooseCandidate(contest({ told, sync, old: A }));
        if (choice.kind === 'candidate') expect(flushed.get(choice.node)).toBeGreaterThanOrEqual(acknowledged);
        const proof = fenceProof(view({ sync, detached: new Set(here) }));
        expect(proof !== null).toBe(ids.length - here.length < need);
      }),
    );
  });
});

const view = (change: Partial<FenceView> = {}): FenceView => ({
  durability: 'quorum',
  sync: { sets: [BOTH], barrierLsn: null },
  old: A,
  ended: new Set(),
  detached: new Set(),
  otherPrimaries: new Set(),
  live: new Set([A, B, C]),
  ...change,
});

describe('the old primary', () => {
  it.each<[string, Partial<FenceView>, RegExp | null]>([
    ['is not fenced while nothing is known', {}, null],
    ['is fenced when EC2 has ended it', { ended: new Set([A]), sync: null, durability: 'async' }, /EC2 has ended i-a/],
    [
      'is fenced when it says itself that it is a detached standby',
      { detached: new Set([A]), durability: 'async' },
      /standby itself/,
    ],
    ['is fenced by its quorum, detached', { detached: new Set([B, C]) }, /2 of 2 are cut off/],
    ['is fenced by its quorum, one of it ended', { detached: new Set([B]), ended: new Set([C]) }, /2 of 2/],
    [
      'is fenced by its quorum, one of it a primary by its own word',
      { detached: new Set([B]), otherPrimaries: new Set([C]) },
      /2 of 2/,
    ],
    ['is not fenced by half of it', { detached: new Set([B]) }, null],
    ['is not fenced by others than its quorum', { detached: new Set([B, D]) }, null],
    [
      'is not fenced by a quorum when the cluster is asynchronous',
      { durability: 'async', detached: new Set([B, C]) },
      null,
    ],
    ['is not fenced by a quorum of which the ledger does not know', { sync: null, detached: new Set([B, C]) }, null],
    [
      'is not fenced when a set waits for nobody',
      { sync: { sets: [BOTH, { need: 0, standbys: [] }], barrierLsn: null }, detached: new Set([B, C]) },
      null,
    ],
    [
      'never was: fenced when every live node is a detached standby',
      { old: null, detached: new Set([A, B, C]) },
      /no writer/,
    ],
    ['never was: not fenced when one is unknown', { old: null, detached: new Set([A, B]) }, null],
  ])('%s', (_, change, proof) => {
    if (proof === null) expect(fenceProof(view(change))).toBeNull();
    else expect(fenceProof(view(change))).toMatch(proof);
  });
});

describe('the new quorum', () => {
  const five = aSpec({ nodes: 5, engine: postgresEngine() });

  it('is of those who can stream: of its timeline and not beyond it', () => {
    const told = {
      [B]: at(2, '0/500'),
      [C]: at(2, '0/400'),
      [D]: at(1, '0/300'),
      [E]: at(2, '0/501'),
      'i-x': at(2, '0/1', '8'),
    };
    expect(followersOf(B, told)).toEqual([C]);
  });

  it.each([
    [[C, D, E], { need: 2, standbys: [C, D, E] }, false],
    [[C, D], { need: 2, standbys: [C, D] }, false],
    [[C], { need: 1, standbys: [C] }, true],
    [[], { need: 0, standbys: [] }, true],
  ])('waits for as many as declared, or as there are: %j', (followers, set, less) => {
    expect(quorumOf(five, followers)).toEqual(set);
    expect(degraded(five, set) !== null).toBe(less);
  });

  it('is of nobody in an asynchronous cluster, and that is not degraded', () => {
    const spec = aSpec({ engine: postgresEngine({ durability: 'async' }) });
    expect(quorumOf(spec, [B])).toEqual({ need: 0, standbys: [] });
    expect(degraded(spec, { need: 0, standbys: [] })).toBeNull();
  });

  it('is added to what is in force, once', () => {
    const next: QuorumSet = { need: 1, standbys: [C] };
    const once = withSet({ sets: [BOTH], barrierLsn: '0/1' }, next);
    expect(once).toEqual({ sets: [BOTH, next], barrierLsn: null });
    expect(withSet(once, next)).toBe(once);
    expect(withSet(null, next)).toEqual({ sets: [next], barrierLsn: null });
    expect(withSet(null, { need: 0, standbys: [] })).toBeNull();
  });
});

it('positions compare by timeline first', () => {
  expect(comparePosition(at(2, '0/1'), at(1, '0/9'))).toBeGreaterThan(0);
});
