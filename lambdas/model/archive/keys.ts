/**
 * Names of objects in the archive. They alone say what is in it: the times that S3 keeps, the ledger and everything else
 * may be lost, and a listing still tells what can be restored. docs/archive.md has the layout.
 *
 *   <cluster>/<history>/wal/<timeline>/<start>-<end>-<covered>.zst     PostgreSQL's log, bytes [start, end) of a timeline
 *   <cluster>/<history>/history/<timeline>                             a timeline's history file, as the server has it
 *   <cluster>/<history>/binlog/<after>_<upTo>_<covered>_<source>.zst   MariaDB's log, transactions beyond `after` up to `upTo`
 *   <cluster>/<history>/base/<id>/data.zst                             a base backup: a tar (PostgreSQL) or xbstream (MariaDB)
 *   <cluster>/<history>/manifest/<ended>_<began>_<start>_<end>_<id>    its manifest, written last: without it there is no backup
 *   <cluster>/<history>/point/<at>_<position>_<name>                   a named restore point
 *
 * `history` tells apart two databases that had the same name one after the other: PostgreSQL's system identifier, Galera's
 * state UUID. Numbers have leading zeros, so that S3's order of names is theirs.
 */
import type { GtidPosition } from './gtid.ts';
import { formatGtid, parseGtidPosition } from './gtid.ts';
import type { Lsn } from '../lsn.ts';
import { lsnBytes } from '../lsn.ts';

/** Whose log: the cluster, and which database by that name. */
export interface ArchivePlace {
  readonly cluster: string;
  /** PostgreSQL: the system identifier. Galera: the state UUID. */
  readonly history: string;
}

export type FolderName = 'wal' | 'history' | 'binlog' | 'base' | 'manifest' | 'point';

/** `orders/7301…/wal/`: what to list. */
export const folderOf = ({ cluster, history }: ArchivePlace, folder: FolderName): string =>
  `${cluster}/${history}/${folder}/`;

/** A stretch of PostgreSQL's log: the bytes from `start` up to, not with, `end`. */
export interface WalObject {
  readonly kind: 'wal';
  readonly timeline: number;
  readonly start: Lsn;
  readonly end: Lsn;
  /**
   * The server's clock, epoch ms: whatever was acknowledged before it lies before `end`. 0: not known (the shipper was
   * behind when it read this).
   */
  readonly coveredMs: number;
}

/** A stretch of MariaDB's log: whole transactions, a binlog file that can be read by itself. */
export interface BinlogObject {
  readonly kind: 'binlog';
  /** What is in before it, and what is in after it. */
  readonly after: GtidPosition;
  readonly upTo: GtidPosition;
  /** As for WAL. */
  readonly coveredMs: number;
  /** Where its events lie on the server that it came from: `<instance>~<file>~<offset of the first of them>`. */
  readonly source: string;
}

export interface ManifestObject {
  readonly kind: 'manifest';
  /** By the database host's clock, epoch ms. */
  readonly beganMs: number;
  readonly endedMs: number;
  /** Log from here on is needed, and up to there at least: a place in WAL (`<timeline>/<lsn>`) or a GTID position. */
  readonly start: LogPosition;
  readonly end: LogPosition;
  readonly id: string;
}

export interface RestorePointObject {
  readonly kind: 'point';
  readonly atMs: number;
  readonly position: LogPosition;
  readonly name: string;
}

/** A place in either engine's log. */
export type LogPosition =
  | { readonly engine: 'postgres'; readonly timeline: number; readonly lsn: Lsn }
  | { readonly engine: 'galera'; readonly gtid: GtidPosition };

export type ArchiveObject =
  | WalObject
  | { readonly kind: 'history'; readonly timeline: number }
  | BinlogObject
  | { readonly kind: 'base'; readonly id: string }
  | ManifestObject
  | RestorePointObject;

