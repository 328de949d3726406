import { execFile, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { compareLsn } from '../../lambdas/model/lsn.ts';
import { freeze, type HostProcess, processesOf, signal } from '../../rehearsal/cloud/hosts-processes.ts';
import { POSTGRES_ACCOUNTS, postgresUnixUser, runAsPostgres } from '../../rehearsal/host/postgres-template.ts';
import {
  eventually,
  type Host,
  type HostSet,
  joinParameters,
  makeHosts,
  makeSlots,
  must,
  promote,
  sameRows,
  type Script,
  SCRIPTS,
  startCluster,
} from './postgres-hosts.ts';

const processNamed = (host: Host, name: string): Promise<HostProcess> =>
  eventually(`${name} on ${host.id}`, 20, async () => (await processesOf([host.dir])).find((p) => p.name === name));

/** Stops `name` as soon as it shows: what it does then hangs for as long as we like. */
async function freezeOnSight(host: Host, name: string): Promise<number> {
  const { pid } = await processNamed(host, name);
  await freeze([pid]);
  return pid;
}

async function foreignData(folder: string): Promise<void> {
  await mkdir(folder);
  if (process.getuid?.() === 0) await promisify(execFile)('chown', [postgresUnixUser(), folder]);
  await runAsPostgres('initdb', ['-D', folder, '-U', 'postgres', '-A', 'trust', '-N']);
}

/** Facts of `host` with another `name` among PostgreSQL's programs: a shell script. Answers the file's path. */
async function withProgram(host: Host, name: string, text: string): Promise<string> {
  const bin = await mkdtemp(join(host.dir, 'bin-'));
  await chmod(bin, 0o755);
  const real = String(host.env['REJOIN_PG_BIN']);
  for (const other of await readdir(real)) if (other !== name) await symlink(join(real, other), join(bin, other));
  await writeFile(join(bin, name), `#!/bin/sh\n${text}`, { mode: 0o755 });
  const envFile = join(bin, 'node.env');
  await writeFile(envFile, `${await readFile(join(host.dir, 'node.env'), 'utf8')}REJOIN_PG_BIN='${bin}'\n`);
  return envFile;
}

const controlFile = (host: Host): Promise<Buffer> => readFile(join(host.data, 'global', 'pg_control'));

describe('what join does not touch, and what it says', () => {
  let set: HostSet;
  let a: Host;
  let b: Host;

  beforeAll(async () => {
    set = await makeHosts({ third: 2, count: 2 });
    [a, b] = set.hosts as [Host, Host];
    await promote(a, [b]);
  });
  afterAll(() => set.dispose());

  it('another cluster, stopped or running as a primary: exit 51, and not a byte of it is changed', async () => {
    const own = `${b.data}-own`;
    await rename(b.data, own);
    await foreignData(b.data);
    const before = await controlFile(b);
    const stopped = await b.join(a, a);
    expect(stopped.code).toBe(51);
    expect(stopped.stderr).toMatch(/data of another cluster \(system identifier \d+\); expected \d+/);
    expect(await controlFile(b)).toEqual(before);
    // By hand, so that the service manager knows nothing of it.
    const options = `-c config_file=${String(b.env['REJOIN_CONFIG_FILE'])} -c max_connections=100`;
    await runAsPostgres('pg_ctl', ['start', '-w', '-D', b.data, '-o', options, '-l', join(b.dir, 'db', 'foreign.log')]);
    const pid = await b.pid();
    expect((await b.join(a, a)).code).toBe(51);
    expect([await b.pid(), await b.sql('SELECT pg_is_in_recovery()')]).toEqual([pid, 'f']);
    await b.kill();
    await rm(b.data, { recursive: true });
    await rename(own, b.data);
  });

  it('a folder with something else in it: exit 11', async () => {
    await rename(b.data, `${b.data}-own`);
    await mkdir(b.data);
    await writeFile(join(b.data, 'thesis.txt'), 'the only copy');
    const result = await b.join(a, a);
    expect(result.code).toBe(11);
    expect(result.stderr).toMatch(/no whole PostgreSQL data directory \(thesis\.txt/);
    expect(await readdir(b.data)).toEqual(['thesis.txt']);
    await rm(b.data, { recursive: true });
    await rename(`${b.data}-own`, b.data);
  });

  it.each([
    ['is not there', async (file: string) => rm(file)],
    ['may be read by others', async (file: string) => chmod(file, 0o644)],
  ])('a passfile that %s: exit 64 says what to write', async (_, spoil) => {
    const file = String(b.env['REJOIN_PASSFILE']);
    await rename(file, `${file}.kept`);
    await writeFile(file, 'x', { mode: 0o600 });
    await spoil(file);
    const result = await b.join(a);
    expect(result.code).toBe(64);
    expect(result.stderr).toMatch(
      /REJOIN_PASSFILE=.*expected a file of mode 600.*\*:\*:\*:rejoin_replication:<password>/,
    );
    await rename(`${file}.kept`, file);
  });

  it('a Primary that does not answer: exit 52, and a primary that runs here runs on', async () => {
    await must(b.script('start'));
    await b.sql('SELECT pg_promote()');
    const pid = await b.pid();
    const wrong = await b.script('join', { ...joinParameters(a, null), PRIMARY_PORT: '5999' });
    expect(wrong.code).toBe(52);
    expect(wrong.stderr).toMatch(/Primary 127\.85\.2\.1:5999 does not answer: .*refused/);
    expect([await b.pid(), await b.sql('SELECT pg_is_in_recovery()')]).toEqual([pid, 'f']);
    await b.kill();
  });

  it('a Primary that is a standby itself: exit 52', async () => {
    await must(b.script('start'));
    const result = await a.join(b);
    expect(result.code).toBe(52);
    expect(result.stderr).toMatch(/is a standby itself/);
    expect(await a.sql('SELECT pg_is_in_recovery()')).toBe('f');
  });

  it('a timeline of the same number and another history is told apart by its bytes: exit 50, then a base backup', async () => {
    // Both have been promoted from the same place, so both are on timeline 2; b has less than a.
    await a.sql('CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 30000)');
    const [ours, theirs] = [await must(b.script('position')), await must(a.script('position'))];
    expect([ours['timeline'], theirs['timeline']]).toEqual([2, 2]);
    expect(compareLsn(String(ours['lsn']), String(theirs['lsn']))).toBeLessThan(0);
    const result = await b.join(a);
    expect(result.code, result.stderr).toBe(50);
    expect(result.stderr).toMatch(/another history, and pg_rewind cannot bring it back.*run this with Donor/);
    expect(await must(b.join(a, a))).toMatchObject({ joined: 'started', rewound: false, rebuilt: true });
    await sameRows(a, b);
  });
});

describe('hung servers, and jobs that die', () => {
  let set: HostSet;
  let a: Host;
  let b: Host;
  let c: Host;

  beforeAll(async () => {
    set = await makeHosts({ third: 3, count: 3 });
    [a, b, c] = set.hosts as [Host, Host, Host];
    await startCluster(set.hosts);
    await a.sql('CREATE TABLE t (id int)');
  });
  afterAll(() => set.dispose());
  // Every test ends with b as a replica that has what the primary has.

  it('a promotion that did not come, after numbers were passed over: it starts as a standby again', async () => {
    const histories = async (): Promise<string[]> =>
      (await readdir(join(b.data, 'pg_wal'))).filter((name) => /^0000000[34]\.history$/.test(name));
    await b.sql('SELECT rejoin.pass_over_timelines(3, 4)');
    expect(await histories()).toHaveLength(2);
    await b.kill();
    expect(await must(b.script('start'))).toMatchObject({ started: true, primary: false, timeline: 2 });
    expect(await histories()).toEqual([]);
    // Below a timeline that was begun they stay: its standbys ask for each.
    await b.sql('SELECT rejoin.pass_over_timelines(3, 4)');
    await b.sql('SELECT pg_promote()');
    await b.sql('CHECKPOINT');
    await b.kill();
    expect(await must(b.script('start'))).toMatchObject({ started: true, primary: false, timeline: 5 });
    expect(await histories()).toHaveLength(2);
    await must(b.join(a, a));
    await sameRows(a, b);
  });
  beforeEach(() => a.sql('INSERT INTO t SELECT 1 + coalesce(max(id), 0) FROM t'));

  const seedings = async (host: Host): Promise<unknown> => (await must(host.script('position')))['seeding'];
  const makeBlank = async (host: Host): Promise<void> => {
    await must(host.script('stop'));
    await must(host.script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' }));
  };

  it('a frozen server: position, start and stop say so and leave it, join ends it and brings the node back', async () => {
    const pid = await b.pid();
    await b.freeze();
    const position = await b.script('position');
    expect([position.code, position.stderr]).toEqual([
      21,
      expect.stringContaining(`runs (pid ${pid}) but does not answer`),
    ]);
    expect((await b.script('start')).code).toBe(21);
    const envFile = join(b.dir, 'impatient.env');
    await writeFile(envFile, `${await readFile(join(b.dir, 'node.env'), 'utf8')}REJOIN_STOP_SECONDS=1\n`);
    const stop = await b.script('stop', {}, { REJOIN_NODE_ENV: envFile });
    expect([stop.code, stop.stderr]).toEqual([30, expect.stringMatching(new RegExp(`pid ${pid}, state T`))]);
    expect(await b.pid()).toBe(pid);
    const others = [await a.pid(), await c.pid()];
    const result = await b.join(a);
    expect(result.json, result.stderr).toMatchObject({ joined: 'started' });
    expect(result.stderr).toContain(`killing the hung PostgreSQL, pid ${pid}, state T`);
    expect([await a.pid(), await c.pid()]).toEqual(others);
    await sameRows(a, b);
  });

  it('a killed server that leaves a frozen child behind: the child is ended too', async () => {
    const pid = await b.pid();
    const children = (await processesOf([b.dir])).filter((p) => p.parentPid === pid);
    await freeze(children.map((child) => child.pid));
    signal(pid, 'SIGKILL');
    // A service manager that knows nothing of the server does not end its children.
    const wrapper = join(b.dir, 'looking-systemctl');
    const seen = join(b.dir, 'seen');
    const stats = children.map((child) => `/proc/${child.pid}/stat`).join(' ');
    await writeFile(
      wrapper,
      `#!/bin/sh\n[ "$1" != start ] || cat ${stats} 2>&1 | grep -c ') [TS] ' >'${seen}'\nexec '${String(b.env['REJOIN_SYSTEMCTL'])}' "$@"\n`,
      { mode: 0o755 },
    );
    const envFile = join(b.dir, 'looking.env');
    await writeFile(envFile, `${await readFile(join(b.dir, 'node.env'), 'utf8')}REJOIN_SYSTEMCTL='${wrapper}'\n`);
    await must(b.join(a, null, { REJOIN_NODE_ENV: envFile }));
    expect(await readFile(seen, 'utf8')).toBe('0\n');
    await sameRows(a, b);
  });

  it('without its slot on the primary: exit 32 names it; when it is there the next call is done', async () => {
    await must(b.script('stop'));
    await eventually('the slot free', 10, async () =>
      (await a.sql(`SELECT active FROM pg_replication_slots WHERE slot_name = '${b.slot}'`)) === 'f' ? true : undefined,
    );
    await a.sql(`SELECT pg_drop_replication_slot('${b.slot}')`);
    const result = await b.join(a, null, { REJOIN_JOIN_SECONDS: '2' });
    expect(result.code).toBe(32);
    expect(result.stderr).toContain(`Does the slot ${b.slot} exist there?`);
    await makeSlots(a, [b]);
    await must(b.join(a));
    await sameRows(a, b);
  });

  it('while a base backup runs: position says seeding, join answers so, start and prepare wait for it, nobody counts it as a replica', async () => {
    await makeBlank(b);
    const [, joined] = await Promise.all([
      freezeOnSight(b, 'pg_basebackup'),
      must(b.join(a, c, { REJOIN_JOIN_SECONDS: '3' })),
    ]);
    expect(joined).toEqual({ joined: 'seeding', rewound: false, rebuilt: false, timeline: null, lsn: null });
    expect(await must(b.script('position'))).toMatchObject({ running: false, seeding: true, state: 'nothing' });
    expect(await must(b.join(a, c, { REJOIN_JOIN_SECONDS: '1' }))).toMatchObject({ joined: 'seeding' });
    for (const [script, parameters] of [
      ['start', {}],
      ['prepare', { SOURCE: 'peer', VOLUME_ID: 'none' }],
    ] as const) {
      const result = await b.script(script, parameters);
      expect([result.code, result.stderr]).toEqual([14, expect.stringContaining('a replica is being made here')]);
    }
    const backups = (await processesOf([b.dir])).filter((p) => p.name === 'pg_basebackup');
    for (const host of [a, c])
      expect(await host.sql(`SELECT count(*) FROM pg_stat_replication WHERE application_name = '${b.id}'`)).toBe('0');
    backups.forEach((p) => signal(p.pid, 'SIGCONT'));
    await eventually('the end of the job', 30, async () => ((await seedings(b)) === false ? true : undefined));
    expect(await must(b.join(a, c))).toMatchObject({ joined: 'already', rebuilt: false });
    await sameRows(a, b);
  });

  it('a job whose leader was killed is not seeding; the next join ends what it left and begins anew', async () => {
    await makeBlank(b);
    const [frozen] = await Promise.all([
      freezeOnSight(b, 'pg_basebackup'),
      must(b.join(a, c, { REJOIN_JOIN_SECONDS: '2' })),
    ]);
    signal(Number((await readFile(join(b.dir, 'run', 'job'), 'utf8')).split(' ')[0]), 'SIGKILL');
    await eventually('the end of the job', 10, async () => ((await seedings(b)) === false ? true : undefined));
    expect((await processesOf([b.dir])).map((p) => p.pid)).toContain(frozen);
    expect(await must(b.join(a, c))).toMatchObject({ joined: 'started', rebuilt: true });
    expect((await processesOf([b.dir])).map((p) => p.pid)).not.toContain(frozen);
    await sameRows(a, b);
  });

  it('a donor that sends nothing any more: the job ends by itself, and says whom it has waited for', async () => {
    await makeBlank(b);
    const [, result] = await Promise.all([
      freezeOnSight(b, 'pg_basebackup'),
      b.join(a, c, { REJOIN_STALL_SECONDS: '2' }),
    ]);
    expect(result.code).toBe(52);
    expect(result.stderr).toMatch(/nothing has come from 127\.85\.3\.3:5432 for 2 s/);
    expect(await processesOf([b.dir])).toEqual([]);
    expect(await must(b.join(a, c))).toMatchObject({ joined: 'started', rebuilt: true });
    await sameRows(a, b);
  });

  it('stop ends a base backup, and nothing starts afterwards', async () => {
    await makeBlank(b);
    await Promise.all([freezeOnSight(b, 'pg_basebackup'), must(b.join(a, c, { REJOIN_JOIN_SECONDS: '2' }))]);
    expect(await must(b.script('stop'))).toMatchObject({ stopped: 'already', state: 'nothing' });
    expect(await processesOf([b.dir])).toEqual([]);
    await must(b.join(a, c));
    await sameRows(a, b);
  });

  it('power cut in the middle of a base backup, and between its two last renames', async () => {
    await makeBlank(b);
    await Promise.all([freezeOnSight(b, 'pg_basebackup'), must(b.join(a, c, { REJOIN_JOIN_SECONDS: '2' }))]);
    await b.kill();
    expect(await must(b.script('position'))).toMatchObject({ running: false, seeding: false });
    await must(b.join(a, c));
    await sameRows(a, b);
    await must(b.script('stop'));
    await rename(b.data, join(b.volume, '.rejoin-seeded'));
    await rm(join(b.dir, 'run'), { recursive: true });
    expect(await must(b.join(a))).toMatchObject({ joined: 'started', rebuilt: false });
    await sameRows(a, b);
  });

  it('power cut in the middle of a rewind: the data are not started again, but replaced', async () => {
    await must(b.script('stop'));
    await must(b.script('start'));
    await b.sql('SELECT pg_promote()');
    await b.sql('INSERT INTO t VALUES (-1)');
    await a.sql('SELECT pg_switch_wal()');
    const rewind = `'${String(b.env['REJOIN_PG_BIN'])}/pg_rewind'`;
    const envFile = await withProgram(
      b,
      'pg_rewind',
      `case "$*" in *--dry-run*) exec ${rewind} "$@" ;; esac\nkill -s STOP $$\n`,
    );
    expect(await must(b.join(a, c, { REJOIN_NODE_ENV: envFile, REJOIN_JOIN_SECONDS: '10' }))).toMatchObject({
      joined: 'seeding',
    });
    await eventually('the rewind itself', 30, async () =>
      (await readdir(b.volume)).includes('.rejoin-rewinding') ? true : undefined,
    );
    await b.kill();
    expect((await b.script('start')).code).toBe(11);
    expect(await must(b.join(a, c))).toMatchObject({ joined: 'started', rewound: false, rebuilt: true });
    await sameRows(a, b);
  });

  it('data left in the middle of a rewind are not started, and are replaced when there is a donor', async () => {
    await must(b.script('stop'));
    await writeFile(join(b.volume, '.rejoin-rewinding'), '');
    const start = await b.script('start');
    expect([start.code, start.stderr]).toEqual([11, expect.stringContaining('in the middle of a rewind')]);
    expect((await b.script('prepare', { SOURCE: 'volume', VOLUME_ID: 'none' })).code).toBe(11);
    expect((await b.join(a)).code).toBe(50);
    expect(await must(b.join(a, c))).toMatchObject({ joined: 'started', rebuilt: true });
    await sameRows(a, b);
    expect(await readdir(b.volume)).not.toContain('.rejoin-rewinding');
  });

  it("another cluster's data that were moved aside stay when the replica streams", async () => {
    await must(b.script('stop'));
    await rm(b.data, { recursive: true });
    await foreignData(b.data);
    const prepared = await must(b.script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' }));
    await must(b.join(a, c));
    await sameRows(a, b);
    await eventually('the job gone', 10, async () =>
      (await processesOf([b.dir])).some((p) => p.name === 'sh') ? undefined : true,
    );
    expect(await readdir(String(prepared['aside']))).toContain('PG_VERSION');
    await rm(join(b.volume, '.rejoin-aside'), { recursive: true });
  });

  it('two joins at once: one base backup, one server, both answer', async () => {
    await makeBlank(b);
    const both = await Promise.all([b.join(a, c), b.join(a, c)]);
    expect(both.map((r) => [r.code, r.stderr])).toEqual([
      [0, ''],
      [0, ''],
    ]);
    expect(both.map((r) => r.json?.['joined']).sort()).toEqual(['already', 'started']);
    await sameRows(a, b);
  });

  it('the plane detaches the node while join looks at it: exit 34, and it follows nobody', async () => {
    await must(b.script('stop'));
    // Between the look at its own log and the primary's, the fence of a failover comes.
    const real = String(b.env['REJOIN_PG_BIN']);
    const local = `'${real}/psql' -X -q -h '${join(b.dir, 'db')}' -U postgres -d postgres`;
    const detach = `${local} -c "ALTER SYSTEM SET primary_conninfo = ''" -c "ALTER SYSTEM SET primary_slot_name = ''" -c 'SELECT pg_reload_conf()' >&2`;
    const envFile = await withProgram(
      b,
      'psql',
      `case "$*" in *rejoin-look*dbname=postgres*lsn=*) ${detach} ;; esac\nexec '${real}/psql' "$@"\n`,
    );
    const result = await b.join(a, c, { REJOIN_NODE_ENV: envFile });
    expect(result.code, result.stderr).toBe(34);
    expect(await b.sql('SHOW primary_conninfo')).toBe('');
    expect(await must(b.script('position'))).toMatchObject({ state: 'standby' });
    await must(b.join(a));
    await sameRows(a, b);
  });

  const killAfter = (
    host: Host,
    name: Script,
    parameters: Readonly<Record<string, string>>,
    ms: number,
  ): Promise<void> => {
    const given = Object.fromEntries(Object.entries(parameters).map(([k, v]) => [`REJOIN_PARAM_${k}`, v]));
    const child = spawn(join(SCRIPTS, `${name}.sh`), [], {
      env: { ...host.env, ...given },
      stdio: 'ignore',
      detached: true,
    });
    return new Promise((resolve) => {
      // As SSM ends a command that takes too long: the whole process group.
      const timer = setTimeout(() => signal(-(child.pid ?? 0), 'SIGKILL'), ms);
      child.once('exit', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  };

  it.each([20, 150, 500, 1200])('every script killed after %i ms, then run again', async (ms) => {
    await killAfter(b, 'stop', {}, ms);
    await must(b.script('stop'));
    await killAfter(b, 'start', {}, ms);
    await must(b.script('start'));
    await killAfter(b, 'join', joinParameters(a, c), ms);
    await must(b.join(a, c));
    await sameRows(a, b);
    await must(b.script('stop'));
    await killAfter(b, 'prepare', { SOURCE: 'peer', VOLUME_ID: 'none' }, ms);
    await must(b.script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' }));
    await killAfter(b, 'join', joinParameters(a, c), ms);
    await eventually('b streams', 30, async () => {
      const answer = await must(b.join(a, c));
      return answer['joined'] === 'seeding' ? undefined : true;
    });
    await sameRows(a, b);
  });

  it('a rewind that hangs on a primary which is no more is given up when join names the new one', async () => {
    await must(b.script('stop'));
    await must(b.script('start'));
    await b.sql('SELECT pg_promote()');
    await b.sql('INSERT INTO t VALUES (-2)');
    const envFile = await withProgram(b, 'pg_rewind', 'kill -s STOP $$\n');
    expect(await must(b.join(a, a, { REJOIN_NODE_ENV: envFile, REJOIN_JOIN_SECONDS: '8' }))).toMatchObject({
      joined: 'seeding',
    });
    expect(await must(b.join(a, a, { REJOIN_JOIN_SECONDS: '1' }))).toMatchObject({ joined: 'seeding' });
    await must(c.script('start'));
    await c.sql('SELECT pg_promote()');
    await makeSlots(c, [a, b]);
    const result = await b.join(c, c);
    expect(result.json, result.stderr).toMatchObject({ joined: 'started' });
    expect(result.stderr).toContain(`giving up the rewind to ${a.address}; ${c.address} is the primary now`);
    await sameRows(c, b);
  });
});

describe('control files that lag behind', () => {
  let set: HostSet;
  beforeAll(async () => {
    set = await makeHosts({ third: 7, count: 3 });
  });
  afterAll(() => set.dispose());

  it('a replica of the old primary is rewound, though its control file has never heard of the timeline it left', async () => {
    const [a, b, c] = set.hosts as [Host, Host, Host];
    await must(a.script('start'));
    // No checkpoint after the promotion: what large servers take minutes for.
    const checkpointer = await eventually('the checkpointer', 10, async () => {
      for (const { pid } of await processesOf([a.dir]))
        if ((await readFile(`/proc/${pid}/cmdline`, 'utf8')).startsWith('postgres: checkpointer')) return pid;
      return undefined;
    });
    await freeze([checkpointer]);
    await a.sql('SELECT pg_promote()');
    await makeSlots(a, [b, c]);
    for (const host of [b, c]) await must(host.join(a));
    await a.sql('CREATE TABLE t (id int)');
    await sameRows(a, c);
    await c.sql("ALTER SYSTEM SET primary_conninfo = ''");
    await c.sql('SELECT pg_reload_conf()');
    await eventually('c cut off', 10, async () =>
      (await c.sql('SELECT count(*) FROM pg_stat_wal_receiver')) === '0' ? true : undefined,
    );
    await a.sql('INSERT INTO t VALUES (1)');
    await sameRows(a, b);
    await c.sql('SELECT pg_promote()');
    await makeSlots(c, [b]);
    expect(await must(b.script('position'))).toMatchObject({ timeline: 2, state: 'streaming' });
    expect(await b.sql('SELECT timeline_id FROM pg_control_checkpoint()')).toBe('1');
    expect(await must(b.join(c))).toMatchObject({ joined: 'started', rewound: true, rebuilt: false, timeline: 3 });
    expect(await sameRows(c, b)).toBe(0);
  });
});

describe('a receiver that waits for its next order', () => {
  let set: HostSet;
  beforeAll(async () => {
    set = await makeHosts({ third: 19, count: 2 });
  });
  afterAll(() => set.dispose());

  it('an old primary that was told to follow what its history has left comes to rest, and is rewound', async () => {
    const [a, b] = set.hosts as [Host, Host];
    await startCluster([a, b]);
    await a.sql('CREATE TABLE t (id int)');
    await sameRows(a, b);
    await b.sql("ALTER SYSTEM SET primary_conninfo = ''");
    await b.sql('SELECT pg_reload_conf()');
    await a.sql('INSERT INTO t VALUES (1)'); // nobody else has it
    await a.kill();
    await b.sql('SELECT pg_promote()');
    await makeSlots(b, [a]);
    await must(a.script('start'));
    await a.sql(`ALTER SYSTEM SET primary_slot_name = '${a.slot}'`);
    const upstream = `host=${b.address} port=5432 user=${POSTGRES_ACCOUNTS.replication.user} application_name=${a.id}`;
    const told = async (conninfo: string): Promise<void> => {
      await a.sql(`ALTER SYSTEM SET primary_conninfo = '${conninfo}'`);
      await a.sql('SELECT pg_reload_conf()');
    };
    const receiver = (): Promise<string> => a.sql('SELECT status FROM pg_stat_wal_receiver');
    const waits = async (): Promise<true | undefined> => ((await receiver()) === 'waiting' ? true : undefined);
    // PostgreSQL forgets the receiver when it is told in the half second between two of its tries: so it is told until it does.
    await eventually('a receiver that stays without an upstream', 60, async () => {
      await told(upstream);
      await eventually('a receiver that waits', 20, waits);
      await told('');
      const ended = eventually('the end of it', 2, async () => ((await receiver()) === '' ? true : undefined));
      return ended.then(
        () => undefined,
        () => true,
      );
    });
    expect(await must(a.join(b, null, { REJOIN_START_SECONDS: '15' }))).toMatchObject({
      rewound: true,
      rebuilt: false,
    });
    await sameRows(b, a);
  });
});
