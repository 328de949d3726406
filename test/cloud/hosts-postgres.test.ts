/** The same hosts with PostgreSQL: a primary and its replicas, the faults that a rehearsal injects, and a broken network. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TerminateInstancesCommand } from '@aws-sdk/client-ec2';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { databaseProber } from '../../lambdas/engines/prober.ts';
import type { PostgresStatus } from '../../lambdas/model/postgres.ts';
import { startDirectWriters, type DirectAcknowledgement } from '../../rehearsal/client/direct.ts';
import { openPostgres } from '../../rehearsal/client/sessions/postgres.ts';
import { startCloud, type Cloud } from '../../rehearsal/cloud/cloud.ts';
import { statusOf } from '../../rehearsal/engines/postgres-state.ts';
import { postgresEngine } from '../../rehearsal/engines/postgres.ts';
import { runScript } from '../../rehearsal/engines/scripts.ts';
import { runAsPostgres } from '../../rehearsal/host/postgres-template.ts';
import { overlapping } from '../../rehearsal/judge.ts';
import { installPartitions, type Partitions } from '../../rehearsal/partition.ts';
import { listens, startFleet, until, type Fleet } from './hosts-harness.ts';

const OCTET = 209;
const engine = postgresEngine({ durability: 'quorum', maxLagBytes: 16_777_216, nodes: 3 });
const prober = databaseProber({ deadlineMs: 700 });
let dir: string;
let cloud: Cloud;
let fleet: Fleet;
/** The packet filter is root's. */
const isRoot = process.getuid?.() === 0;
let partitions: Partitions | null = null;
let ids: string[] = [];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rp-'));
  await chmod(dir, 0o755);
  if (isRoot) partitions = await installPartitions({ octet: OCTET, cidr: `127.${OCTET}.0.0/16` });
  cloud = await startCloud({ workDir: dir, delays: { eventMs: 0, bootMs: 100, shutdownMs: 20_000, forceStopMs: 100 } });
  const mini = {
    moto: cloud.moto,
    config: cloud.adminConfig,
    rootDir: dir,
    requests: [],
    events: [],
    use: (i: Parameters<Cloud['use']>[0]) => void cloud.use(i),
    onEvent: (e: Parameters<Cloud['emit']>[0]) => cloud.emit(e),
    stop: () => cloud.stop(),
  };
  fleet = await startFleet(
    mini,
    { octet: OCTET, third: 128 },
    {
      delays: cloud.delays,
      databasePort: engine.port,
      prepareHost: (facts) => engine.prepareHost(facts),
      isDatabase: (p) => p.name === 'postgres',
    },
  );
  ids = [await fleet.launch(), await fleet.launch(), await fleet.launch()];
  await engine.startCluster(fleet.hosts, ids);
});

afterAll(async () => {
  await prober.close();
  await fleet?.hosts.stop();
  await partitions?.remove();
  await cloud?.stop();
  await rm(dir, { recursive: true, force: true });
  expect(fleet.hosts.failures()).toEqual([]);
});

afterEach(() => partitions?.heal());

const look = async (id: string): Promise<PostgresStatus | null> => {
  const target = { instanceId: id, host: fleet.hosts.ip(id), port: engine.port, engine: engine.kind };
  return statusOf(await prober.probe(target, engine.probeUser));
};
/** As the superuser, over the host's socket. */
const sql = (id: string, ...statements: string[]): Promise<string> =>
  runAsPostgres('psql', [
    ...['-X', '-q', '-A', '-t', '-U', 'postgres', '-h', fleet.hosts.environment(id)['REJOIN_SOCKET'] ?? ''],
    ...statements.flatMap((s) => ['-c', s]),
  ]);
const streamsFrom = async (id: string): Promise<string | null> => {
  const status = await look(id);
  return status?.receiver?.status === 'streaming' ? status.receiver.senderHost : null;
};
const replicas = (): [string, string] => [ids[1] ?? '', ids[2] ?? ''];
const primary = (): string => ids[0] ?? '';

