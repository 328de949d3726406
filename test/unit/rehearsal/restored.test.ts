import { describe, expect, it } from 'vitest';
import { accountRestored, betweenWrites } from '../../../rehearsal/archive/accounting.ts';
import { percentile } from '../../../rehearsal/archive/watch.ts';

/** Three writes, each of 10 ms, with a pause of 10, 20 and 10 ms behind. */
const journal = [
  { id: 1, beganAtMs: 1_000, acknowledgedAtMs: 1_010 },
  { id: 2, beganAtMs: 1_020, acknowledgedAtMs: 1_030 },
  { id: 3, beganAtMs: 1_050, acknowledgedAtMs: 1_060 },
];

describe('what a restore holds', () => {
  it.each([
    ['between two writes, exactly', [1, 2], 1_040, 1, { rowsExpected: 2, rowsMissing: 0, rowsExtra: 0 }],
    ['lacks one', [1], 1_040, 1, { rowsExpected: 2, rowsMissing: 1, rowsExtra: 0 }],
    ['has one from after it', [1, 2, 3], 1_040, 1, { rowsExpected: 2, rowsMissing: 0, rowsExtra: 1 }],
    ['has one twice', [1, 2, 2], 1_040, 1, { rowsExpected: 2, rowsMissing: 0, rowsExtra: 1 }],
    ['within a write, which may be in', [1, 2], 1_025, 1, { rowsExpected: 1, rowsMissing: 0, rowsExtra: 0 }],
    ['within a write, which may be out', [1], 1_025, 1, { rowsExpected: 1, rowsMissing: 0, rowsExtra: 0 }],
    [
      'in whole seconds, those of that second may be in or out',
      [1],
      1_040,
      1_000,
      { rowsExpected: 0, rowsMissing: 0, rowsExtra: 0 },
    ],
    [
      'in whole seconds, those of a later one may not',
      [1, 2, 3],
      999,
      1_000,
      { rowsExpected: 0, rowsMissing: 0, rowsExtra: 3 },
    ],
    [
      'in whole seconds, those of an earlier one must',
      [1, 3],
      2_000,
      1_000,
      { rowsExpected: 3, rowsMissing: 1, rowsExtra: 0 },
    ],
  ])('%s', (_what, found, atMs, precisionMs, expected) => {
    expect(accountRestored(journal, found, { atMs, precisionMs })).toEqual(expected);
  });

  it('of the latest: what was covered at least', () => {
    const until = { atMs: 1_040, precisionMs: 1, atLeast: true } as const;
    expect(accountRestored(journal, [1, 2, 3], until)).toEqual({ rowsExpected: 2, rowsMissing: 0, rowsExtra: 0 });
    expect(accountRestored(journal, [1, 3, 3], until)).toEqual({ rowsExpected: 2, rowsMissing: 1, rowsExtra: 1 });
  });
});

describe('a target between two writes', () => {
  it('lies in the middle of the longest pause', () => {
    expect(betweenWrites(journal, 0)).toBe(1_040);
    expect(betweenWrites([...journal, { id: 4, beganAtMs: 1_070, acknowledgedAtMs: 1_080 }], 1_055)).toBe(1_065);
  });

  it('is refused where there is none', () => {
    expect(() => betweenWrites(journal.slice(0, 1), 0)).toThrow(/has not paused between two of 1 writes/);
  });
});

describe('a percentile', () => {
  it('is the value that so many do not exceed', () => {
    const values = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect([percentile(values, 0.5), percentile(values, 0.99), percentile([7], 0.99), percentile([], 0.5)]).toEqual([
      ...[50, 99, 7, null],
    ]);
  });
});
