/** The truth about the archive that nights are judged by. */
import { describe, expect, it } from 'vitest';
import type { Log } from '../../../simulator/archive/postgres/wal.ts';
import { bytesOf, historyOf, Wal } from '../../../simulator/archive/postgres/wal.ts';
import { keyOf, lsnOfBytes } from '../../../lambdas/model/archive/keys.ts';
import type { LogEntry } from '../../fakes/postgres-cluster.ts';

const START = 0x3000000;
const entry = (id: number, index: number, timeline: number): LogEntry => ({
  ...{ id, index, timeline, commit: id },
  ...{ start: START + index * 0x60, end: START + (index + 1) * 0x60 },
});
/** Ten entries, the last four on the second timeline. */
const LOG: Log = Array.from({ length: 10 }, (_, i) => entry(i + 1, i, i < 6 ? 1 : 2));
const end = (entries: number): number => START + entries * 0x60;

function watched(has: string | null = null) {
  const broken: string[] = [];
  const wal = new Wal({
    violate: (rule) => void broken.push(rule),
    tell: () => undefined,
    keeps: () => has,
    acknowledgedBefore: () => LOG[5] ?? null,
  });
  const put = (timeline: number, from: number, to: number, coveredMs = 0, bytes = bytesOf(LOG, from, to)): void => {
    const range = { start: lsnOfBytes(BigInt(from)), end: lsnOfBytes(BigInt(to)), coveredMs };
    wal.stored(keyOf({ cluster: 'orders', history: '7' }, { kind: 'wal', timeline, ...range }), bytes);
  };
  wal.begins('i-a', LOG, START);
  return { wal, put, broken };
}

describe('what is confirmed', () => {
  it('must be in S3 with all before it, to the byte', () => {
    const { wal, put, broken } = watched();
    put(1, START, end(3));
    put(1, end(4), end(6));
    wal.confirmed('ship-1', LOG, end(3));
    expect(broken).toEqual([]);
    wal.confirmed('ship-1', LOG, end(3) + 4);
    expect(broken).toEqual(['10']);
    put(1, end(3), end(4));
    wal.confirmed('ship-1', LOG, end(6));
    expect(broken).toEqual(['10']);
  });

  it('may lie beyond a gap only when no node has the log of it any more', () => {
    for (const [has, rules] of [
      ['i-b', ['archive']],
      [null, []],
    ] as const) {
      const { wal, put, broken } = watched(has);
      put(1, START, end(3));
      wal.begins('i-a', LOG, end(5));
      wal.confirmed('ship-1', LOG, end(5));
      expect(broken).toEqual(rules);
      expect(wal.hole(LOG, START, end(5))?.id).toBe(4);
    }
  });

  it('needs the rest of an entry in whose middle a gap ended', () => {
    const { wal, put, broken } = watched();
    put(1, START, end(3));
    const border = end(4) + 0x20;
    wal.begins('i-a', LOG, border);
    wal.confirmed('ship-1', LOG, border);
    expect(broken).toEqual([]);
    wal.confirmed('ship-1', LOG, end(5));
    expect(broken).toEqual(['10']);
    put(1, border, end(5));
    wal.confirmed('ship-1', LOG, end(5));
    expect(broken).toEqual(['10']);
  });

  it('begins with the first byte of the log, wherever the first stream does', () => {
    const broken: string[] = [];
    const wal = new Wal({
      violate: (rule) => void broken.push(rule),
      tell: () => undefined,
      keeps: () => 'i-b',
      acknowledgedBefore: () => null,
    });
    wal.begins('i-a', LOG, end(2));
    expect(broken).toEqual(['archive']);
  });
});

describe('an object', () => {
  it.each([
    ['other bytes than its name says', 1, START, end(2), 0, bytesOf(LOG, end(1), end(3))],
    ['fewer bytes than its name says', 1, START, end(2), 0, bytesOf(LOG, START, end(1))],
    ['bytes of another timeline', 2, end(4), end(6), 0, undefined],
    ['a moment whose acknowledged write comes later', 1, START, end(4), 1000, undefined],
  ] as const)('is seen that has %s', (_, timeline, from, to, coveredMs, bytes) => {
    const { put, broken } = watched();
    put(timeline, from, to, coveredMs, bytes);
    expect(broken).toEqual(['archive']);
  });
});

describe('a history file', () => {
  it('says where each timeline was left', () => {
    expect(historyOf(LOG, 1)).toBeNull();
    expect(historyOf(LOG, 2)).toBe('1\t0/3000240\tno recovery target specified\n');
    expect(historyOf(LOG, 3)).toBeNull();
  });
});
