/** What must hold in the bucket after a kill, and at the end. */
import { zstdDecompressSync } from 'node:zlib';
import type { ArchiveBucket } from '../../lambdas/cloud/ports.ts';
import type { WalObject } from '../../lambdas/model/archive/keys.ts';
import { lsnOfBytes, parseKey } from '../../lambdas/model/archive/keys.ts';
import { timelinePath } from '../../lambdas/model/archive/timeline.ts';
import { walChain } from '../../lambdas/model/archive/wal-chain.ts';
import { lsnBytes } from '../../lambdas/model/lsn.ts';
import type { PostgresServer } from '../../test/support/postgres/servers.ts';
import { archived, ofServer, segmentsOf, segmentStart } from '../../test/support/postgres/shipping.ts';

const PATH = timelinePath(1, null);
const SEGMENT = 16n * 2n ** 20n;

export type Listed = WalObject & { readonly key: string };

export async function listed(bucket: ArchiveBucket, cluster: string): Promise<readonly Listed[]> {
  const found: Listed[] = [];
  for await (const { key } of bucket.list(`${cluster}/`)) {
    const object = parseKey(key)?.object;
    if (object?.kind === 'wal') found.push({ ...object, key });
  }
  return found;
}

const starts = (objects: readonly WalObject[]): bigint =>
  objects.map((o) => lsnBytes(o.start)).reduce((a, b) => (a < b ? a : b));

/** Up to where the server was told that the archive has everything. */
export async function confirmed(server: PostgresServer): Promise<bigint> {
  const lsn = await server.sql("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'rejoin_archive'");
  return lsn === '' ? 0n : lsnBytes(lsn);
}

/** What is wrong: log that was confirmed and is not in the bucket. Null: nothing. */
export function lostOf(objects: readonly Listed[], upTo: bigint): string | null {
  if (objects.length === 0) return null;
  const from = lsnOfBytes(starts(objects));
  if (upTo <= lsnBytes(from)) return null;
  const { holes } = walChain(objects, PATH, from, lsnOfBytes(upTo));
  return holes.length === 0 ? null : `confirmed up to ${lsnOfBytes(upTo)}, and missing: ${JSON.stringify(holes)}`;
}

/** Bytes that more than one object has. */
export function overlapBytes(objects: readonly Listed[]): number {
  if (objects.length === 0) return 0;
  const all = objects.reduce((sum, o) => sum + lsnBytes(o.end) - lsnBytes(o.start), 0n);
  const { tiles } = walChain(objects, PATH, lsnOfBytes(starts(objects)));
  return Number(all - tiles.reduce((sum, t) => sum + lsnBytes(t.to) - lsnBytes(t.from), 0n));
}

function unlessGone(error: unknown): null {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
  throw error;
}

/** Compares whole segments that the server still has and that were not compared before. Throws on the first that differs. */
export async function compareSegments(
  bucket: ArchiveBucket,
  objects: readonly Listed[],
  server: PostgresServer,
  compared: Set<string>,
): Promise<void> {
  const [from, upTo] = [starts(objects), await confirmed(server)];
  for (const name of await segmentsOf(server, 1)) {
    const start = segmentStart(name);
    if (compared.has(name) || start < from || start + SEGMENT > upTo) continue;
    const near = objects.filter((o) => lsnBytes(o.start) < start + SEGMENT && lsnBytes(o.end) > start);
    const whole = await Promise.all(
      near.map(async (o) => {
        const bytes = zstdDecompressSync((await bucket.get(o.key)) ?? new Uint8Array());
        const says = Number(lsnBytes(o.end) - lsnBytes(o.start));
        if (bytes.length !== says) throw new Error(`${o.key} holds ${bytes.length} bytes; its name says ${says}`);
        return { ...o, bytes };
      }),
    );
    const ours = archived(whole, PATH, start);
    const theirs = await ofServer(server, name).catch(unlessGone);
    if (theirs === null) continue; // recycled since it was listed
    if (ours !== theirs) throw new Error(`segment ${name}: the archive has ${ours}, the server ${theirs}`);
    compared.add(name);
  }
}
