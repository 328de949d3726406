import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readingOn } from '../../../rehearsal/client/journal.ts';
import { ENGINES } from '../../../rehearsal/engines/index.ts';
import { FAULTS, faultsFor } from '../../../rehearsal/soak/faults.ts';
import { positiveMinutes, seedNumber, sharesOf } from '../../../rehearsal/soak/options.ts';
import {
  broken,
  endingOf,
  exitCode,
  NOTHING_CHECKED,
  type EngineSoak,
  type Struck,
} from '../../../rehearsal/soak/result.ts';
import { draws } from '../../../rehearsal/soak/sequence.ts';
import { byKind, median } from '../../../rehearsal/soak/summary.ts';

const first = <T>(count: number, from: Iterator<T>): T[] => Array.from({ length: count }, () => from.next().value as T);
const KINDS = ['a', 'b', 'c', 'd', 'e'];

describe('the sequence of faults', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(first(30, draws(KINDS, 7))).toEqual(first(30, draws(KINDS, 7)));
    expect(first(30, draws(KINDS, 7))).not.toEqual(first(30, draws(KINDS, 8)));
  });

  it('has every kind once before one comes again, in an order that changes', () => {
    const kinds = first(50, draws(KINDS, 1)).map((d) => d.kind);
    const rounds = Array.from({ length: 10 }, (_, i) => kinds.slice(i * 5, i * 5 + 5));
    for (const round of rounds) expect(round.toSorted()).toEqual(KINDS);
    expect(new Set(rounds.map(String)).size).toBeGreaterThan(5);
  });

  it('leaves 3 to 12 s of calm, and numbers the faults from 1', () => {
    const drawn = first(200, draws(KINDS, 3));
    expect(drawn.map((d) => d.number)).toEqual(drawn.map((_, i) => i + 1));
    for (const { calmMs, node, length } of drawn) {
      expect(calmMs).toBeGreaterThanOrEqual(3000);
      expect(calmMs).toBeLessThanOrEqual(12_000);
      for (const chance of [node, length]) expect(chance >= 0 && chance < 1).toBe(true);
    }
    expect(new Set(drawn.map((d) => d.calmMs)).size).toBeGreaterThan(100);
  });

  it('needs a kind', () => {
    expect(() => draws([], 1).next()).toThrow('no kind of fault');
  });
});

describe('the faults', () => {
  it('have names of their own, and are each for an engine', () => {
    expect(new Set(FAULTS.map((f) => f.name)).size).toBe(FAULTS.length);
    for (const fault of FAULTS) expect(fault.engines.some((e) => ENGINES.includes(e))).toBe(true);
  });

  it('are those of the engine, without a broken network where nobody may break it', () => {
    const names = (...asked: Parameters<typeof faultsFor>): string[] => faultsFor(...asked).map((f) => f.name);
    expect(names('galera', true)).not.toContain('switchover');
    expect(names('postgres', true)).toEqual(
      expect.arrayContaining(['switchover', 'partition-primary', 'crash-writer']),
    );
    expect(names('postgres', false)).toContain('switchover');
    expect(names('postgres', false).filter((name) => name.startsWith('partition'))).toEqual([]);
  });
});

describe('what is asked for', () => {
  it.each(['0', '-3', 'abc', '', 'Infinity', 'NaN', '5m'])('refuses %j minutes', (text) => {
    expect(() => positiveMinutes(text)).toThrow('Give a number of minutes above 0');
  });

  it('takes minutes, whole or not', () => {
    expect(['30', '2.5'].map(positiveMinutes)).toEqual([30, 2.5]);
  });

  it.each(['-1', '1.5', 'x', '', '3000000000'])('refuses the seed %j', (text) => {
    expect(() => seedNumber(text)).toThrow('Give a whole number from 0');
  });

  it('takes a seed', () => expect(['0', '42'].map(seedNumber)).toEqual([0, 42]));

  it('is both engines with half the minutes each, or the one that is named', () => {
    expect(sharesOf({ minutes: 9 })).toEqual([
      { engine: 'galera', minutes: 4.5 },
      { engine: 'postgres', minutes: 4.5 },
    ]);
    expect(sharesOf({ minutes: 9, engine: 'postgres' })).toEqual([{ engine: 'postgres', minutes: 9 }]);
  });
});

const struck = (kind: string, writeGapMs: number, wholeAfterMs: number | null): Struck => ({
  number: 1,
  kind,
  atMs: 0,
  writeGapMs,
  writeErrors: 0,
  wholeAfterMs,
  why: wholeAfterMs === null ? 'waited 240 s, in vain' : null,
});

