import { describe, expect, it } from 'vitest';
import { EMPTY_LEDGER, type ClusterLedger } from '../../../lambdas/model/ledger.ts';
import type { PostgresStatus } from '../../../lambdas/model/postgres.ts';
import type { ProbedNode } from '../../../rehearsal/engines/engine.ts';
import { postgresProblems, postgresServes, type Declared } from '../../../rehearsal/engines/postgres-state.ts';

const declared: Declared = { durability: 'quorum', maxLagBytes: 1, nodes: 3 };
const ledger: ClusterLedger = {
  ...EMPTY_LEDGER,
  writer: 'i-a',
  sync: { sets: [{ need: 1, standbys: ['i-b', 'i-c'] }], barrierLsn: null },
};

const base: PostgresStatus = {
  engine: 'postgres',
  inRecovery: true,
  systemId: '1',
  timeline: 2,
  lsn: '0/3000000',
  replayLsn: '0/3000000',
  replayLagSeconds: 0,
  receiver: { status: 'streaming', senderHost: '127.1.0.1', slot: null, lastMessageAgoMs: 0, timeline: 2 },
  followsHost: '127.1.0.1',
  standbys: [],
  slots: [],
  synchronousStandbyNames: '',
  disk: null,
};
const slot = (name: string) => ({ name, active: true, restartLsn: '0/1', walStatus: 'reserved' });
const primary: PostgresStatus = {
  ...base,
  inRecovery: false,
  receiver: null,
  followsHost: null,
  slots: [slot('i_b'), slot('i_c')],
  synchronousStandbyNames: 'ANY 1 ("i-b", "i-c")',
};

const node = (id: string, address: string, status: PostgresStatus | null): ProbedNode => ({
  id,
  address,
  probe:
    status === null
      ? { kind: 'silent', atMs: 0, tookMs: 0, detail: '' }
      : { kind: 'answered', atMs: 0, tookMs: 0, status },
});
const nodes = (a: Partial<PostgresStatus>, b: Partial<PostgresStatus> = {}, c: PostgresStatus | null = base) => [
  node('i-a', '127.1.0.1', { ...primary, ...a }),
  node('i-b', '127.1.0.2', { ...base, ...b }),
  node('i-c', '127.1.0.3', c),
];

describe('a PostgreSQL cluster as declared', () => {
  it('has nothing to complain of', () => expect(postgresProblems(nodes({}), ledger, declared)).toEqual([]));

  it.each<[string, ProbedNode[], Partial<ClusterLedger>, RegExp]>([
    ['no primary', nodes({ inRecovery: true }), {}, /no node is a primary/],
    ['two primaries', nodes({}, { inRecovery: false }), {}, /2 nodes are primaries/],
    ['a primary that the ledger does not name', nodes({}), { writer: 'i-b' }, /the ledger says i-b/],
    ['a node of another cluster', nodes({}, { systemId: '2' }), {}, /2 clusters/],
    ['fewer acknowledgements than declared', nodes({ synchronousStandbyNames: '' }), {}, /expected ANY 1 of i-b, i-c/],
    [
      'a standby that nobody waits for',
      nodes({ synchronousStandbyNames: 'ANY 1 ("i-b")' }),
      {},
      /expected ANY 1 of i-b, i-c/,
    ],
    [
      'a setting of a person',
      nodes({ synchronousStandbyNames: 'FIRST 1 ("i-b", "i-c")' }),
      {},
      /expected ANY 1 of i-b, i-c/,
    ],
    [
      'a change of the quorum under way',
      nodes({}),
      {
        sync: {
          sets: [
            { need: 1, standbys: ['i-b'] },
            { need: 1, standbys: ['i-b', 'i-c'] },
          ],
          barrierLsn: null,
        },
      },
      /2 sets/,
    ],
    ['a slot of nobody', nodes({ slots: [...primary.slots, slot('i_x')] }), {}, /slots are i_b, i_c, i_x/],
    [
      'a slot that nobody uses',
      nodes({ slots: [{ ...slot('i_b'), active: false }, slot('i_c')] }),
      {},
      /unused .* i_b/,
    ],
    ['a lost slot', nodes({ slots: [{ ...slot('i_b'), walStatus: 'lost' }, slot('i_c')] }), {}, /lost slots: i_b/],
  ])('tells of %s', (_title, all, change, problem) => {
    expect(postgresProblems(all, { ...ledger, ...change }, declared)).toContainEqual(expect.stringMatching(problem));
  });

  it('asks for no acknowledgements with durability async', () => {
    const async: Declared = { ...declared, durability: 'async' };
    expect(postgresProblems(nodes({ synchronousStandbyNames: '' }), ledger, async)).toEqual([]);
    expect(postgresProblems(nodes({}), ledger, async)).toHaveLength(1);
  });
});

describe('a PostgreSQL node serves', () => {
  const served = (all: ProbedNode[], change: Partial<ClusterLedger> = {}): string[] =>
    all.filter((n) => postgresServes(n, all, { ...ledger, ...change })).map((n) => n.id);

  it('as the writer, and as a replica that streams from it', () => {
    expect(served(nodes({}))).toEqual(['i-a', 'i-b', 'i-c']);
  });

  it.each<[string, ProbedNode[], string[]]>([
    ['silent', nodes({}, {}, null), ['i-a', 'i-b']],
    ['without a stream', nodes({}, { receiver: null }), ['i-a', 'i-c']],
    [
      'that streams from another',
      nodes({}, { receiver: { ...base.receiver!, senderHost: '127.1.0.9' } }),
      ['i-a', 'i-c'],
    ],
    ['on an old timeline', nodes({}, { timeline: 1 }), ['i-a', 'i-c']],
    ['far behind', nodes({}, { lsn: '0/1000000' }), ['i-a', 'i-c']],
    ['that is a primary too', nodes({}, { inRecovery: false }), ['i-a', 'i-c']],
  ])('not when it is one %s', (_title, all, expected) => expect(served(all)).toEqual(expected));

  it('not at all while the writer is no primary', () => expect(served(nodes({ inRecovery: true }))).toEqual([]));
  it('not at all without a writer', () => expect(served(nodes({}), { writer: null })).toEqual([]));
});