const hex = (value: number | bigint, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');
const millis = (ms: number): string => Math.trunc(ms).toString().padStart(13, '0');

/** 16 hexadecimal digits, without the slash: the order of texts is the order of places. */
export const lsnInKey = (lsn: Lsn): string => hex(lsnBytes(lsn), 16);
export const lsnOfBytes = (bytes: bigint): Lsn => `${hex(bytes >> 32n, 1)}/${hex(bytes & 0xffffffffn, 1)}`;
const lsnFromKey = (text: string): Lsn => lsnOfBytes(BigInt(`0x${text}`));

/** `0-1-00000000000000000270`; `none` for the position before everything. */
const gtidInKey = (position: GtidPosition): string =>
  [...position.values()]
    .sort((a, b) => a.domain - b.domain)
    .map((g) => formatGtid(g).replace(/\d+$/, (sequence) => sequence.padStart(20, '0')))
    .join(',') || 'none';
const gtidFromKey = (text: string): GtidPosition => parseGtidPosition(text === 'none' ? '' : text);

const positionInKey = (position: LogPosition): string =>
  position.engine === 'postgres' ? `${hex(position.timeline, 8)}.${lsnInKey(position.lsn)}` : gtidInKey(position.gtid);

const WAL_POSITION = /^([0-9A-F]{8})\.([0-9A-F]{16})$/;
const positionFromKey = (text: string): LogPosition => {
  const [, timeline, lsn] = WAL_POSITION.exec(text) ?? [];
  return timeline !== undefined && lsn !== undefined
    ? { engine: 'postgres', timeline: Number.parseInt(timeline, 16), lsn: lsnFromKey(lsn) }
    : { engine: 'galera', gtid: gtidFromKey(text) };
};

/** A backup's id and a restore point's name: what may stand in a key and in a shell's parameter. */
export const NAME_FORM = /^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$/;

/** The object's key. */
export function keyOf(place: ArchivePlace, object: ArchiveObject): string {
  switch (object.kind) {
    case 'wal': {
      const range = `${lsnInKey(object.start)}-${lsnInKey(object.end)}-${millis(object.coveredMs)}`;
      return `${folderOf(place, 'wal')}${hex(object.timeline, 8)}/${range}.zst`;
    }
    case 'history':
      return `${folderOf(place, 'history')}${hex(object.timeline, 8)}`;
    case 'binlog': {
      const range = `${gtidInKey(object.after)}_${gtidInKey(object.upTo)}_${millis(object.coveredMs)}`;
      return `${folderOf(place, 'binlog')}${range}_${object.source}.zst`;
    }
    case 'base':
      return `${folderOf(place, 'base')}${object.id}/data.zst`;
    case 'manifest': {
      const { beganMs, endedMs, start, end, id } = object;
      const range = `${positionInKey(start)}_${positionInKey(end)}`;
      return `${folderOf(place, 'manifest')}${millis(endedMs)}_${millis(beganMs)}_${range}_${id}`;
    }
    case 'point':
      return `${folderOf(place, 'point')}${millis(object.atMs)}_${positionInKey(object.position)}_${object.name}`;
  }
}

const GTIDS = String.raw`none|(?:\d+-\d+-\d{20},?)+`;
const POSITION = String.raw`[0-9A-F]{8}\.[0-9A-F]{16}|${GTIDS}`;
const NAME = String.raw`[A-Za-z0-9][A-Za-z0-9.-]{0,62}`;

/** One form a kind; a key has at most one of them. */
const FORMS: readonly { readonly form: RegExp; readonly read: (m: readonly string[]) => ArchiveObject }[] = [
  {
    form: /^wal\/([0-9A-F]{8})\/([0-9A-F]{16})-([0-9A-F]{16})-(\d{13})\.zst$/,
    read: ([, timeline = '', start = '', end = '', covered = '']) => ({
      kind: 'wal',
      timeline: Number.parseInt(timeline, 16),
      start: lsnFromKey(start),
      end: lsnFromKey(end),
      coveredMs: Number(covered),
    }),
  },
  {
    form: /^history\/([0-9A-F]{8})$/,
    read: ([, timeline = '']) => ({ kind: 'history', timeline: Number.parseInt(timeline, 16) }),
  },
  {
    form: new RegExp(`^binlog/(${GTIDS})_(${GTIDS})_(\\d{13})_([^/_]+)\\.zst$`),
    read: ([, after = '', upTo = '', covered = '', source = '']) => ({
      kind: 'binlog',
      after: gtidFromKey(after),
      upTo: gtidFromKey(upTo),
      coveredMs: Number(covered),
      source,
    }),
  },
  { form: new RegExp(`^base/(${NAME})/data\\.zst$`), read: ([, id = '']) => ({ kind: 'base', id }) },
  {
    form: new RegExp(`^manifest/(\\d{13})_(\\d{13})_(${POSITION})_(${POSITION})_(${NAME})$`),
    read: ([, ended = '', began = '', start = '', end = '', id = '']) => ({
      kind: 'manifest',
      beganMs: Number(began),
      endedMs: Number(ended),
      start: positionFromKey(start),
      end: positionFromKey(end),
      id,
    }),
  },
  {
    form: new RegExp(`^point/(\\d{13})_(${POSITION})_(${NAME})$`),
    read: ([, at = '', position = '', name = '']) => ({
      kind: 'point',
      atMs: Number(at),
      position: positionFromKey(position),
      name,
    }),
  },
];

/** What a key names; null for one that is not the archive's: nobody may take it for a part of a backup. */
export function parseKey(key: string): { readonly place: ArchivePlace; readonly object: ArchiveObject } | null {
  const [cluster, history, ...rest] = key.split('/');
  if (cluster === undefined || history === undefined || cluster === '' || history === '') return null;
  const path = rest.join('/');
  for (const { form, read } of FORMS) {
    const match = form.exec(path);
    if (match !== null) return { place: { cluster, history }, object: read(match) };
  }
  return null;
}
