import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CutPiece } from '../../../lambdas/archive/ship/postgres/cutter.ts';
import { borderBefore, borderBytes, WalCutter } from '../../../lambdas/archive/ship/postgres/cutter.ts';
import { SegmentMemory } from '../../../lambdas/archive/ship/postgres/segment-memory.ts';

const BORDER = 64;
const cutterAt = (start: number): WalCutter => new WalCutter(BigInt(start), BORDER, new SegmentMemory(BORDER));
/** Bytes that tell where they lie. */
const log = (from: number, length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (from + i) % 251);
const range = ({ start, end }: CutPiece): string => `${start}-${end}`;

describe('cutting a stream of WAL', () => {
  it('ends a piece at a border, and not in between', () => {
    const cutter = cutterAt(0);
    expect(cutter.take(0n, log(0, 50)).map(range)).toEqual([]);
    expect(cutter.take(50n, log(50, 150)).map(range)).toEqual(['0-64', '64-128', '128-192']);
    expect(cutter.openBytes).toBe(8);
  });

  it('ends a piece where it is told to, and goes on from there', () => {
    const cutter = cutterAt(10);
    expect(cutter.cut()).toEqual([]);
    cutter.take(10n, log(10, 20));
    expect(cutter.cut().map(range)).toEqual(['10-30']);
    expect(cutter.cut()).toEqual([]);
    expect(cutter.take(30n, log(30, 40)).map(range)).toEqual(['30-64']);
  });

  it('refuses a stream that leaves something out', () => {
    const cutter = cutterAt(0);
    cutter.take(0n, log(0, 10));
    expect(() => cutter.take(11n, log(11, 1))).toThrow(/goes on at 11; expected 10/);
  });

  it('covers what the server had a second before it said that this is all', () => {
    const cutter = cutterAt(0);
    cutter.take(0n, log(0, 10));
    expect(cutter.cut()[0]?.coveredMs).toBe(0);
    cutter.take(10n, log(10, 10));
    cutter.told(20n, 50_000);
    cutter.take(20n, log(20, 10));
    expect(cutter.cut()[0]?.coveredMs).toBe(49_000);
    cutter.told(30n, 40_000); // a clock that went back takes nothing back
    cutter.take(30n, log(30, 1));
    expect(cutter.cut()[0]?.coveredMs).toBe(49_000);
  });

  it('covers with a piece that ends at a border nothing that lies behind the border', () => {
    const cutter = cutterAt(0);
    const pieces = cutter.take(0n, log(0, 70));
    cutter.told(70n, 50_000);
    expect(pieces.map((p) => p.coveredMs)).toEqual([0]);
    expect(cutter.cut()[0]?.coveredMs).toBe(49_000);
  });

  it('attests an idle server by a piece without bytes, and only what no piece has said', () => {
    const cutter = cutterAt(0);
    cutter.take(0n, log(0, 10));
    cutter.told(10n, 50_000);
    expect(cutter.attest()).toEqual([]); // bytes wait: their piece will say it
    cutter.cut();
    expect(cutter.attest()).toEqual([]);
    cutter.told(10n, 60_000);
    const [piece] = cutter.attest();
    expect(piece).toMatchObject({ start: 10n, end: 10n, coveredMs: 59_000, bytes: new Uint8Array() });
    expect(cutter.attest()).toEqual([]);
    expect(cutter.take(10n, log(10, 54)).map(range)).toEqual(['10-64']);
  });

  it('takes no word for bytes that have not come', () => {
    const cutter = cutterAt(0);
    cutter.take(0n, log(0, 10));
    cutter.told(11n, 50_000);
    expect(cutter.cut()[0]?.coveredMs).toBe(0);
  });

  it('keeps the memory of a segment while anybody needs it, and then uses it again', () => {
    const memory = new SegmentMemory(BORDER);
    const cutter = new WalCutter(0n, BORDER, memory);
    cutter.take(0n, log(0, 10));
    const [first] = cutter.cut();
    const [second] = cutter.take(10n, log(10, 54));
    first?.release();
    first?.release();
    const other = memory.take();
    expect(other.bytes.buffer).not.toBe(first?.bytes.buffer);
    second?.release();
    expect(memory.take().bytes.buffer).toBe(first?.bytes.buffer);
  });

  it('gives every byte once and in order, whatever the chunks and the cuts', () => {
    const chunk = fc.record({ length: fc.integer({ min: 1, max: 150 }), cut: fc.boolean() });
    fc.assert(
      fc.property(fc.nat(200), fc.array(chunk, { maxLength: 20 }), (start, chunks) => {
        const cutter = cutterAt(start);
        let at = start;
        const pieces: (CutPiece & { readonly copy: Uint8Array })[] = [];
        const keep = (cut: readonly CutPiece[]): void => {
          for (const p of cut) pieces.push({ ...p, copy: Uint8Array.from(p.bytes) });
          for (const p of cut) p.release();
        };
        for (const { length, cut } of chunks) {
          keep(cutter.take(BigInt(at), log(at, length)));
          at += length;
          if (cut) keep(cutter.cut());
        }
        keep(cutter.cut());
        let next = BigInt(start);
        for (const p of pieces) {
          expect(p.start).toBe(next);
          expect(p.end - (p.start - (p.start % 64n)) <= 64n).toBe(true);
          expect(p.copy).toEqual(log(Number(p.start), Number(p.end - p.start)));
          next = p.end;
        }
        expect(next).toBe(BigInt(at));
      }),
    );
  });

  it('knows borders of segments of all sizes', () => {
    const MIB = 2 ** 20;
    expect([1, 16, 64, 1024].map((mib) => borderBytes(mib * MIB) / MIB)).toEqual([1, 16, 16, 16]);
    expect([0n, 5n, 64n, 127n].map((n) => borderBefore(n, BORDER))).toEqual([0n, 0n, 64n, 64n]);
  });
});
