import { describe, expect, it } from 'vitest';
import { EMPTY_LEDGER } from '../../../lambdas/model/ledger.ts';
import type { DirectAcknowledgement } from '../../../rehearsal/client/direct.ts';
import { judge, overlapping, stretches, type Evidence } from '../../../rehearsal/judge.ts';
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
  problems: [],
};

/** One acknowledgement for each letter, ten milliseconds apart. */
const heard = (nodes: string): DirectAcknowledgement[] =>
  [...nodes].map((letter, i) => ({
    node: `i-${letter}`,
    sequence: i,
    beganAtMs: i * 10 - 5,
    acknowledgedAtMs: i * 10,
  }));

const same = {
  accounting: { lost: 0, duplicated: 0, firstLost: [] },
  rows: new Map(),
  directLost: [],
  differences: [],
};

const rows = { rowsExpected: 9, rowsMissing: 0, rowsExtra: 0 };
const restored = { target: 'latest', restoredTo: '0-1-7', ...rows, durationMs: 1 };
const archive = { rpoMsP50: 4000, rpoMsP99: 10_000, bytes: 10, objects: 2, gaps: 0 };

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
    direct: {},
    errors: [],
  },
  comparison: same,
  direct: heard('aaabb'),
  writers: ['i-a', 'i-b'],
  loss: { kind: 'none' },
  signalToRoutedMs: 3000,
  state,
  launched: ['i-d'],
  donors: [{ donor: 'i-b', writer: 'i-a', synced: ids }],
  refusedCalls: 0,
  restores: [restored],
  archive,
  rpoMs: 10_000,
  clusterIsLost: false,
  kills: null,
  machineryFailures: [],
};

const failed = (change: Partial<Evidence>): string[] =>
  judge({ ...good, ...change })
    .filter((v) => !v.held)
    .map((v) => v.promise);

describe('the verdict', () => {
  it('holds at the limits', () => expect(failed({})).toEqual([]));

  it.each<[string, Partial<Evidence>, RegExp]>([
    [
      'a lost write',
      { comparison: { ...same, accounting: { lost: 1, duplicated: 0, firstLost: [7] } } },
      /acknowledged write/,
    ],
    [
      'a write stored twice',
      { comparison: { ...same, accounting: { lost: 0, duplicated: 1, firstLost: [] } } },
      /acknowledged write/,
    ],
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
    ['something that is not as declared', { state: { ...state, problems: ['two primaries'] } }, /nodes synced/],
    ['nodes that differ', { comparison: { ...same, differences: ['writes on i-b'] } }, /holds the same/],
    ['two nodes that acknowledge in turn', { direct: heard('aaabba') }, /no moment/],
    ['direct writers that wrote nothing', { direct: [] }, /no moment/],
    ['a direct write that is gone', { comparison: { ...same, directLost: ['i-a/3'] } }, /directly acknowledged/],
    [
      'more loss than was declared',
      {
        loss: { kind: 'declared', bytes: 200, bytesPerWrite: 101 },
        comparison: { ...same, accounting: { lost: 2, duplicated: 0, firstLost: [] } },
      },
      /up to the declared lag/,
    ],
    ['a loss that was accepted and did not happen', { loss: { kind: 'accepted' } }, /a person has accepted/],
    ['a DNS answer of yesterday', { state: { ...state, dnsWriter: '127.1.0.1' } }, /nodes synced/],
    ['an instance launched twice', { launched: ['i-d', 'i-e'] }, /launched/],
    ['the writer as donor', { donors: [{ donor: 'i-a', writer: 'i-a', synced: ids }] }, /donor/],
    ['an archive that is farther behind', { archive: { ...archive, rpoMsP99: 10_001 } }, /behind/],
    ['an archive whose lag nobody knows', { archive: { ...archive, rpoMsP99: null } }, /behind/],
    ['a hole in the archive', { archive: { ...archive, gaps: 1 } }, /no hole/],
    ['a restore that lacks a row', { restores: [{ ...restored, rowsMissing: 1 }] }, /restored to latest/],
    ['a restore with a row too much', { restores: [{ ...restored, rowsExtra: 1 }] }, /restored to latest/],
    ['a restore to nothing', { restores: [{ ...restored, rowsExpected: 0 }] }, /restored to latest/],
    ['a refused call', { refusedCalls: 1 }, /IAM/],
    ['a run with kills in which nobody was killed', { kills: 0 }, /were killed/],
    ['broken machinery', { machineryFailures: ['x'] }, /rehearsal itself/],
  ])('fails for %s', (_title, change, promise) => {
    expect(failed(change)).toEqual([expect.stringMatching(promise)]);
  });

  it('lets as much be lost as was declared, and what a person has accepted', () => {
    const comparison = { ...same, accounting: { lost: 2, duplicated: 0, firstLost: [1, 2] }, directLost: ['i-a/3'] };
    expect(failed({ comparison, loss: { kind: 'declared', bytes: 202, bytesPerWrite: 101 } })).toEqual([]);
    expect(failed({ comparison, loss: { kind: 'accepted' } })).toEqual([]);
  });

  it('asks nothing of direct writers where there are none', () => {
    expect(failed({ direct: null })).toEqual([]);
  });

  it('lets the writer be the donor when nobody else can serve', () => {
    expect(failed({ donors: [{ donor: 'i-a', writer: 'i-a', synced: ['i-a'] }] })).toEqual([]);
  });
});

describe('who acknowledged, asked directly', () => {
  it('is told in stretches', () => expect(stretches(heard('aaabbc'))).toEqual(['i-a', 'i-b', 'i-c']));

  it.each([
    ['one after another', 'aabb', ['a', 'b'], ''],
    ['a candidate that the ledger never named', 'aabcc', ['a', 'c'], ''],
    ['there and back, as the ledger says', 'abba', ['a', 'b', 'a'], ''],
    ['there and back, though the ledger never went back', 'abba', ['a', 'b'], 'a'],
    ['once more than it was the writer', 'ababa', ['a', 'b', 'a'], 'ab'],
    ['both at once', 'ababab', ['a', 'b'], 'ab'],
    ['a single late acknowledgement', 'aaaabbbbab', ['a', 'b'], 'ab'],
  ])('%s', (_title, acknowledged, writers, wrong) => {
    const named = writers.map((w) => `i-${w}`);
    expect(overlapping(heard(acknowledged), named)).toEqual([...wrong].map((w) => `i-${w}`));
  });
});
