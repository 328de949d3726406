/** The shipper's own run loop on real servers, with the bucket, the ledger and EC2 in memory. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { postgresShipEngine } from '../../../lambdas/archive/ship/postgres/engine.ts';
import type { PostgresShipPorts } from '../../../lambdas/archive/ship/postgres/ports.ts';
import type { ShipOutcome } from '../../../lambdas/archive/ship/run.ts';
import { ship } from '../../../lambdas/archive/ship/run.ts';
import type { ArchiveBucket, Log } from '../../../lambdas/cloud/ports.ts';
import { systemClock } from '../../../lambdas/cloud/clock.ts';
import { postgresAdmin } from '../../../lambdas/engines/postgres/admin.ts';
import { postgresProber } from '../../../lambdas/engines/postgres/prober.ts';
import { Replication } from '../../../lambdas/engines/postgres/replication.ts';
import type { WalObject } from '../../../lambdas/model/archive/keys.ts';
import { lsnOfBytes, parseKey } from '../../../lambdas/model/archive/keys.ts';
import type { TimelinePath } from '../../../lambdas/model/archive/timeline.ts';
import { walChain } from '../../../lambdas/model/archive/wal-chain.ts';
import { EMPTY_LEDGER } from '../../../lambdas/model/ledger.ts';
import { lsnBytes } from '../../../lambdas/model/lsn.ts';
import type { ClusterSpec, DatabaseTls } from '../../../lambdas/model/spec.ts';
import { aSpec, FakeAws, fakeCloud } from '../../fakes/index.ts';
import type { PostgresServer } from './servers.ts';
import { ACCOUNTS } from './servers.ts';

const SEGMENT = 16 * 2 ** 20;

export interface ShippedCluster {
  readonly aws: FakeAws;
  readonly spec: ClusterSpec;
  readonly ports: PostgresShipPorts;
  setWriter(server: PostgresServer): void;
  /** Ships until `stop`; answers how it ended. */
  start(options?: { readonly deadlineMs?: number }): { stop(): Promise<ShipOutcome>; ended: Promise<ShipOutcome> };
}

export interface ShippingOptions {
  readonly rpoSeconds?: number;
  readonly tls?: DatabaseTls;
  /** In memory unless given. */
  readonly bucket?: ArchiveBucket;
  readonly log?: Log;
}

/** The servers as a cluster's instances; the first is the writer. */
export function shippedCluster(
  servers: readonly Pick<PostgresServer, 'id' | 'address'>[],
  options: ShippingOptions = {},
): ShippedCluster {
  const { rpoSeconds = 2, tls } = options;
  const aws = new FakeAws();
  const spec = aSpec({
    engine: {
      ...{ kind: 'postgres', port: 5432, durability: 'async', maxLagBytes: 2 ** 20, slots: 'physical' },
      ...(tls !== undefined && { tls }),
      replicationUser: ACCOUNTS.replication.user,
    },
    archive: { bucket: 'archive', rpoSeconds, retentionDays: 7, baseBackupSeconds: 86_400 },
  });
  aws.addCluster(spec, ACCOUNTS.plane);
  for (const { id, address } of servers) aws.addInstance({ id, privateIp: address, cluster: spec.name });
  const setWriter = ({ id }: Pick<PostgresServer, 'id'>): void => {
    const before = aws.ledgers.get(spec.name);
    aws.ledgers.set(spec.name, { ...(before ?? EMPTY_LEDGER), writer: id, epoch: (before?.epoch ?? 0) + 1 });
  };
  const ports: PostgresShipPorts = {
    ...fakeCloud(aws),
    ...{ clock: systemClock, prober: postgresProber(), admin: postgresAdmin() },
    ...(options.bucket !== undefined && { bucket: options.bucket }),
    ...(options.log !== undefined && { log: options.log }),
    replicate: (target, credentials, name) => Replication.open(target, credentials, name),
    handOver: () => Promise.resolve(),
  };
  const engine = postgresShipEngine(ports);
  const [first] = servers;
  if (first !== undefined) setWriter(first);
  let starts = 0;
  return {
    ...{ aws, spec, ports, setWriter },
    start: ({ deadlineMs } = {}) => {
      let stopped = false;
      const clock = { ...systemClock, nowMs: () => (stopped ? Number.MAX_SAFE_INTEGER : Date.now()) };
      const request = { cluster: spec.name, holder: `h${++starts}`, deadlineMs: deadlineMs ?? Date.now() + 600_000 };
      const ended = ship(request, { ...ports, clock }, engine);
      return {
        ended,
        stop: () => {
          stopped = true;
          return ended;
        },
      };
    },
  };
}

/** The bucket's WAL objects, each with its raw bytes; throws when an object has not the bytes that its name says. */
export function walOf(objects: ReadonlyMap<string, Uint8Array>): readonly (WalObject & { readonly bytes: Buffer })[] {
  return [...objects].flatMap(([key, body]) => {
    const object = parseKey(key)?.object;
    if (object?.kind !== 'wal') return [];
    const bytes = zstdDecompressSync(body);
    const says = Number(lsnBytes(object.end) - lsnBytes(object.start));
    if (bytes.length !== says) throw new Error(`${key} holds ${bytes.length} bytes; its name says ${says}`);
    return [{ ...object, bytes }];
  });
}

const hex8 = (n: bigint): string => n.toString(16).toUpperCase().padStart(8, '0');

/** Name of the 16 MB segment that has the byte at `at`. */
export const segmentName = (timeline: number, at: bigint): string =>
  `${hex8(BigInt(timeline))}${hex8(at >> 32n)}${hex8((at & 0xffffffffn) / BigInt(SEGMENT))}`;

/** SHA-256 of what the archive has for the segment that begins at `start` (up to `bytes`), as that path has it. */
export function archived(
  objects: readonly (WalObject & { readonly bytes: Buffer })[],
  path: TimelinePath,
  start: bigint,
  bytes = SEGMENT,
): string {
  const { tiles, holes } = walChain(objects, path, lsnOfBytes(start), lsnOfBytes(start + BigInt(bytes)));
  if (holes.length > 0) throw new Error(`the archive has holes: ${JSON.stringify(holes)}`);
  const hash = createHash('sha256');
  for (const { object, from, to } of tiles) {
    const offset = Number(lsnBytes(from) - lsnBytes(object.start));
    hash.update(object.bytes.subarray(offset, offset + Number(lsnBytes(to) - lsnBytes(from))));
  }
  return hash.digest('hex');
}

/** SHA-256 of the server's own file, up to `bytes`. */
export async function ofServer(server: PostgresServer, segment: string, bytes = SEGMENT): Promise<string> {
  const file = await readFile(join(server.dataDir, 'pg_wal', segment));
  return createHash('sha256').update(file.subarray(0, bytes)).digest('hex');
}

/** Segments that the server has, of one timeline, in order. */
export async function segmentsOf(server: PostgresServer, timeline: number): Promise<readonly string[]> {
  const names = await readdir(join(server.dataDir, 'pg_wal'));
  return names.filter((name) => /^[0-9A-F]{24}$/.test(name) && name.startsWith(hex8(BigInt(timeline)))).sort();
}

/** Where a segment begins. */
export const segmentStart = (name: string): bigint =>
  (BigInt(`0x${name.slice(8, 16)}`) << 32n) + BigInt(`0x${name.slice(16)}`) * BigInt(SEGMENT);
