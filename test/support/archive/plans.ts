/** What the plane makes for a restore, made by hand: log objects of a server's own files, and the plan (docs/archive.md). */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { constants, zstdCompressSync } from 'node:zlib';
import type { ArchivePlace, WalObject } from '../../../lambdas/model/archive/keys.ts';
import { keyOf, lsnOfBytes } from '../../../lambdas/model/archive/keys.ts';
import { lsnBytes } from '../../../lambdas/model/lsn.ts';
import type { S3 } from './s3.ts';

export const SEGMENT = 16n * 1024n * 1024n;

export const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
export const compress = (data: Buffer): Buffer =>
  zstdCompressSync(data, {
    params: { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 },
  });

const hex = (value: bigint | number): string => value.toString(16).toUpperCase().padStart(8, '0');
export const segmentName = (timeline: number, at: bigint): string =>
  `${hex(timeline)}${hex(at >> 32n)}${hex((at & 0xffffffffn) / SEGMENT)}`;
export const segmentStart = (at: bigint): bigint => (at / SEGMENT) * SEGMENT;

/** Log lines of a plan for bytes [from, to) of a timeline, read from `pg_wal` and stored, cut at the borders of segments and at `cuts`. */
export async function storeWal(
  s3: S3,
  place: ArchivePlace,
  source: { readonly pgWal: string; readonly timeline: number; readonly from: bigint; readonly to: bigint },
  cuts: readonly bigint[] = [],
): Promise<string[]> {
  const { pgWal, timeline, from, to } = source;
  const borders = [to, ...cuts.filter((cut) => cut > from && cut < to)];
  for (let border = segmentStart(from) + SEGMENT; border < to; border += SEGMENT) borders.push(border);
  const lines: string[] = [];
  let at = from;
  for (const end of [...new Set(borders)].sort((a, b) => (a < b ? -1 : 1))) {
    const file = await readFile(join(pgWal, segmentName(timeline, at)));
    const bytes = file.subarray(Number(at % SEGMENT), Number(end - segmentStart(at)));
    const object: WalObject = { kind: 'wal', timeline, start: lsnOfBytes(at), end: lsnOfBytes(end), coveredMs: 0 };
    s3.objects.set(keyOf(place, object), compress(bytes));
    lines.push(['log', keyOf(place, object), `${timeline}/${object.start}`, `${timeline}/${object.end}`].join('\t'));
    at = end;
  }
  return lines;
}

export interface PlanParts {
  readonly engine: 'postgres' | 'galera';
  /** Key of the base; its parts are read from the object beside it. */
  readonly base: string;
  readonly lines: readonly string[];
  readonly target: readonly string[];
  readonly end: string;
}

/** Stores the plan and answers its key. */
export function storePlan(s3: S3, id: string, { engine, base, lines, target, end }: PlanParts): string {
  const data = s3.objects.get(base) ?? Buffer.alloc(0);
  const parts =
    s3.objects
      .get(base.replace(/data\.zst$/, 'parts'))
      ?.toString()
      .trim()
      .split('\n') ?? [];
  const text = [
    `engine\t${engine}`,
    ['base', base, data.length, sha256(data)].join('\t'),
    ...parts.map((part) => ['part', ...part.split('\t').slice(0, 3)].join('\t')),
    ...lines,
    ['target', ...target].join('\t'),
    `end\t${end}`,
  ];
  const key = `restored/restore/${id}/plan`;
  s3.objects.set(key, Buffer.from(`${text.join('\n')}\n`));
  return key;
}

/** `1/0/3000060` as bytes, without the timeline. */
export const bytesOf = (place: string): bigint => lsnBytes(place.replace(/^\d+\/(?=.*\/)/, ''));
