import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareLsn, comparePosition, isLsn, lagBytes, lsnBytes } from '../../../lambdas/model/lsn.ts';

const place = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const written = (at: bigint): string =>
  `${(at >> 32n).toString(16).toUpperCase()}/${(at & 0xffffffffn).toString(16).toUpperCase()}`;

describe('log sequence numbers', () => {
  it.each([
    ['0/0', 0n],
    ['0/1B7EC00', 28_830_720n],
    ['1/0', 2n ** 32n],
    ['16/B374D848', (0x16n << 32n) | 0xb374d848n],
    ['ffffffff/FFFFFFFF', 2n ** 64n - 1n],
  ])('%s is byte %i', (lsn, bytes) => {
    expect(isLsn(lsn)).toBe(true);
    expect(lsnBytes(lsn)).toBe(bytes);
  });

  it.each(['', '0', '/', '0/', '0/G', '0/123456789', '-1/0', ' 0/0', '0/0\n'])('%j is none, and says so', (text) => {
    expect(isLsn(text)).toBe(false);
    expect(() => lsnBytes(text)).toThrow(`${JSON.stringify(text)} is no LSN: expected two hexadecimal numbers`);
  });

  it('are ordered as their bytes are, however long they are written', () => {
    expect(compareLsn('0/FFFFFFFF', '1/0')).toBeLessThan(0);
    expect(compareLsn('9/0', '10/0')).toBeLessThan(0);
    expect(compareLsn('0/0000000A', '0/a')).toBe(0);
    fc.assert(
      fc.property(place, place, (a, b) => {
        expect(Math.sign(compareLsn(written(a), written(b)))).toBe(a < b ? -1 : a > b ? 1 : 0);
      }),
    );
  });

  it('lag by the bytes between them, and never by less than none', () => {
    fc.assert(
      fc.property(place, fc.integer({ min: 0, max: 2 ** 40 }), (at, more) => {
        const ahead = at + BigInt(more);
        fc.pre(ahead < 2n ** 64n);
        expect(lagBytes(written(ahead), written(at))).toBe(more);
        expect(lagBytes(written(at), written(ahead))).toBe(0);
      }),
    );
  });
});

describe('positions (safety rule 4)', () => {
  it('go by timeline first: what lies further in an older history was left behind', () => {
    expect(comparePosition({ timeline: 2, lsn: '0/10' }, { timeline: 1, lsn: '5/0' })).toBeGreaterThan(0);
    expect(comparePosition({ timeline: 9, lsn: '0/10' }, { timeline: 10, lsn: '0/10' })).toBeLessThan(0);
  });

  it('of one timeline go by LSN', () => {
    expect(comparePosition({ timeline: 3, lsn: '0/A0' }, { timeline: 3, lsn: '0/9F' })).toBeGreaterThan(0);
    expect(comparePosition({ timeline: 3, lsn: '0/A0' }, { timeline: 3, lsn: '0/A0' })).toBe(0);
  });
});
