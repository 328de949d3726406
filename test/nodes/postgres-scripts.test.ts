import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareLsn } from '../../lambdas/model/lsn.ts';
import { documentLines } from '../../lib/capabilities/host-documents.ts';
import { HOST_SCRIPTS } from '../../lib/capabilities/host-scripts.ts';
import { processesOf } from '../../rehearsal/cloud/hosts-processes.ts';
import {
  eventually,
  type Host,
  type HostSet,
  joined,
  joinParameters,
  makeHosts,
  makeSlots,
  must,
  promote,
  runCommand,
  sameRows,
  SCRIPTS,
} from './postgres-hosts.ts';

const inRecovery = (host: Host): Promise<string> => host.sql('SELECT pg_is_in_recovery()');

// One story, told in order: a cluster is made, loses its primary in every way, and gets it back.
describe('the scripts on real PostgreSQL servers', () => {
  let set: HostSet;
  let a: Host;
  let b: Host;
  let c: Host;
  let system: string;

  beforeAll(async () => {
    set = await makeHosts({ third: 1, count: 3 });
    [a, b, c] = set.hosts as [Host, Host, Host];
  });
  afterAll(() => set.dispose());

  it('position reads a stopped server from its control file, and says that this is not exact', async () => {
    const at = await must(a.script('position'));
    expect(at).toEqual({
      running: false,
      seeding: false,
      primary: false,
      timeline: 1,
      lsn: expect.stringMatching(/^0\/[0-9A-F]+$/) as string,
      systemId: expect.stringMatching(/^\d{19}$/) as string,
      state: 'shut down',
      exact: false,
    });
    system = String(at['systemId']);
  });

  it('start makes a standby without upstream out of what was a primary, and is a no-op the second time', async () => {
    await writeFile(join(a.data, 'postgresql.auto.conf'), "primary_conninfo = 'host=127.85.1.9'\n");
    const started = await must(a.script('start'));
    expect(started).toMatchObject({ started: true, primary: false, timeline: 1, systemId: system });
    expect(await inRecovery(a)).toBe('t');
    expect(await a.sql('SHOW primary_conninfo')).toBe('');
    const pid = await a.pid();
    expect(await must(a.script('start'))).toMatchObject({ started: 'already', lsn: started['lsn'] });
    expect(await a.pid()).toBe(pid);
  });

  it('start refuses a primary, naming its place, and leaves it as it is', async () => {
    await promote(a, [b, c]);
    const pid = await a.pid();
    const result = await a.script('start');
    expect(result.code).toBe(12);
    expect(result.stderr).toMatch(/runs here as a primary \(pid \d+\) at 2:0\//);
    expect([await a.pid(), await inRecovery(a)]).toEqual([pid, 'f']);
    expect(await must(a.script('position'))).toMatchObject({
      primary: true,
      timeline: 2,
      state: 'primary',
      exact: true,
    });
  });

  it.each([
    ['Primary', { PRIMARY: 'x y' }],
    ['PrimaryPort', { PRIMARY_PORT: '5432; reboot' }],
    ['Donor', { DONOR: "'" }],
    ['ReplicationUser', { REPLICATION_USER: '' }],
    ['itself as Primary', { PRIMARY: '127.85.1.2' }],
    ['itself as Donor', { DONOR: '127.85.1.2' }],
  ])('join refuses a wrong parameter: %s, and starts nothing', async (_, wrong) => {
    const result = await b.script('join', { ...joinParameters(a, null), ...wrong });
    expect(result.code).toBe(64);
    expect(result.stderr).toMatch(/expected/);
    expect(await processesOf([b.dir])).toEqual([]);
  });

  it('join makes replicas, without a copy where the data are whole, and is a no-op the second time', async () => {
    for (const host of [b, c]) {
      expect(await must(host.join(a))).toMatchObject({
        joined: 'started',
        rewound: false,
        rebuilt: false,
        timeline: 2,
      });
    }
    const pid = await b.pid();
    expect(await must(b.join(a, c))).toMatchObject({ joined: 'already' });
    expect(await b.pid()).toBe(pid);
    await a.sql('CREATE TABLE t (id int); INSERT INTO t VALUES (1)');
    await sameRows(a, b);
    await sameRows(a, c);
    expect(await must(b.script('position'))).toMatchObject({
      running: true,
      primary: false,
      timeline: 2,
      state: 'streaming',
    });
    expect(await a.sql('SELECT application_name FROM pg_stat_replication ORDER BY 1')).toBe(`${b.id}\n${c.id}`);
  });

  it('no password is in the data directory, which base backups carry to others', async () => {
    const settings = await readFile(join(b.data, 'postgresql.auto.conf'), 'utf8');
    expect(settings).toContain(`application_name=${b.id}`);
    expect(settings).not.toContain('password');
  });

  it('prepare refuses the data directory of a running server', async () => {
    const result = await c.script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' });
    expect(result.code).toBe(12);
    expect(result.stderr).toContain(`pid ${await c.pid()}`);
  });

  it('start leaves a running replica with its upstream', async () => {
    expect(await must(c.script('start'))).toMatchObject({ started: 'already', timeline: 2 });
    expect(await c.sql('SHOW primary_conninfo')).toContain(a.address);
  });

  it('stop of a primary ends when its replicas have everything, and says where', async () => {
    await a.sql('INSERT INTO t SELECT generate_series(2, 5000)');
    const stopped = await must(a.script('stop'));
    expect(stopped).toMatchObject({ stopped: true, state: 'shut down', clean: true, timeline: 2 });
    for (const host of [b, c]) {
      const at = await must(host.script('position'));
      expect(compareLsn(String(at['lsn']), String(stopped['lsn']))).toBeGreaterThan(0);
    }
    expect(await must(a.script('stop'))).toEqual({ ...stopped, stopped: 'already' });
  });

  it('after a switchover the old primary follows at once, and a running replica is not restarted', async () => {
    await b.sql('SELECT pg_promote()');
    await makeSlots(b, [a, c]);
    const pid = await c.pid();
    expect(await must(c.join(b))).toMatchObject({ joined: 'started', rewound: false, rebuilt: false, timeline: 3 });
    expect(await c.pid()).toBe(pid);
    expect(await must(a.join(b))).toMatchObject({ joined: 'started', rewound: false, rebuilt: false, timeline: 3 });
    await b.sql('INSERT INTO t VALUES (10001)');
    await sameRows(b, a);
    await sameRows(b, c);
  });

  it('a primary that was killed is a standby after the next start, at the very end of its log', async () => {
    await b.sql('INSERT INTO t VALUES (10002)');
    const before = await b.sql('SELECT pg_current_wal_flush_lsn()');
    await b.kill();
    const at = await must(b.script('position'));
    expect(at).toMatchObject({ running: false, state: 'in production', exact: false });
    const started = await must(b.script('start'));
    expect(started).toMatchObject({ started: true, primary: false, timeline: 3 });
    expect(compareLsn(String(started['lsn']), before)).toBeGreaterThanOrEqual(0);
    expect(await inRecovery(b)).toBe('t');
  });

  const received = (host: Host): Promise<string> =>
    host.sql('SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())');

  const cutOff = async (host: Host): Promise<void> => {
    await host.sql("ALTER SYSTEM SET primary_conninfo = ''");
    await host.sql('SELECT pg_reload_conf()');
    await eventually('no receiver', 20, async () =>
      (await host.sql('SELECT count(*) FROM pg_stat_wal_receiver')) === '0' ? true : undefined,
    );
  };

  /**
   * As a failover does it: all are cut off, `others` first, so that `to` has what they have (the old primary writes by itself too, and they
   * would have to be rewound); `to` is promoted, they follow it; nobody tells the old primary.
   */
  const takeOver = async (to: Host, others: readonly Host[], old: Host): Promise<void> => {
    const replicas = others.filter((other) => other !== old);
    for (const other of replicas) await cutOff(other);
    const most = await Promise.all(replicas.map(received));
    await eventually(`${to.id} has what the others have`, 20, async () => {
      const has = await received(to);
      return most.every((lsn) => compareLsn(has, lsn) >= 0) ? true : undefined;
    });
    await cutOff(to);
    await to.sql('SELECT pg_promote()');
    await makeSlots(to, [...others, old]);
    for (const other of others) await must(other.join(to));
  };

  it('a primary that wrote what nobody else has is stopped, rewound, and has the same rows as the others', async () => {
    await takeOver(b, [a, c], b);
    await takeOver(c, [a], b);
    await b.sql('INSERT INTO t SELECT generate_series(20000, 20500)');
    await c.sql('INSERT INTO t VALUES (10003)');
    const result = await b.join(c);
    expect(result.json, result.stderr).toMatchObject({ joined: 'started', rewound: true, rebuilt: false, timeline: 5 });
    expect(result.stderr).toMatch(/runs as a primary at 4:0\/[0-9A-F]+ beside 127\.85\.1\.3:5432; stopping it/);
    await sameRows(c, b);
    expect(await b.sql('SELECT count(*) FROM t WHERE id >= 20000')).toBe('0');
  });

  it('the same after a power cut right after its promotion, when its control file names the old timeline', async () => {
    // Pages that the checkpoint after the promotion has to write, which it does without haste.
    await c.sql('INSERT INTO t SELECT generate_series(60000, 260000)');
    await sameRows(c, a);
    await takeOver(a, [b], c);
    expect(Number(await a.sql('SELECT timeline_id FROM pg_control_checkpoint()'))).toBeLessThan(6);
    await a.sql('INSERT INTO t VALUES (10004)');
    await c.sql('INSERT INTO t SELECT generate_series(30000, 30500)');
    await must(c.script('disk')); // pg_rewind writes over that file, as the database's user
    await must(a.script('disk'));
    await c.kill();
    expect(await must(c.join(a))).toMatchObject({ joined: 'started', rewound: true, rebuilt: false, timeline: 6 });
    await sameRows(a, c);
  });

  it('a replica that was killed with a log that it had not replayed yet: start answers when it has, with all that it had received', async () => {
    await b.sql('SELECT pg_wal_replay_pause()');
    await a.sql('INSERT INTO t SELECT generate_series(50000, 250000)');
    const sent = await a.sql('SELECT pg_current_wal_flush_lsn()');
    await eventually('all of it received', 20, async () =>
      compareLsn(await b.sql('SELECT pg_last_wal_receive_lsn()'), sent) >= 0 ? true : undefined,
    );
    await b.kill();
    expect(compareLsn(String((await must(b.script('position')))['lsn']), sent), 'by its control file').toBeLessThan(0);
    const started = await must(b.script('start'));
    expect(compareLsn(String(started['lsn']), sent)).toBeGreaterThanOrEqual(0);
    await must(b.join(a));
  });

  it('before the service is started standby.signal is there, also where the service does not see to it', async () => {
    await must(b.script('stop'));
    await rm(join(b.data, 'standby.signal'));
    const wrapper = join(b.dir, 'looking-systemctl');
    const seen = join(b.dir, 'seen');
    await writeFile(
      wrapper,
      `#!/bin/sh\n[ "$1" != start ] || ls '${b.data}/standby.signal' >'${seen}' 2>&1\nexec '${String(b.env['REJOIN_SYSTEMCTL'])}' "$@"\n`,
      { mode: 0o755 },
    );
    const envFile = join(b.dir, 'looking.env');
    await writeFile(envFile, `${await readFile(join(b.dir, 'node.env'), 'utf8')}REJOIN_SYSTEMCTL='${wrapper}'\n`);
    await must(b.join(a, null, { REJOIN_NODE_ENV: envFile }));
    expect(await readFile(seen, 'utf8')).toBe(`${b.data}/standby.signal\n`);
  });

  it('a blank directory gets a base backup, and the old data are deleted when the new replica streams', async () => {
    await must(b.script('stop'));
    const prepared = await must(b.script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' }));
    const aside = join(b.volume, '.rejoin-aside', '1');
    expect(prepared).toEqual({ prepared: 'peer', dataDir: b.data, device: null, formatted: false, aside });
    expect(await readdir(b.data)).toEqual([]);
    expect(await readdir(aside)).toContain('PG_VERSION');
    expect(await must(b.script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' })), 'again').toMatchObject({
      aside: null,
    });
    expect(await must(b.script('position'))).toMatchObject({
      timeline: 0,
      lsn: '0/0',
      systemId: null,
      state: 'nothing',
    });
    const none = await b.join(a);
    expect(none.code).toBe(50);
    expect(none.stderr).toMatch(/holds nothing.*base backup: run this with Donor/);
    expect((await b.script('start')).code).toBe(11);
    expect(await must(b.script('stop'))).toMatchObject({ stopped: 'already', state: 'nothing', clean: false });
    expect((await b.script('prepare', { SOURCE: 'volume', VOLUME_ID: 'none' })).code).toBe(11);

    expect(await must(b.join(a, c))).toMatchObject({ joined: 'started', rewound: false, rebuilt: true, timeline: 6 });
    await sameRows(a, b);
    await eventually('the old data gone', 10, async () =>
      (await readdir(b.volume)).join() === 'main' ? true : undefined,
    );
    expect((await stat(b.data)).mode & 0o777).toBe(0o700);
    expect(await b.sql('SHOW primary_conninfo')).toContain(`host=${a.address}`);
  });

  it('disk tells the server how full its file system is, and leaves an empty directory empty', async () => {
    const told = await must(b.script('disk'));
    expect(await b.sql('SELECT rejoin.disk()')).toBe(`${String(told['totalBytes'])} ${String(told['availableBytes'])}`);
    expect(Number(told['availableBytes'])).toBeGreaterThan(0);
    expect(Number(told['totalBytes'])).toBeGreaterThan(Number(told['availableBytes']));
    await must(b.script('stop'));
    await must(b.script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' }));
    expect(await must(b.script('disk'))).toEqual({ totalBytes: null, availableBytes: null });
    expect(await readdir(b.data)).toEqual([]);
  });

  it('scripts work as SSM documents carry them: one file, which starts itself again for a base backup', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rejoin-document-'));
    try {
      const run = async (name: string): ReturnType<typeof runCommand> => {
        const values: Readonly<Record<string, string>> = joinParameters(a, c);
        // SSM puts parameters into the text, as here.
        const script = HOST_SCRIPTS.find((s) => s.engine === 'postgres' && s.script === name);
        if (script === undefined) throw new Error(`there is no document of ${name}.sh`);
        // SSM puts the parameters into the text, as here.
        const parts = documentLines(join(SCRIPTS, '..'), script).map((line) =>
          line.replace(
            /^(export REJOIN_PARAM_(\w+)=)'\{\{ \w+ \}\}'$/,
            (_, set: string, key: string) => `${set}'${values[key] ?? ''}'`,
          ),
        );
        await writeFile(join(folder, '_script.sh'), parts.join('\n'));
        return runCommand('/bin/sh', [join(folder, '_script.sh')], { env: b.env });
      };
      expect((await joined(() => run('join'))).json).toMatchObject({ joined: 'started', rebuilt: true });
      expect((await run('position')).json).toMatchObject({ running: true, state: 'streaming', timeline: 6 });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
