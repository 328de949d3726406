/** A bootstrap that goes on without somebody, on real Galera nodes: what the others had is never taken for the new cluster's. */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processesOf, signal } from '../../rehearsal/cloud/hosts-processes.ts';
import {
  eventually,
  type Host,
  type HostSet,
  makeHosts,
  must,
  startCluster,
  status,
  synced,
  type ScriptResult,
} from '../support/galera/hosts.ts';

// One story: the third node misses the last write, and the other two are given up.
describe('a bootstrap with a new history', () => {
  let set: HostSet;
  let a: Host;
  let b: Host;
  let c: Host;
  let asked: Readonly<Record<string, string>>;
  let uuid: string;
  let renewed: string;
  let gtid: string;

  const kill = async (host: Host): Promise<void> => {
    const pid = await host.pid();
    signal(pid, 'SIGKILL');
    await eventually(`the end of ${host.id}`, 5, async () =>
      (await processesOf([host.dir])).some((p) => p.pid === pid) ? undefined : true,
    );
  };
  const rows = (host: Host): Promise<string> => host.sql('SELECT GROUP_CONCAT(id ORDER BY id) FROM app.t');
  const mark = (): Promise<string> => readFile(join(c.volume, 'rejoin-renewed'), 'utf8');
  const uuidOf = async (host: Host): Promise<unknown> => (await must(host.script('position')))['stateUuid'];

  /** Runs the bootstrap with another program in the place of `name`; one that kills the script at its moment. */
  const killedBy = async (name: string, text: string): Promise<ScriptResult> => {
    const bin = join(c.dir, `bin-${name}`);
    await mkdir(bin, { recursive: true });
    await writeFile(join(bin, name), `#!/bin/sh\n${text}\nexec /usr/bin/${name} "$@"\n`);
    await chmod(join(bin, name), 0o755);
    return c.script('bootstrap', asked, { PATH: `${bin}:${c.env['PATH'] ?? ''}` });
  };
  const killedWhenMarkHas = (lines: number): Promise<ScriptResult> =>
    killedBy('sync', `[ "$(wc -l <"$1")" != ${lines} ] || kill -s KILL $PPID`);

  beforeAll(async () => {
    set = await makeHosts({ octet: 219, count: 3 });
    [a, b, c] = set.hosts as [Host, Host, Host];
    await startCluster(set.hosts);
    await a.sql('CREATE TABLE app.t (id INT PRIMARY KEY) ENGINE=InnoDB; INSERT INTO app.t VALUES (1)');
    await eventually('the row on the third node', 10, async () =>
      (await rows(c).catch(() => '')) === '1' ? true : undefined,
    );
    gtid = await c.sql('SELECT @@gtid_binlog_pos');
    await kill(c);
    await eventually('a quorum of two', 20, async () =>
      (await status(a, 'wsrep_cluster_size')) === '2' ? true : undefined,
    );
    await a.sql('INSERT INTO app.t VALUES (2)');
    await kill(a);
    await kill(b);
    const at = await must(c.script('position'));
    uuid = String(at['stateUuid']);
    asked = { STATE_UUID: uuid, SEQNO: String(at['seqno']), NEW_HISTORY: 'yes' };
  });
  afterAll(() => set.dispose());

  it('is refused when it is neither yes nor no, and for data that are elsewhere', async () => {
    const result = await c.script('bootstrap', { ...asked, NEW_HISTORY: 'maybe' });
    expect(result.code).toBe(64);
    expect(result.stderr).toContain("NewHistory is 'maybe'; expected 'yes' or 'no'");
    expect((await c.script('bootstrap', { ...asked, SEQNO: '999' })).code).toBe(40);
    await expect(mark()).rejects.toThrow('ENOENT');
    expect(await uuidOf(c)).toBe(uuid);
  });

  it('may be killed before it has renewed anything: the data are where they were', async () => {
    const result = await killedWhenMarkHas(1);
    expect(result.code, result.stderr).toBe(-1);
    expect(await mark()).toBe(`${uuid}:${asked['SEQNO']}\n`);
    expect(await must(c.script('position'))).toMatchObject({ stateUuid: uuid, seqno: Number(asked['SEQNO']) });
  });

  it('may be killed while its own server runs, which nobody hears: the next run ends that one', async () => {
    const result = await killedBy('mariadb', 'case "$*" in *SHUTDOWN*) kill -s KILL $PPID; exit 1 ;; esac');
    expect(result.code, result.stderr).toBe(-1);
    const left = await c.pid();
    expect(await readFile(`/proc/${left}/cmdline`, 'utf8')).toContain('--skip-networking');
    const next = await killedWhenMarkHas(2);
    expect(next.stderr).toContain(`ending the server of a renewal that was cut off, pid ${left}`);
    expect(next.code, next.stderr).toBe(-1);
    expect(await processesOf([c.dir])).toEqual([]);
  });

  it('killed after the renewal has data of another history, which only the same bootstrap takes', async () => {
    renewed = String(await uuidOf(c));
    expect(renewed).not.toBe(uuid);
    expect(await mark()).toMatch(new RegExp(`^${uuid}:${asked['SEQNO']}\n${renewed}:\\d+\n$`));
    for (const other of [{ NEW_HISTORY: 'no' }, { SEQNO: '999' }]) {
      const result = await c.script('bootstrap', { ...asked, ...other });
      expect(result.code, result.stderr).toBe(40);
    }
    expect(await readFile(String(c.env['REJOIN_CONFIG_FILE']), 'utf8')).not.toMatch(/gcomm:\/\/$/m);
    const done = await must(c.script('bootstrap', asked));
    expect(done).toMatchObject({ bootstrapped: 'now', stateUuid: renewed, pid: await c.pid() });
    expect(await rows(c)).toBe('1');
    await expect(mark()).rejects.toThrow('ENOENT');
  });

  it('is a no-op the second time, and is not taken for one that was to go on with the old history', async () => {
    expect(await must(c.script('bootstrap', asked))).toMatchObject({ bootstrapped: 'already', stateUuid: renewed });
    expect((await c.script('bootstrap', { ...asked, NEW_HISTORY: 'no' })).code).toBe(41);
    expect(await readFile(join(c.dir, 'run', 'manager.env'), 'utf8')).not.toContain('wsrep-new-cluster');
  });

  it('goes on with the GTIDs where they were', async () => {
    const sequence = (position: string): number => Number(position.split('-')[2]);
    const before = await c.sql('SELECT @@gtid_binlog_pos');
    expect(before).toBe(gtid);
    await c.sql('INSERT INTO app.t VALUES (3)');
    const after = await c.sql('SELECT @@gtid_binlog_pos');
    expect(after.split('-')[0]).toBe(gtid.split('-')[0]);
    expect(sequence(after)).toBe(sequence(gtid) + 1);
  });

  it('a node that was given up comes back with a write that is lost, and gets all data anew', async () => {
    // The group is past where the lost node was: by the numbers alone it could have what is missing only.
    const theirs = Number((await must(a.script('position')))['seqno']);
    await c.sql('INSERT INTO app.t VALUES (4)');
    while (Number(await status(c, 'wsrep_last_committed')) <= theirs)
      await c.sql('UPDATE app.t SET id = id + 1 WHERE id >= 4');
    const before = (await a.log()).length;
    await must(a.script('join', { PEERS: c.address, DONOR: c.id }));
    await synced(a);
    expect((await a.log()).slice(before)).toContain('Proceeding with SST');
    const expected = await rows(c);
    expect(expected).toMatch(/^1,3,/);
    expect(await rows(a)).toBe(expected);
    expect(await status(a, 'wsrep_local_state_uuid')).toBe(renewed);
  });

  it('is whole in one run, though it is asked for twice at once', async () => {
    await must(a.script('stop'));
    await must(c.script('stop'));
    const at = await must(b.script('position'));
    expect(at).toMatchObject({ stateUuid: uuid });
    const parameters = { STATE_UUID: uuid, SEQNO: String(at['seqno']), NEW_HISTORY: 'yes' };
    const done = await Promise.all([1, 2].map(() => must(b.script('bootstrap', parameters))));
    expect(done.map((d) => d['bootstrapped']).toSorted()).toEqual(['already', 'now']);
    const [own] = new Set(done.map((d) => d['stateUuid']));
    expect(await status(b, 'wsrep_local_state_uuid')).toBe(own);
    expect([uuid, renewed]).not.toContain(own);
    expect(await rows(b)).toBe('1,2');
  });
});
