/** This plane's shipper of PostgreSQL's log: the deployed bundle of `ship-postgres`, invoked once, until it has all. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { folderOf, parseKey, type WalObject } from '../../lambdas/model/archive/keys.ts';
import { lsnBytes } from '../../lambdas/model/lsn.ts';
import { ARCHIVE_SLOT } from '../../lambdas/model/postgres.ts';
import { SEGMENT_BYTES, type Database, type Stretch } from './database.ts';
import { OURS } from './figures.ts';
import type { Contestant } from './kinds.ts';
import type { Plane } from './plane.ts';
import type { LocalS3 } from './s3.ts';

export interface ShipperFacts {
  readonly plane: Plane;
  readonly cluster: string;
  readonly database: Database;
  readonly s3: LocalS3;
}

export function rejoinPostgres(facts: ShipperFacts, stretch: Stretch): Contestant {
  return {
    name: OURS,
    async prepare(round) {
      const bucket = `rejoin-${round}`;
      await facts.s3.makeBucket(bucket);
      await facts.database.resetSlot(ARCHIVE_SLOT, 'bench_log');
      return {
        steps: [facts.plane.invocation('ship-postgres', facts.cluster, bucket)],
        check: async () => {
          await verifyArchive(facts, bucket, stretch, round === 1);
          return { kept: await facts.s3.kept(bucket) };
        },
        clear: () => facts.s3.removeBucket(bucket),
      };
    },
  };
}

const hex = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/**
 * Throws when the archive has a hole within the stretch or ends before it does; `bytes`: also when one of its whole segments is not,
 * byte for byte, the server's.
 */
export async function verifyArchive(
  { cluster, database, s3 }: ShipperFacts,
  bucket: string,
  stretch: Stretch,
  bytes: boolean,
): Promise<void> {
  const folder = folderOf({ cluster, history: database.systemIdentifier }, 'wal');
  const objects = (await s3.keys(bucket, folder)).flatMap(({ key }): (WalObject & { key: string })[] => {
    const object = parseKey(key)?.object;
    return object?.kind === 'wal' ? [{ ...object, key }] : [];
  });
  let at = lsnBytes(stretch.start);
  let [segment, parts]: [number, Uint8Array[]] = [0, []];
  for (const { key, start, end } of objects) {
    if (lsnBytes(start) > at) throw new Error(`the archive has a hole from ${at} to ${start}`);
    at = lsnBytes(end);
    if (!bytes || segment >= stretch.segments.length) continue;
    parts.push(zstdDecompressSync(await s3.read(bucket, key)));
    if (at % BigInt(SEGMENT_BYTES) !== 0n) continue;
    const name = stretch.segments[segment] ?? '';
    if (hex(Buffer.concat(parts)) !== hex(await readFile(join(database.dataDir, 'pg_wal', name))))
      throw new Error(`segment ${name} as archived is not the server's`);
    [segment, parts] = [segment + 1, []];
  }
  if (at < lsnBytes(stretch.end)) throw new Error(`the archive ends at ${at}; expected ${stretch.end}`);
}
