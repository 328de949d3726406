/** A listing of the bucket, sorted by what its names say. What is nobody's (parseKey answers null) is left out. */
import type { EngineKind } from '../spec.ts';
import type { ArchivePlace, BinlogObject, ManifestObject, RestorePointObject, WalObject } from './keys.ts';
import { keyOf, parseKey } from './keys.ts';

/** An object as a listing shows it: no date, since dates do not survive a copy of the bucket. */
export interface Listed {
  readonly key: string;
  readonly sizeBytes: number;
}

export type WalEntry = WalObject & Listed;
export type BinlogEntry = BinlogObject & Listed;
export type LogEntry = WalEntry | BinlogEntry;
export type PointEntry = RestorePointObject & Listed;

/** A base backup that has a manifest. */
export interface Base extends Omit<ManifestObject, 'kind'> {
  readonly manifestKey: string;
  readonly dataKey: string;
  /** Of the data; null: the data is not listed, and the backup is none. */
  readonly storedBytes: number | null;
}

/** All of one database: a cluster's name and the history that was under it. */
export interface Catalogue {
  readonly place: ArchivePlace;
  readonly engine: EngineKind;
  readonly wal: readonly WalEntry[];
  readonly binlog: readonly BinlogEntry[];
  /** By their end. */
  readonly bases: readonly Base[];
  /** Data without a manifest, by id: an upload that is under way, or was given up. */
  readonly unfinished: ReadonlyMap<string, Listed>;
  readonly points: readonly PointEntry[];
  /** Keys of history files by their timeline. */
  readonly histories: ReadonlyMap<number, string>;
}

interface Draft {
  readonly place: ArchivePlace;
  readonly wal: WalEntry[];
  readonly binlog: BinlogEntry[];
  readonly manifests: (ManifestObject & Listed)[];
  readonly data: Map<string, Listed>;
  readonly points: PointEntry[];
  readonly histories: Map<number, string>;
}

/** The newest moment that anything of it tells. */
export const newestMs = ({ bases, wal, binlog, points }: Catalogue): number =>
  [
    ...bases.map((b) => b.endedMs),
    ...points.map((p) => p.atMs),
    ...wal.map((o) => o.coveredMs),
    ...binlog.map((o) => o.coveredMs),
  ].reduce((a, b) => Math.max(a, b), 0);

/** One for each database of each cluster, in the order of names. */
export function catalogue(listing: Iterable<Listed>): readonly Catalogue[] {
  const drafts = new Map<string, Draft>();
  for (const { key, sizeBytes } of listing) {
    const parsed = parseKey(key);
    if (parsed === null) continue;
    const { place, object } = parsed;
    const name = `${place.cluster}/${place.history}`;
    const draft = drafts.get(name) ?? emptyDraft(place);
    drafts.set(name, draft);
    const listed = { key, sizeBytes };
    switch (object.kind) {
      case 'wal':
        draft.wal.push({ ...object, ...listed });
        break;
      case 'binlog':
        draft.binlog.push({ ...object, ...listed });
        break;
      case 'manifest':
        draft.manifests.push({ ...object, ...listed });
        break;
      case 'base':
        draft.data.set(object.id, listed);
        break;
      case 'point':
        draft.points.push({ ...object, ...listed });
        break;
      case 'history':
        draft.histories.set(object.timeline, key);
        break;
    }
  }
  return [...drafts].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, draft]) => finish(draft));
}

const emptyDraft = (place: ArchivePlace): Draft => ({
  place,
  wal: [],
  binlog: [],
  manifests: [],
  data: new Map(),
  points: [],
  histories: new Map(),
});

function finish({ place, wal, binlog, manifests, data, points, histories }: Draft): Catalogue {
  const bases = manifests
    .map(({ beganMs, endedMs, start, end, id, key }): Base => ({
      ...{ beganMs, endedMs, start, end, id },
      manifestKey: key,
      dataKey: keyOf(place, { kind: 'base', id }),
      storedBytes: data.get(id)?.sizeBytes ?? null,
    }))
    .toSorted((a, b) => a.endedMs - b.endedMs || (a.id < b.id ? -1 : 1));
  const finished = new Set(bases.map((b) => b.id));
  const isPostgres = wal.length > 0 || histories.size > 0 || bases.some((b) => b.start.engine === 'postgres');
  return {
    ...{ place, bases, wal, binlog, histories },
    points: points.toSorted((a, b) => a.atMs - b.atMs),
    engine: isPostgres ? 'postgres' : 'galera',
    unfinished: new Map([...data].filter(([id]) => !finished.has(id))),
  };
}
