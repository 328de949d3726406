/** Listings as tests want them. LSNs are given in MiB. */
import type { Listed } from '../../../lambdas/model/archive/catalogue.ts';
import { parseGtidPosition } from '../../../lambdas/model/archive/gtid.ts';
import type { ArchiveObject, ArchivePlace, LogPosition } from '../../../lambdas/model/archive/keys.ts';
import { keyOf, lsnOfBytes } from '../../../lambdas/model/archive/keys.ts';
import type { Lsn } from '../../../lambdas/model/lsn.ts';

export const PG: ArchivePlace = { cluster: 'orders', history: '7301234567890123456' };
export const GALERA: ArchivePlace = { cluster: 'orders', history: '6a7c1b1e-1f64-11f0-9c3a-000000000001' };

export const T0 = Date.parse('2026-11-20T14:00:00Z');
/** Seconds after T0, as epoch ms. */
export const sec = (s: number): number => T0 + s * 1000;
export const iso = (s: number): string => new Date(sec(s)).toISOString();

export const mib = (m: number): Lsn => lsnOfBytes(BigInt(m) * 1024n * 1024n);
export const at = (timeline: number, m: number): LogPosition => ({ engine: 'postgres', timeline, lsn: mib(m) });
export const gtid = (text: string): LogPosition => ({ engine: 'galera', gtid: parseGtidPosition(text) });

const listed = (place: ArchivePlace, object: ArchiveObject, sizeBytes = 1000): Listed => ({
  key: keyOf(place, object),
  sizeBytes,
});

/** WAL of a timeline from one MiB to another; covered in seconds after T0, null: not known. */
export const wal = (timeline: number, from: number, to: number, covered: number | null, place = PG): Listed =>
  listed(place, {
    kind: 'wal',
    timeline,
    start: mib(from),
    end: mib(to),
    coveredMs: covered === null ? 0 : sec(covered),
  });

export const historyFile = (timeline: number): Listed => listed(PG, { kind: 'history', timeline }, 50);

export const binlog = (after: string, upTo: string, covered: number | null, source = 'i-1~b.000001~4'): Listed =>
  listed(GALERA, {
    kind: 'binlog',
    after: parseGtidPosition(after),
    upTo: parseGtidPosition(upTo),
    coveredMs: covered === null ? 0 : sec(covered),
    source,
  });

export const manifest = (
  id: string,
  ended: number,
  start: LogPosition,
  end: LogPosition,
  place?: ArchivePlace,
): Listed =>
  listed(place ?? (start.engine === 'postgres' ? PG : GALERA), {
    kind: 'manifest',
    beganMs: sec(ended - 10),
    endedMs: sec(ended),
    start,
    end,
    id,
  });

export const data = (id: string, place = PG, sizeBytes = 1_000_000): Listed =>
  listed(place, { kind: 'base', id }, sizeBytes);

/** A whole base backup of PostgreSQL. */
export const base = (id: string, ended: number, start: LogPosition, end = start, place?: ArchivePlace): Listed[] => [
  data(id, place ?? (start.engine === 'postgres' ? PG : GALERA)),
  manifest(id, ended, start, end, place),
];

export const point = (name: string, atSeconds: number, position: LogPosition): Listed =>
  listed(position.engine === 'postgres' ? PG : GALERA, { kind: 'point', atMs: sec(atSeconds), position, name }, 0);
