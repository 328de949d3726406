import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { timelinePath } from '../../lambdas/model/archive/timeline.ts';
import { lsnBytes } from '../../lambdas/model/lsn.ts';
import {
  archived,
  ofServer,
  segmentName,
  segmentsOf,
  segmentStart,
  shippedCluster,
  walOf,
} from '../support/postgres/shipping.ts';
import type { PostgresServer, ServerSet } from '../support/postgres/servers.ts';
import { eventually, postgresServers } from '../support/postgres/servers.ts';

const SLOT = `SELECT active, restart_lsn FROM pg_replication_slots WHERE slot_name = 'rejoin_archive'`;
const MAKE = 'CREATE TABLE IF NOT EXISTS big (n int, t text)';
const WRITE = 'INSERT INTO big SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 40000) AS n';

describe('shipping from a PostgreSQL primary', () => {
  let set: ServerSet;
  let primary: PostgresServer;
  let standby: PostgresServer;
  beforeAll(async () => {
    set = await postgresServers();
    primary = await set.primary('127.86.1.1', { settings: 'wal_keep_size = 1GB\nmax_slot_wal_keep_size = 2GB' });
    standby = await set.standby('127.86.1.2', primary, { settings: 'wal_keep_size = 1GB' });
  });
  afterAll(() => set.dispose());

  it('ships every segment as the server has it, through a timeline switch, and tells what is safe', async () => {
    const cluster = shippedCluster([primary, standby]);
    const { objects } = cluster.aws;
    const shipper = cluster.start();
    await primary.sql(MAKE);
    for (let i = 0; i < 4; i += 1) await primary.sql(WRITE);
    const first = await primary.sql('SELECT pg_current_wal_flush_lsn()');
    await eventually('the slot is where the server is', 20, async () => {
      const [, at = '0/0'] = (await primary.sql(SLOT)).split('\t');
      return lsnBytes(at) >= lsnBytes(first) ? true : undefined;
    });
    const path1 = timelinePath(1, null);
    const shipped = walOf(objects);
    const begin = shipped.map((o) => lsnBytes(o.start)).reduce((a, b) => (a < b ? a : b));
    const names = (await segmentsOf(primary, 1)).filter(
      (name) => segmentStart(name) >= begin && segmentStart(name) + 16n * 2n ** 20n <= lsnBytes(first),
    );
    expect(names.length).toBeGreaterThan(4);
    for (const name of names) expect(archived(shipped, path1, segmentStart(name))).toBe(await ofServer(primary, name));

    // The primary dies; what it had sent to the standby goes on on a new timeline.
    await primary.kill();
    await standby.sql('SELECT pg_promote(true)');
    cluster.setWriter(standby);
    await standby.sql(WRITE);
    const second = await standby.sql('SELECT pg_current_wal_flush_lsn()');
    await eventually('the new primary’s slot is where it is', 30, async () => {
      const [, at = '0/0'] = (await standby.sql(SLOT)).split('\t');
      return at !== '' && lsnBytes(at) >= lsnBytes(second) ? true : undefined;
    });
    expect(await shipper.stop()).toBe('handed over');
    const history = [...objects.keys()].find((key) => key.endsWith('/history/00000002')) ?? '';
    const path2 = timelinePath(2, Buffer.from(objects.get(history) ?? []).toString());
    const all = walOf(objects);
    const switched = lsnBytes(path2[0]?.to ?? '0/0');
    const across = switched - (switched % (16n * 2n ** 20n));
    const upTo = Math.min(16 * 2 ** 20, Number(lsnBytes(second) - across));
    expect(archived(all, path2, across, upTo)).toBe(await ofServer(standby, segmentName(2, across), upTo));
    expect(Math.max(...all.map((o) => o.coveredMs))).toBeGreaterThan(Date.now() - 30_000);
  });
});
