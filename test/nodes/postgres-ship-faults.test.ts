import { afterEach, describe, expect, it } from 'vitest';
import { CloudUnavailable } from '../../lambdas/cloud/ports.ts';
import { timelinePath } from '../../lambdas/model/archive/timeline.ts';
import { walChain } from '../../lambdas/model/archive/wal-chain.ts';
import { lsnOfBytes } from '../../lambdas/model/archive/keys.ts';
import { lsnBytes } from '../../lambdas/model/lsn.ts';
import { shippedCluster, walOf } from '../support/postgres/shipping.ts';
import type { PostgresServer, ServerSet } from '../support/postgres/servers.ts';
import { eventually, postgresServers } from '../support/postgres/servers.ts';

const SLOT = `SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'rejoin_archive'`;
const slotOf = async (server: PostgresServer): Promise<bigint> => {
  const lsn = await server.sql(SLOT);
  return lsn === '' ? 0n : lsnBytes(lsn);
};
const flushed = async (server: PostgresServer): Promise<bigint> =>
  lsnBytes(await server.sql('SELECT pg_current_wal_flush_lsn()'));

describe('shipping while something is broken', () => {
  let set: ServerSet | undefined;
  afterEach(() => set?.dispose());

  it('rule 10: what S3 has not taken is not confirmed; and a server that shuts down does not wait for S3 (rule 9)', async () => {
    set = await postgresServers();
    const primary = await set.primary('127.86.3.1');
    const cluster = shippedCluster([primary]);
    const shipper = cluster.start();
    await primary.sql('CREATE TABLE t (n int)');
    const before = await flushed(primary);
    await eventually('all is confirmed', 30, async () => ((await slotOf(primary)) >= before ? true : undefined));
    cluster.aws.before = ({ operation }) => {
      if (operation === 'ArchiveBucket.put') throw new CloudUnavailable('SlowDown');
    };
    const stays = await slotOf(primary);
    await primary.sql('INSERT INTO t SELECT generate_series(1, 1000)');
    const refused = () => cluster.aws.callsOf('ArchiveBucket.put').length;
    const puts = refused();
    await eventually('S3 has refused', 20, async () => (refused() > puts + 2 ? true : undefined));
    expect(await slotOf(primary)).toBe(stays);
    const began = Date.now();
    await primary.stop();
    expect(Date.now() - began).toBeLessThan(20_000);

    // It comes back, and so does S3: what was not archived then is now.
    cluster.aws.before = null;
    await primary.start();
    const end = await flushed(primary);
    await eventually('all is confirmed again', 40, async () => ((await slotOf(primary)) >= end ? true : undefined));
    await shipper.stop();
    const objects = walOf(cluster.aws.objects);
    const first = objects.map((o) => lsnBytes(o.start)).reduce((a, b) => (a < b ? a : b));
    expect(walChain(objects, timelinePath(1, null), lsnOfBytes(first), lsnOfBytes(end)).holes).toEqual([]);
  });

  it('goes on from a standby while the writer does not answer, claims nothing about the clock, and comes back', async () => {
    set = await postgresServers();
    const primary = await set.primary('127.86.4.1');
    const standby = await set.standby('127.86.4.2', primary);
    const cluster = shippedCluster([primary, standby]);
    const shipper = cluster.start();
    await primary.sql('CREATE TABLE t (n int)');
    const before = await flushed(primary);
    await eventually('all is confirmed', 30, async () => ((await slotOf(primary)) >= before ? true : undefined));
    await primary.freeze();
    await eventually('the standby is streamed from', 40, async () =>
      (await standby.sql("SELECT active FROM pg_replication_slots WHERE slot_name = 'rejoin_archive'")) === 't'
        ? true
        : undefined,
    );
    await primary.thaw();
    await primary.sql('INSERT INTO t VALUES (1)');
    const end = await flushed(primary);
    await eventually('the writer is streamed from again', 40, async () =>
      (await slotOf(primary)) >= end ? true : undefined,
    );
    await shipper.stop();
  });
});
