/**
 * Kills a shipper again and again under load, at random moments, with an S3 that is slow and fails at times; after each kill all
 * that was confirmed must be in the bucket, and at the end all that the server wrote, byte by byte.
 */
import pg from 'pg';
import { systemClock } from '../../lambdas/cloud/clock.ts';
import { lsnBytes } from '../../lambdas/model/lsn.ts';
import type { PostgresServer } from '../../test/support/postgres/servers.ts';
import { ACCOUNTS, eventually, postgresServers } from '../../test/support/postgres/servers.ts';
import { compareSegments, confirmed, listed, lostOf, overlapBytes } from './check.ts';
import { BUCKET, CLUSTER, killAtRandom, motoBucket } from './kill.ts';
import type { KillsOptions } from './kill.ts';
import { startShipper } from './shipper.ts';

export interface KillsReport {
  readonly kills: number;
  readonly objects: number;
  readonly walBytes: number;
  /** Log that more than one object has, since a killed shipper's puts reached S3 and its successor begins where the chain ends. */
  readonly overlapBytes: number;
  readonly segmentsCompared: number;
  /** What did not hold; empty when all did. */
  readonly faults: readonly string[];
}

/** The load waits while the archive is so far behind: beyond what the slot keeps, log is lost to any shipper. */
const MOST_BEHIND_BYTES = 2n ** 30n;

/** Writes all the time but while it is to wait, some megabytes a second, in commits of all sizes. Answers a hand that ends it. */
function writing(server: PostgresServer, waits: () => boolean): { stop(): Promise<void> } {
  const { user, password } = ACCOUNTS.app;
  const client = new pg.Client({ host: server.address, port: server.port, user, password, database: 'app' });
  let over = false;
  // A session that the server ends while nothing is asked; the next statement fails, and `stop` throws that.
  client.on('error', (error) => process.stderr.write(`the load's session: ${error.message}\n`));
  const running = (async () => {
    await client.connect();
    await client.query('CREATE TABLE IF NOT EXISTS journal (n int, t text)');
    while (!over) {
      if (waits()) {
        await systemClock.sleep(100);
        continue;
      }
      const rows = Math.ceil(10 ** (Math.random() * 4));
      await client.query(
        `INSERT INTO journal SELECT n, repeat(md5(random()::text), 8) FROM generate_series(1, ${rows}) AS n`,
      );
      await systemClock.sleep(Math.random() * 60);
    }
    await client.end();
  })();
  running.catch(() => (over = true));
  return {
    stop: async () => {
      over = true;
      await running;
    },
  };
}

export async function postgresKills({ kills, address, progress }: KillsOptions): Promise<KillsReport> {
  const moto = await motoBucket();
  const { bucket } = moto;
  const set = await postgresServers();
  try {
    const server = await set.primary(address, { settings: 'wal_keep_size = 2GB\nmax_slot_wal_keep_size = 4GB' });
    const facts = {
      servers: [{ id: server.id, address }],
      ...{ endpoint: moto.endpoint, bucket: BUCKET, rpoSeconds: 2, faults: 0.1, delayMs: 150 },
    };
    const faults: string[] = [];
    const compared = new Set<string>();
    let behind = 0n;
    const load = writing(server, () => behind > MOST_BEHIND_BYTES);
    const flushed = async (): Promise<bigint> => lsnBytes(await server.sql('SELECT pg_current_wal_flush_lsn()'));
    let told = 0n;
    for (let kill = 1; kill <= kills; kill += 1) {
      await killAtRandom(startShipper('postgres', facts));
      const upTo = await confirmed(server);
      const objects = await listed(bucket, CLUSTER);
      const lost = lostOf(objects, upTo);
      if (lost !== null) faults.push(`kill ${kill}: ${lost}`);
      if (upTo < told) faults.push(`kill ${kill}: the slot went back`);
      told = upTo;
      behind = upTo === 0n ? 0n : (await flushed()) - upTo;
      if (kill % 10 === 0 && objects.length > 0) await compareSegments(bucket, objects, server, compared);
      progress?.(`kill ${kill}: ${objects.length} objects, confirmed ${upTo}, ${compared.size} segments compared`);
    }
    await load.stop();
    const last = startShipper('postgres', facts);
    const end = await flushed();
    try {
      await eventually('the last shipper has all', 120, async () =>
        (await confirmed(server)) >= end ? true : undefined,
      );
    } catch (error) {
      faults.push(`${String(error)}; the shipper: ${last.complaints()}`);
    }
    await last.kill();
    const objects = await listed(bucket, CLUSTER);
    const lost = lostOf(objects, end);
    if (lost !== null) faults.push(`at the end: ${lost}`);
    await compareSegments(bucket, objects, server, compared);
    const overlap = overlapBytes(objects);
    const all = objects.reduce((sum, o) => sum + Number(lsnBytes(o.end) - lsnBytes(o.start)), 0);
    return {
      ...{ kills, objects: objects.length, walBytes: all - overlap, overlapBytes: overlap },
      ...{ segmentsCompared: compared.size, faults },
    };
  } finally {
    await set.dispose();
    await moto.stop();
  }
}
