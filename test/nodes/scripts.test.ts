import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freeze, processesOf, signal } from '../../rehearsal/cloud/hosts-processes.ts';
import {
  eventually,
  type Host,
  type HostSet,
  makeHosts,
  must,
  runCommand,
  status,
  synced,
} from '../support/galera/hosts.ts';

// One story, told in order: a cluster is made, loses nodes in every way, and gets them back.
describe('the scripts on real Galera nodes', () => {
  let set: HostSet;
  let a: Host;
  let b: Host;
  let c: Host;
  let uuid: string;

  beforeAll(async () => {
    set = await makeHosts({ octet: 205, count: 3 });
    [a, b, c] = set.hosts as [Host, Host, Host];
    uuid = /uuid: *(\S+)/.exec(await readFile(join(a.volume, 'grastate.dat'), 'utf8'))?.[1] ?? '';
  });
  afterAll(() => set.dispose());

  const isGone = (pid: number, host: Host) => async (): Promise<true | undefined> =>
    (await processesOf([host.dir])).some((p) => p.pid === pid) ? undefined : true;

  it('position reads a clean shutdown from grastate.dat', async () => {
    const at = await must(a.script('position'));
    expect(at).toEqual({
      running: false,
      component: 'none',
      stateUuid: uuid,
      seqno: expect.any(Number) as number,
      safeToBootstrap: true,
      viewId: null,
      source: 'grastate',
    });
    expect(at['seqno']).toBeGreaterThan(0);
  });

  it('position of an empty directory is nothing', async () => {
    const empty = join(a.dir, 'nothing');
    const envFile = join(a.dir, 'empty.env');
    await mkdir(empty);
    await writeFile(envFile, `${await readFile(join(a.dir, 'node.env'), 'utf8')}REJOIN_DATA_DIR='${empty}'\n`);
    const at = await must(a.script('position', {}, { REJOIN_NODE_ENV: envFile }));
    expect(at).toMatchObject({
      running: false,
      stateUuid: '00000000-0000-0000-0000-000000000000',
      seqno: -1,
      source: 'nothing',
    });
  });

  it.each([
    ['STATE_UUID', { STATE_UUID: 'x', SEQNO: '5' }, 64],
    ['SEQNO', { STATE_UUID: '00000000-0000-0000-0000-000000000001', SEQNO: '5; reboot' }, 64],
    ['another state', { STATE_UUID: '00000000-0000-0000-0000-000000000001', SEQNO: '5' }, 40],
  ])('bootstrap refuses a wrong %s and starts nothing', async (_, parameters, code) => {
    const result = await a.script('bootstrap', parameters);
    expect(result.code, result.stderr).toBe(code);
    expect(result.stderr).toMatch(/expected|asked/);
    expect(await processesOf([a.dir])).toEqual([]);
  });

  it('bootstrap refuses another seqno, naming both', async () => {
    const result = await a.script('bootstrap', { STATE_UUID: uuid, SEQNO: '123456' });
    expect(result.code).toBe(40);
    expect(result.stderr).toMatch(new RegExp(`${uuid}:\\d+, and not at ${uuid}:123456`));
  });

  it('bootstrap makes a primary component, once', async () => {
    const at = await must(a.script('position'));
    const parameters = { STATE_UUID: uuid, SEQNO: String(at['seqno']) };
    expect(await must(a.script('bootstrap', parameters))).toMatchObject({
      bootstrapped: 'now',
      stateUuid: uuid,
      pid: await a.pid(),
    });
    expect(await status(a, 'wsrep_cluster_status')).toBe('Primary');
    expect(await must(a.script('bootstrap', parameters))).toMatchObject({
      bootstrapped: 'already',
      pid: await a.pid(),
    });
    const other = await a.script('bootstrap', { STATE_UUID: uuid, SEQNO: '999' });
    expect(other.code).toBe(41);
    expect(other.stderr).toMatch(/is in a primary component of 1 already/);
  });

  it('a plain start after a bootstrap cannot bootstrap again', async () => {
    expect(await readFile(String(a.env['REJOIN_CONFIG_FILE']), 'utf8')).toContain(`gcomm://${a.address}\n`);
    expect(await readFile(join(a.dir, 'run', 'manager.env'), 'utf8')).not.toContain('wsrep-new-cluster');
  });

  it.each([
    ['no peers', { PEERS: '' }, /nobody but this node/],
    ['only itself', { PEERS: '127.205.0.2' }, /nobody but this node/],
    ['itself as donor', { PEERS: '127.205.0.1', DONOR: 'i-00000000000002052' }, /which is this node/],
    ['a peer that is no address', { PEERS: '127.205.0.1,a b\n[mariadbd]' }, /expected addresses/],
  ])('join refuses %s and starts nothing', async (_, parameters, words) => {
    const result = await b.script('join', parameters);
    expect(result.code).toBe(64);
    expect(result.stderr).toMatch(words);
    expect(await processesOf([b.dir])).toEqual([]);
  });

  it('join brings nodes in, from the donor that was chosen, and is a no-op the second time', async () => {
    expect(await must(b.script('join', { PEERS: a.address, DONOR: a.id }))).toMatchObject({
      joined: 'started',
      donor: a.id,
    });
    await synced(b);
    const peers = `${a.address},${b.address},${c.address}`;
    await must(c.script('join', { PEERS: peers, DONOR: b.id }));
    await synced(c);
    expect(await c.log()).toMatch(
      new RegExp(`Member [^\\n]*\\(${c.id}\\) requested state transfer from '${b.id}'. Selected [^\\n]*\\(${b.id}\\)`),
    );
    const pid = await c.pid();
    expect(await must(c.script('join', { PEERS: peers, DONOR: a.id }))).toMatchObject({ joined: 'already', pid });
    expect(await status(a, 'wsrep_cluster_size')).toBe('3');
    expect(await must(c.script('position'))).toMatchObject({
      running: true,
      component: 'Primary',
      stateUuid: uuid,
      source: 'server',
      viewId: expect.stringMatching(/^[0-9a-f-]{36}:\d+$/) as string,
    });
  });

  it('prepare refuses the data directory of a running server', async () => {
    const result = await c.script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' });
    expect(result.code).toBe(12);
    expect(result.stderr).toContain(`pid ${await c.pid()}`);
  });

  it('stop is clean: the position stays on disk, and a rejoin needs an incremental transfer only', async () => {
    await a.sql('CREATE TABLE app.t (id INT PRIMARY KEY) ENGINE=InnoDB; INSERT INTO app.t VALUES (1)');
    const stopped = await must(c.script('stop'));
    expect(stopped).toMatchObject({ stopped: 'now', stateUuid: uuid });
    expect(stopped['seqno']).toBeGreaterThan(0);
    expect(await must(c.script('stop'))).toMatchObject({ stopped: 'already', seqno: stopped['seqno'] });
    await a.sql('INSERT INTO app.t VALUES (2)');
    const before = (await c.log()).length;
    const startedAtMs = Date.now();
    await must(c.script('join', { PEERS: a.address, DONOR: b.id }));
    await synced(c);
    expect(Date.now() - startedAtMs).toBeLessThan(15_000);
    const log = (await c.log()).slice(before);
    expect(log).toContain('Running IST');
    expect(log).not.toContain('Proceeding with SST');
    expect(await c.sql('SELECT COUNT(*) FROM app.t')).toBe('2');
  });

  it('after kill -9 position recovers the seqno from the engine, and the node rejoins by IST', async () => {
    // The group's own count is the truth that the recovered one is compared with.
    await a.sql('INSERT INTO app.t VALUES (3)');
    const committed = await eventually('the row on the third node', 10, async () =>
      (await c.sql('SELECT COUNT(*) FROM app.t')) === '3' ? Number(await status(c, 'wsrep_last_committed')) : undefined,
    );
    const pid = await c.pid();
    signal(pid, 'SIGKILL');
    await eventually('the end of the process', 5, isGone(pid, c));
    expect(await readFile(join(c.volume, 'grastate.dat'), 'utf8')).toMatch(/seqno: *-1/);
    const at = await must(c.script('position'));
    expect(at).toMatchObject({
      running: false,
      stateUuid: uuid,
      seqno: committed,
      source: 'recovered',
      safeToBootstrap: false,
    });
    expect(at['viewId']).toMatch(/^[0-9a-f-]{36}:\d+$/);
    const before = (await c.log()).length;
    await must(c.script('join', { PEERS: `${a.address},${b.address}`, DONOR: b.id }));
    await synced(c);
    expect((await c.log()).slice(before)).not.toContain('Proceeding with SST');
    expect(await c.sql('SELECT COUNT(*) FROM app.t')).toBe('3');
  });

  it('join ends a frozen process, that one only, and brings the node back', async () => {
    const frozen = await c.pid();
    const others = [await a.pid(), await b.pid()];
    await freeze([frozen]);
    const result = await c.script('join', { PEERS: `${a.address},${b.address}`, DONOR: b.id });
    expect(result.code, result.stderr).toBe(0);
    expect(result.stderr).toContain(`killing the hung MariaDB, pid ${frozen}, state T`);
    await synced(c);
    expect(await c.pid()).not.toBe(frozen);
    expect([await a.pid(), await b.pid()]).toEqual(others);
  });

  it('position of a mute server is an error that says so', async () => {
    const pid = await c.pid();
    await freeze([pid]);
    try {
      const result = await c.script('position');
      expect(result.code).toBe(21);
      expect(result.stderr).toContain(`runs (pid ${pid}) but does not answer`);
    } finally {
      signal(pid, 'SIGCONT');
    }
    await synced(c);
  });

  it('stop does not kill a hung server, and says how it found it', async () => {
    const pid = await c.pid();
    await freeze([pid]);
    try {
      const envFile = join(c.dir, 'impatient.env');
      await writeFile(envFile, `${await readFile(join(c.dir, 'node.env'), 'utf8')}REJOIN_STOP_SECONDS=1\n`);
      const result = await c.script('stop', {}, { REJOIN_NODE_ENV: envFile });
      expect(result.code).toBe(30);
      expect(result.stderr).toMatch(new RegExp(`pid ${pid}, state T`));
      expect(await c.pid()).toBe(pid);
    } finally {
      signal(pid, 'SIGKILL');
    }
    await eventually('the end of the process', 5, isGone(pid, c));
  });

  it('join answers with the last messages when the server ends before it has joined', async () => {
    // The killed server's port may be held for a moment longer.
    const squatter = await eventually(`${c.address}:4567 free`, 20, async () => {
      const server = createServer();
      return new Promise<typeof server | undefined>((resolve) => {
        server.once('error', () => resolve(undefined));
        server.listen(4567, c.address, () => resolve(server));
      });
    });
    try {
      const result = await c.script('join', { PEERS: a.address, DONOR: 'any' });
      expect(result.code, result.stderr).toBe(31);
      // Galera names the thread that has just died of it instead, when that was faster.
      expect(result.stderr).toMatch(
        /failed to open gcomm backend connection: .*(Address already in use|No such process)/,
      );
      expect(result.stderr).toMatch(/ended before it had joined 127\.205\.0\.1/);
    } finally {
      await new Promise((resolve) => squatter.close(resolve));
    }
    expect(await processesOf([c.dir])).toEqual([]);
  });

  it('scripts work with both lib.sh in front, as SSM documents carry them', async () => {
    const read = (name: string): Promise<string> =>
      readFile(fileURLToPath(new URL(`../../nodes/galera/${name}`, import.meta.url)), 'utf8');
    const text = `${await read('../lib.sh')}\n${await read('lib.sh')}\n${await read('position.sh')}`;
    const result = await runCommand('/bin/sh', ['-s'], { env: a.env, input: text });
    expect(result.json, result.stderr).toMatchObject({ running: true, component: 'Primary', stateUuid: uuid });
  });

  it('a cluster that was killed whole is bootstrapped from its newest node, and no write is lost', async () => {
    await must(c.script('join', { PEERS: a.address, DONOR: b.id }));
    await synced(c);
    await a.sql('INSERT INTO app.t VALUES (4)');
    await eventually('the row everywhere', 10, async () =>
      (await c.sql('SELECT COUNT(*) FROM app.t')) === '4' && (await b.sql('SELECT COUNT(*) FROM app.t')) === '4'
        ? true
        : undefined,
    );
    const pids = await Promise.all(set.hosts.map((host) => host.pid()));
    pids.forEach((pid) => signal(pid, 'SIGKILL'));
    for (const [i, host] of set.hosts.entries()) await eventually('the end', 5, isGone(pids[i] ?? 0, host));
    const at: Record<string, unknown>[] = [];
    for (const host of set.hosts) at.push(await must(host.script('position')));
    expect(new Set(at.map((p) => p['stateUuid']))).toEqual(new Set([uuid]));
    const newest = at.findIndex((p) => p['seqno'] === Math.max(...at.map((q) => Number(q['seqno']))));
    const chosen = set.hosts[newest] ?? a;
    const rest = set.hosts.filter((host) => host !== chosen);
    await must(chosen.script('bootstrap', { STATE_UUID: uuid, SEQNO: String(at[newest]?.['seqno']) }));
    for (const host of rest) {
      await must(host.script('join', { PEERS: set.hosts.map((h) => h.address).join(','), DONOR: chosen.id }));
      await synced(host);
    }
    for (const host of set.hosts)
      expect(await host.sql('SELECT GROUP_CONCAT(id ORDER BY id) FROM app.t')).toBe('1,2,3,4');
    expect(await status(chosen, 'wsrep_cluster_size')).toBe('3');
  });
});