describe('PostgreSQL on emulated hosts', () => {
  it('is a primary with two replicas that stream from it, each with its slot', async () => {
    const status = await look(primary());
    expect(status?.inRecovery).toBe(false);
    expect(status?.slots.map((s) => s.active)).toEqual([true, true]);
    for (const id of replicas()) expect(await streamsFrom(id)).toBe(fleet.hosts.ip(primary()));
  });

  it('knows every process of a host though they write over their environment', async () => {
    const names = (await fleet.hosts.processes(primary())).map((p) => p.name);
    expect(names.length).toBeGreaterThan(5);
    expect(new Set(names)).toEqual(new Set(['postgres']));
  });

  it('is frozen with all its processes, and thawed', async () => {
    const [id] = replicas();
    expect((await fleet.hosts.freeze(id)).length).toBeGreaterThan(3);
    expect(await listens(fleet.hosts.ip(id), engine.port)).toBe(true);
    expect(await look(id)).toBeNull();
    await fleet.hosts.thaw(id);
    await until('it answers again', () => look(id));
  });

  it.runIf(isRoot)(
    'is cut off from one replica, from all, or from everybody but them, on connections that stand',
    async () => {
      if (partitions === null) throw new Error('the packet filter is not installed');
      const [one, other] = replicas();
      const address = fleet.hosts.ip(primary());
      const hears = async (id: string): Promise<boolean> =>
        ((await look(id))?.receiver?.lastMessageAgoMs ?? 1e9) < 3000;
      const deaf = (id: string): Promise<unknown> =>
        until(`${id} hears nothing`, async () => !(await hears(id)), 15_000);

      await partitions.cut({ group: engine.groupOf(one) }, address);
      await deaf(one);
      await until('the other hears the primary', () => hears(other));
      await until('the primary answers', () => look(primary()));

      await partitions.heal();
      await until('it streams again', () => streamsFrom(one), 15_000);
      await partitions.cut('others', address);
      expect(await look(primary())).toBeNull();
      for (const id of [one, other]) await until(`${id} hears the primary`, () => hears(id));

      await partitions.heal();
      await until('the primary answers again', () => look(primary()), 15_000);
      await partitions.cut('servers', address);
      await Promise.all([deaf(one), deaf(other)]);
      await until('the primary answers', () => look(primary()));
      await partitions.heal();
      for (const id of replicas()) await until('it streams again', () => streamsFrom(id), 20_000);
    },
  );

  it('does not count as acknowledged what was committed while the wait for standbys was called off', async () => {
    await sql(
      primary(),
      `ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ("i-nobody")'`,
      'SELECT pg_reload_conf()',
    );
    const session = await openPostgres({ host: fleet.hosts.ip(primary()), port: engine.port }, engine.app, 1000);
    try {
      const outcome = session.insert(1).then(
        () => 'acknowledged',
        (error: unknown) => String(error),
      );
      const called = `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`;
      await until('the wait is called off', async () => (await sql(primary(), called)).trim() === 't');
      expect(await outcome).toMatch(/committed with a warning, so not acknowledged/);
    } finally {
      session.destroy();
      await sql(primary(), 'ALTER SYSTEM RESET synchronous_standby_names', 'SELECT pg_reload_conf()');
    }
  });

  it('lets the application delete what was compared, as a soak does', async () => {
    const address = fleet.hosts.ip(primary());
    await engine.query(address, 'INSERT INTO writes (id, at_ms) VALUES (7001, 1), (7002, 1)');
    await engine.query(address, "INSERT INTO direct (node, sequence, at_ms) VALUES ('i-x', 1, 1)");
    await engine.query(address, 'DELETE FROM writes WHERE id <= 7001');
    await engine.query(address, 'DELETE FROM direct WHERE at_ms <= 1');
    expect(await engine.query(address, 'SELECT id FROM writes WHERE id > 7000')).toEqual([{ id: '7002' }]);
    expect(await engine.query(address, "SELECT * FROM direct WHERE node = 'i-x'")).toEqual([]);
  });

  it('shows a split brain to the direct writers: a replica that is promoted beside a primary that nobody has fenced', async () => {
    const [id] = replicas();
    const acknowledged: DirectAcknowledgement[] = [];
    const writers = startDirectWriters(openPostgres, engine.app, (a) => acknowledged.push(a));
    try {
      writers.write([primary(), id].map((node) => ({ id: node, host: fleet.hosts.ip(node), port: engine.port })));
      const by = (node: string): number => acknowledged.filter((a) => a.node === node).length;
      await until('the primary acknowledges, and it alone', () => by(primary()) > 10);
      expect(by(id)).toBe(0);
      expect(overlapping(acknowledged, [primary()])).toEqual([]);
      await sql(id, 'SELECT pg_promote()');
      const before = by(primary());
      await until('both acknowledge', () => by(id) > 10 && by(primary()) > before + 10);
    } finally {
      writers.stop();
    }
    expect(overlapping(acknowledged, [primary(), id])).not.toEqual([]);
  });

  it('shuts down cleanly when its instance terminates, and its volume keeps the data', async () => {
    const [, id] = replicas();
    await fleet.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    await until('terminated', () => fleet.hosts.get(id)!.state === 'terminated', 30_000);
    expect(await fleet.hosts.processes(id)).toEqual([]);
  });

  it('crashes alone, leaves no process behind, and comes up as a standby', async () => {
    const id = primary();
    await fleet.hosts.crash(id);
    await until('nobody listens', async () => !(await listens(fleet.hosts.ip(id), engine.port)));
    await until('no process is left', async () => (await fleet.hosts.processes(id)).length === 0);
    expect(fleet.hosts.get(id)).toMatchObject({ state: 'running', online: true });
    await runScript(fleet.hosts, 'postgres', id, 'start');
    expect(await look(id)).toMatchObject({ inRecovery: true, receiver: null });
  });

  it('dies with the power, and does not start by itself when the host has booted', async () => {
    const [id] = replicas();
    await fleet.hosts.powerLoss([id]);
    expect(await fleet.hosts.processes(id)).toEqual([]);
    await until('booted', () => fleet.hosts.get(id)!.online);
    expect(await listens(fleet.hosts.ip(id), engine.port)).toBe(false);
  });
});
