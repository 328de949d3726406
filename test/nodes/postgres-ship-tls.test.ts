import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lsnBytes } from '../../lambdas/model/lsn.ts';
import { shippedCluster, walOf } from '../support/postgres/shipping.ts';
import type { PostgresServer, ServerSet } from '../support/postgres/servers.ts';
import { eventually, postgresServers } from '../support/postgres/servers.ts';
import { own } from '../support/postgres/template.ts';

describe('shipping from a server that speaks TLS only', () => {
  let set: ServerSet;
  let node: PostgresServer;
  const certificate = (dir: string, name: string): string => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    const files = ['-keyout', join(dir, `${name}.key`), '-out', join(dir, `${name}.pem`)];
    execFileSync('openssl', ['req', '-x509', ...key, '-subj', `/CN=${name}`, ...files], { stdio: 'pipe' });
    return readFileSync(join(dir, `${name}.pem`), 'utf8');
  };
  let ca: string;
  let strange: string;

  beforeAll(async () => {
    set = await postgresServers();
    node = await set.prepare('127.86.5.1', {
      settings: "ssl = on\nssl_cert_file = 'node.pem'\nssl_key_file = 'node.key'",
    });
    ca = certificate(node.dataDir, 'node');
    strange = certificate(node.dir, 'strange');
    execFileSync('sed', ['-i', 's/^host /hostssl /', join(node.dataDir, 'pg_hba.conf')]);
    execFileSync('chmod', ['600', join(node.dataDir, 'node.key')]);
    await own(join(node.dataDir, 'node.key'), join(node.dataDir, 'node.pem'));
    await node.start();
  });
  afterAll(() => set.dispose());

  it('streams in TLS when the CA vouches for the server, and not a byte when it does not', async () => {
    const distrustful = shippedCluster([node], { tls: { ca: strange } });
    const refused = distrustful.start();
    await eventually('it has looked', 30, async () =>
      distrustful.aws.callsOf('Instances.ofCluster').length > 1 ? true : undefined,
    );
    await refused.stop();
    expect(walOf(distrustful.aws.objects)).toEqual([]);

    const cluster = shippedCluster([node], { tls: { ca } });
    const shipper = cluster.start();
    await node.sql('CREATE TABLE t (n int)');
    const end = lsnBytes(await node.sql('SELECT pg_current_wal_flush_lsn()'));
    await eventually('all is confirmed', 40, async () => {
      const lsn = await node.sql("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'rejoin_archive'");
      return lsn !== '' && lsnBytes(lsn) >= end ? true : undefined;
    });
    const version = await node.sql(
      "SELECT version FROM pg_stat_ssl JOIN pg_stat_replication USING (pid) WHERE application_name = 'rejoin_archive'",
    );
    expect(version).toMatch(/^TLSv1\.[23]$/);
    await shipper.stop();
  });
});
