/** The same hosts with the real thing: MariaDB Galera on them, and the real gateway in front. */
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TerminateInstancesCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCloud, type Cloud } from '../../rehearsal/cloud/cloud.ts';
import { prepareHostDir } from '../../rehearsal/host/galera-host.ts';
import { galeraEngine } from '../../rehearsal/engines/galera.ts';
import { listens, PORT, startFleet, until, type Fleet } from './hosts-harness.ts';

const startCluster = (hosts: Fleet['hosts'], ids: readonly string[]): Promise<void> =>
  galeraEngine().startCluster(hosts, ids);
let dir: string;
let cloud: Cloud;
let fleet: Fleet;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rm-'));
  await chmod(dir, 0o755);
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
    { octet: 208, third: 128 },
    {
      delays: cloud.delays,
      prepareHost: (facts) => prepareHostDir(facts),
      isDatabase: (p) => p.name === 'mariadbd',
    },
  );
});

afterAll(async () => {
  await fleet.hosts.stop();
  expect(fleet.hosts.failures()).toEqual([]);
  await cloud.stop();
  await rm(dir, { recursive: true, force: true });
});

/** Does the server send its greeting within the time. */
const greets = (address: string, withinMs: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(PORT, address);
    const done = (answer: boolean) => () => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(withinMs, done(false));
    socket.once('data', done(true));
    socket.once('error', done(false));
  });

const grastate = (volume: string): string => readFileSync(join(fleet.hosts.volumePath(volume), 'grastate.dat'), 'utf8');

describe('MariaDB on an emulated host', () => {
  it('is frozen and thawed, and leaves its position on the volume when the instance terminates', async () => {
    const id = await fleet.launch();
    const address = fleet.hosts.ip(id);
    await startCluster(fleet.hosts, [id]);
    expect((await fleet.hosts.processes(id)).map((p) => p.name)).toEqual(['mariadbd']);
    expect(await greets(address, 5000)).toBe(true);

    await fleet.hosts.freeze(id);
    expect(await listens(address, PORT)).toBe(true);
    expect(await greets(address, 300)).toBe(false);
    await fleet.hosts.thaw(id);
    expect(await greets(address, 5000)).toBe(true);

    const mappings = (await fleet.describe(id)).BlockDeviceMappings!;
    const volume = mappings.find((m) => m.DeviceName === '/dev/sdf')!.Ebs!.VolumeId!;
    expect(grastate(volume)).toMatch(/seqno: +-1/);
    await fleet.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    await until('terminated', () => fleet.hosts.get(id)!.state === 'terminated', 30_000);
    expect(grastate(volume)).toMatch(/seqno: +\d+/);
    expect(await fleet.hosts.processes(id)).toEqual([]);
  });

  it('crashes alone, and dies with the power', async () => {
    const id = await fleet.launch();
    await startCluster(fleet.hosts, [id]);
    await fleet.hosts.crash(id);
    await until('nobody listens', async () => !(await listens(fleet.hosts.ip(id), PORT)));
    expect(fleet.hosts.get(id)).toMatchObject({ state: 'running', online: true });

    const other = await fleet.launch(1);
    await startCluster(fleet.hosts, [other]);
    await fleet.hosts.powerLoss([other]);
    expect(await fleet.hosts.processes(other)).toEqual([]);
    await until('booted', () => fleet.hosts.get(other)!.online);
    expect(await listens(fleet.hosts.ip(other), PORT)).toBe(false);
  });
});