describe('the summary', () => {
  it('has the longest and the median of each kind', () => {
    const faults = [struck('b', 100, 5000), struck('a', 10, 1000), struck('b', 300, 9000), struck('b', 200, 6000)];
    expect(byKind(faults)).toEqual([
      { kind: 'a', struck: 1, healed: 1, longestGapMs: 10, medianGapMs: 10, medianWholeMs: 1000 },
      { kind: 'b', struck: 3, healed: 3, longestGapMs: 300, medianGapMs: 200, medianWholeMs: 6000 },
    ]);
  });

  it('counts what was not healed, and takes no time of it', () => {
    expect(byKind([struck('a', 10, 1000), struck('a', 250_000, null)])).toEqual([
      { kind: 'a', struck: 2, healed: 1, longestGapMs: 250_000, medianGapMs: 125_005, medianWholeMs: 1000 },
    ]);
    expect(byKind([struck('a', 1, null)])[0]?.medianWholeMs).toBeNull();
  });

  it.each([
    [[], null],
    [[4], 4],
    [[9, 1, 5], 5],
    [[1, 2, 10, 20], 6],
  ])('the median of %j is %j', (values, middle) => expect(median(values)).toBe(middle));
});

const good: EngineSoak = {
  engine: 'galera',
  seed: 1,
  minutes: 5,
  seconds: 301,
  struck: [struck('a', 10, 1000)],
  underWay: null,
  leftOut: [],
  writesAcknowledged: 100,
  calmGapMs: 20,
  checked: { ...NOTHING_CHECKED, comparisons: 1, compared: 100 },
  refusedCalls: [],
  machineryFailures: [],
  broke: null,
  interrupted: false,
  timeline: [],
};
const checked = (part: Partial<EngineSoak['checked']>): Partial<EngineSoak> => ({
  checked: { ...good.checked, ...part },
});

describe('the ending', () => {
  it('is passed when nothing is broken', () => {
    expect(broken(good)).toEqual([]);
    expect(endingOf(good)).toBe('passed');
  });

  it.each<[string, Partial<EngineSoak>, string]>([
    ['a fault did not heal', { struck: [struck('x', 9, null)] }, 'fault 1 (x) was not healed: waited 240 s, in vain'],
    ['a write is lost', checked({ lost: 2, firstLost: [7, 9] }), '2 acknowledged writes are lost, the first: 7, 9'],
    ['a write is there twice', checked({ duplicated: 1 }), '1 writes are stored twice'],
    ['a direct write is lost', checked({ directLost: 3 }), '3 directly acknowledged writes are not on the primary'],
    ['two nodes acknowledged', checked({ overlapping: ['i-1'] }), 'while another node did so too: i-1'],
    ['the nodes differ', checked({ differences: ['direct on i-2'] }), 'the nodes differ: direct on i-2'],
    ['a call was refused', { refusedCalls: [{}] }, '1 calls were refused by IAM'],
    ['the rehearsal failed', { machineryFailures: ['no DNS'] }, 'the rehearsal itself failed: no DNS'],
    ['it broke off', { broke: 'no haproxy' }, 'it did not come to its end: no haproxy'],
    ['nothing struck', { struck: [] }, 'it shows nothing'],
    ['nothing was compared', { checked: NOTHING_CHECKED }, 'it shows nothing'],
  ])('is failed when %s, also of one that a person has ended', (_, part, sentence) => {
    expect(broken({ ...good, ...part }).join()).toContain(sentence);
    expect(endingOf({ ...good, ...part })).toBe('failed');
    if (sentence !== 'it shows nothing') expect(endingOf({ ...good, ...part, interrupted: true })).toBe('failed');
  });

  it('is interrupted when a person had enough, however early', () => {
    expect(endingOf({ ...good, interrupted: true })).toBe('interrupted');
    expect(endingOf({ ...good, interrupted: true, struck: [], checked: NOTHING_CHECKED })).toBe('interrupted');
  });

  it.each([
    [['passed', 'passed'], 0],
    [['passed', 'failed'], 1],
    [['failed', 'interrupted'], 1],
    [['passed', 'interrupted'], 130],
    [[], 130],
  ] as const)('of %j is the exit code %i', (endings, code) => expect(exitCode(endings)).toBe(code));
});

it('a journal is read on from where it was left, and a line only when it is whole', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'journal-'));
  try {
    const file = join(dir, 'journal');
    await writeFile(file, '1 10 20\n2 20 3');
    const more = readingOn(file);
    expect(await more()).toEqual(['1 10 20']);
    await appendFile(file, '0\n3 30 40\n');
    expect(await more()).toEqual(['2 20 30', '3 30 40']);
    expect(await more()).toEqual([]);
    expect(await readingOn(null)()).toEqual([]);
  } finally {
    await rm(dir, { recursive: true });
  }
});
