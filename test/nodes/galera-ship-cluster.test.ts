import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseKey } from '../../lambdas/model/archive/keys.ts';
import { gtidsIn, reassemble } from '../support/galera/binlog.ts';
import { type Host, type HostSet, makeHosts, must, startCluster, status } from '../support/galera/hosts.ts';
import { beginGo, replayed, shippingPlace, type ShippingPlace, shippingPorts } from '../support/galera/shipping.ts';
import { type SingleServer, singleServer } from '../support/galera/single.ts';

describe("the shipper of a Galera cluster's log", () => {
  let set: HostSet;
  let a: Host;
  let b: Host;
  let place: ShippingPlace;
  const ship = async () => {
    const options = { nodes: [a, b], writer: a.id };
    const ports = shippingPorts(place.folder, options);
    const end = await beginGo(ports, 'drain', options).end;
    return { end, gaps: ports.metrics.total('ArchiveGap') };
  };
  const from = async (): Promise<readonly (string | undefined)[]> =>
    (await place.objects()).map(({ object }) => object.source.split('~')[0]);
  const position = (host: Host): Promise<string> => host.sql('SELECT @@gtid_binlog_pos');

  beforeAll(async () => {
    set = await makeHosts({ octet: 231, third: 3, count: 2 });
    [a, b] = set.hosts as [Host, Host];
    place = shippingPlace();
    await startCluster(set.hosts);
    await a.sql('CREATE TABLE app.t (id INT PRIMARY KEY, v VARCHAR(20))');
  });
  afterAll(async () => {
    place.dispose();
    await set.dispose();
  });

  it('is read from a node that is not the writer, and has what the writer had acknowledged', async () => {
    for (let n = 1; n <= 20; n++) await a.sql(`INSERT INTO app.t VALUES (${n}, 'by a')`);
    const acknowledgedMs = Date.now();
    expect(await ship()).toEqual({ end: { kind: 'drained' }, gaps: 0 });
    const objects = await place.objects();
    expect(await from()).toEqual(objects.map(() => b.id));
    expect(parseKey(objects[0]?.key ?? '')?.place.history).toBe(await status(a, 'wsrep_cluster_state_uuid'));
    expect(
      replayed(objects)
        .filter((g) => g.startsWith('0-'))
        .at(-1),
    ).toBe((await position(a)).split(',')[0]);
    expect(Math.max(...objects.map(({ object }) => object.coveredMs))).toBeGreaterThan(acknowledgedMs - 1500);
  });

  it('goes on by GTID from another node when that one is gone, whatever each wrote for itself, and from it again', async () => {
    await b.sql(
      `SET SESSION wsrep_on = OFF; CREATE TABLE app.own_of_b (id INT); INSERT INTO app.own_of_b VALUES (1), (2)`,
    );
    await a.sql(`INSERT INTO app.t VALUES (100, 'before')`);
    await ship();
    await must(b.script('stop'));
    await a.sql(`SET SESSION wsrep_on = OFF; CREATE TABLE app.own_of_a (id INT)`);
    await a.sql(`INSERT INTO app.t VALUES (101, 'while b is gone')`);
    expect(await ship()).toEqual({ end: { kind: 'drained' }, gaps: 0 });
    expect(new Set(await from())).toEqual(new Set([a.id, b.id]));
    await must(b.script('join', { PEERS: a.address, DONOR: a.id }));
    await a.sql(`INSERT INTO app.t VALUES (102, 'after')`);
    await ship();
    const objects = await place.objects();
    const shared = replayed(objects).filter((gtid) => gtid.startsWith('0-'));
    const numbers = shared.map((gtid) => Number(gtid.split('-')[2]));
    expect(numbers).toEqual(numbers.map((_, i) => (numbers[0] ?? 0) + i));
    expect(shared.at(-1)).toBe((await position(a)).split(',')[0]);
    // Each transaction is in one object only: no overlap without a kill.
    const stored = objects.flatMap(({ bytes }) => gtidsIn(bytes)).filter((gtid) => gtid.startsWith('0-'));
    expect(stored.length).toBe(shared.length);
  });
});

describe('the shipper over TLS', () => {
  const dir = mkdtempSync(join(tmpdir(), 'rejoin-ship-tls-'));
  const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'] as const;
  const openssl = (...args: readonly string[]): Buffer => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
  let server: SingleServer;
  let place: ShippingPlace;

  beforeAll(async () => {
    chmodSync(dir, 0o755);
    for (const ca of ['ours', 'strange'])
      openssl('req', '-x509', ...KEY, '-subj', `/CN=${ca}`, '-keyout', `${ca}.key`, '-out', `${ca}.pem`);
    const signed = ['-CA', 'ours.pem', '-CAkey', 'ours.key'];
    openssl('req', '-x509', ...KEY, '-subj', '/CN=node', ...signed, '-keyout', 'node.key', '-out', 'node.pem');
    for (const file of ['node.key', 'node.pem', 'ours.pem']) chmodSync(join(dir, file), 0o644);
    const files = `ssl_ca=${dir}/ours.pem\nssl_cert=${dir}/node.pem\nssl_key=${dir}/node.key`;
    server = await singleServer('127.231.2.1', `${files}\nrequire_secure_transport=ON`);
    place = shippingPlace();
  });
  afterAll(async () => {
    place.dispose();
    await server.dispose();
    rmSync(dir, { recursive: true, force: true });
  });

  it('reads the log of a node that its CA vouches for, byte for byte, and of no other', async () => {
    await server.sql(`CREATE TABLE app.t (b LONGBLOB); INSERT INTO app.t SELECT REPEAT('x', 3000000) FROM app.seq_1_to_10;
      FLUSH BINARY LOGS`);
    const go = (ca: string) => {
      const options = { nodes: [server], tls: { ca: readFileSync(join(dir, `${ca}.pem`), 'utf8') } };
      const ports = shippingPorts(place.folder, options);
      return { ports, end: beginGo(ports, 'drain', options).end };
    };
    const strange = go('strange');
    expect(await strange.end).toMatchObject({ kind: 'again', why: 'no node answers' });
    const [warning] = strange.ports.log.lines.filter((line) => line.level === 'warn');
    expect(String(warning?.extra['error'])).toMatch(/certificate that is not trusted/);
    expect(place.count()).toBe(0);
    expect(await go('ours').end).toEqual({ kind: 'drained' });
    const file = reassemble(await place.objects()).get('binlog.000001');
    expect(file?.equals(readFileSync(join(server.dataDir, 'binlog.000001')))).toBe(true);
  });
});
