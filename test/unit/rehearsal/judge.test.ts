import { describe, expect, it } from 'vitest';
import { EMPTY_LEDGER } from '../../../lambdas/model/ledger.ts';
import { judge, type Evidence } from '../../../rehearsal/judge.ts';
import type { WorldState } from '../../../rehearsal/observer.ts';

const ids = ['i-a', 'i-b', 'i-c'];
const state: WorldState = {
  nodes: ids.map((id, i) => ({
    id,
    address: `127.1.0.${i}`,
    ec2: 'running',
    probe: { kind: 'skipped', atMs: 0, detail: '' },
    synced: true,
  })),
  writerTargets: [{ id: 'i-a', state: 'healthy' }],
  readTargets: ids.map((id) => ({ id, state: 'healthy' })),
  dnsWriter: '127.1.0.0',
  ledger: { ...EMPTY_LEDGER, writer: 'i-a' },
};

const good: Evidence = {
  limits: { writeOutageMs: 1000, writeErrors: 0, signalToRoutedMs: 3000, launches: 1 },
  nodeCount: 3,
  figures: {
    writesAcknowledged: 100,
    writeErrors: 0,
    connectErrors: 0,
    readsAnswered: 10,
    readErrors: 0,
    writeOutageMs: 1000,
    outageBeganAtMs: null,
    lastAcknowledgedAtMs: 1,
    errors: [],
  },
  accounting: { lost: 0, duplicated: 0, firstLost: [] },
  signalToRoutedMs: 3000,
  state,
  launched: ['i-d'],
  donors: [{ donor: 'i-b', writer: 'i-a', synced: ids }],
  refusedCalls: 0,
  machineryFailures: [],
};

const failed = (change: Partial<Evidence>): string[] =>
  judge({ ...good, ...change })
    .filter((v) => !v.held)
    .map((v) => v.promise);

describe('the verdict', () => {
  it('holds at the limits', () => expect(failed({})).toEqual([]));

  it.each<[string, Partial<Evidence>, RegExp]>([
    ['a lost write', { accounting: { lost: 1, duplicated: 0, firstLost: [7] } }, /acknowledged write/],
    ['a write stored twice', { accounting: { lost: 0, duplicated: 1, firstLost: [] } }, /acknowledged write/],
    ['a client that wrote nothing', { figures: { ...good.figures, writesAcknowledged: 0 } }, /acknowledged write/],
    ['an outage of a millisecond more', { figures: { ...good.figures, writeOutageMs: 1001 } }, /longest gap/],
    ['a failed write', { figures: { ...good.figures, writeErrors: 1 } }, /failed writes/],
    ['routing that was slow', { signalToRoutedMs: 3001 }, /traffic leaves/],
    ['routing that was not measured', { signalToRoutedMs: null }, /traffic leaves/],
    [
      'a node that is not synced',
      { state: { ...state, nodes: state.nodes.map((n, i) => ({ ...n, synced: i > 0 })) } },
      /nodes synced/,
    ],
    [
      'two writers',
      { state: { ...state, writerTargets: [...state.writerTargets, { id: 'i-b', state: 'healthy' }] } },
      /nodes synced/,
    ],
    ['a DNS answer of yesterday', { state: { ...state, dnsWriter: '127.1.0.1' } }, /nodes synced/],
    ['an instance launched twice', { launched: ['i-d', 'i-e'] }, /launched/],
    ['the writer as donor', { donors: [{ donor: 'i-a', writer: 'i-a', synced: ids }] }, /donor/],
    ['a refused call', { refusedCalls: 1 }, /IAM/],
    ['broken machinery', { machineryFailures: ['x'] }, /rehearsal itself/],
  ])('fails for %s', (_title, change, promise) => {
    expect(failed(change)).toEqual([expect.stringMatching(promise)]);
  });

  it('lets the writer be the donor when nobody else can serve', () => {
    expect(failed({ donors: [{ donor: 'i-a', writer: 'i-a', synced: ['i-a'] }] })).toEqual([]);
  });
});
