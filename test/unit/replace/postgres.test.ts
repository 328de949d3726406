/** The replacement workflow with PostgreSQL, against a streaming cluster in memory. */
import { describe, expect, it } from 'vitest';
import type { RecoveryInput } from '../../../lambdas/model/recovery.ts';
import { slotOf } from '../../../lambdas/model/postgres.ts';
import type { Instance } from '../../../lambdas/model/view.ts';
import { READER_GROUP } from '../../fakes/index.ts';
import type { FakePostgres } from '../../fakes/postgres.ts';
import { POSTGRES } from '../../support/postgres-side.ts';
import { EXECUTION, World, failed } from '../../support/recovery-world.ts';
import type { Kill } from '../../support/recovery-world.ts';
import { replacement } from '../../../lambdas/replace/steps.ts';
import { INCIDENT, run } from './run.ts';

const postgresWorld = (): World => new World({ engine: POSTGRES });

function fakeOf({ postgres }: World): FakePostgres {
  if (postgres === null) throw new Error('the world has no PostgreSQL');
  return postgres.fake;
}

/** After a failover: the old primary is down with writes that nobody else has, the ledger names the new one. */
async function failedOver(world: World): Promise<{ readonly old: Instance; readonly primary: Instance }> {
  const fake = fakeOf(world);
  const [old, primary, other] = [world.node(0), world.node(1), world.node(2)];
  const credentials = { user: 'rejoin', password: 'secret' };
  const target = (i: Instance) => ({ instanceId: i.id, host: i.privateIp ?? '', port: 5432 });
  for (const { id } of [primary, other]) fake.hold(id);
  fake.write();
  fake.crash(old.id);
  for (const { id } of [primary, other]) fake.hold(id, false);
  await fake.setSlots(target(primary), credentials, { create: [slotOf(other.id)], drop: [] });
  await fake.promote(target(primary), credentials);
  const upstream = { host: primary.privateIp ?? '', port: 5432, user: 'rejoin_replication', slot: slotOf(other.id) };
  await fake.follow(target(other), credentials, upstream);
  world.setLedger({ writer: primary.id, sync: null });
  world.postgres?.upkeep(null);
  expect(world.serving()).toEqual([primary.id, other.id]);
  return { old, primary };
}

interface Lost {
  readonly mode: RecoveryInput['mode'];
  readonly node: Instance | null;
  readonly launches: number;
}

const scenarios: Readonly<Record<string, (world: World) => Lost | Promise<Lost>>> = {
  'a crashed replica is started again in place': (world) => {
    world.dies(world.node(2).id);
    return { mode: 'rejoin', node: world.node(2), launches: 0 };
  },
  'an old primary is rewound in place': async (world) => ({
    mode: 'rejoin',
    node: (await failedOver(world)).old,
    launches: 0,
  }),
  'an old primary that cannot be rewound gets a base backup in place': async (world) => {
    const { old } = await failedOver(world);
    fakeOf(world).cannotRewind.add(old.id);
    return { mode: 'rejoin', node: old, launches: 0 };
  },
  'a rejoin that fails becomes a replacement': (world) => {
    world.dies(world.node(2).id);
    world.fails = (document, id) =>
      document === 'postgres-join' && id === world.node(2).id ? failed('disk is broken') : null;
    return { mode: 'rejoin', node: world.node(2), launches: 1 };
  },
  'an old primary that cannot be rewound, and whose base backup fails, is replaced and its disk given back': async (
    world,
  ) => {
    const { old } = await failedOver(world);
    fakeOf(world).cannotRewind.add(old.id);
    world.fails = (document, id) =>
      document === 'postgres-prepare' && id === old.id ? failed('the disk is worn out') : null;
    return { mode: 'rejoin', node: old, launches: 1 };
  },
  'a terminated replica is replaced, its volume survives': (world) => {
    world.terminates(world.node(2).id);
    return { mode: 'replace', node: world.node(2), launches: 1 };
  },
  'a hung replica is stopped, then replaced with its volume': (world) => {
    world.dies(world.node(2).id, 'silent');
    return { mode: 'replace', node: world.node(2), launches: 1 };
  },
  'a missing replica is added by a base backup of minutes': (world) => {
    world.aws.instances.delete(world.node(2).id);
    for (const v of world.node(2).volumes) world.aws.volumes.delete(v.volumeId);
    fakeOf(world).servers.delete(world.node(2).id);
    fakeOf(world).seedMs = 60_000;
    return { mode: 'add', node: null, launches: 1 };
  },
};

function expectWhole(world: World, where = ''): void {
  const loose = [...world.aws.volumes.values()].filter((v) => v.attachedTo === null);
  expect(loose, where).toEqual([]);
  const fake = fakeOf(world);
  const { claim, escalation, writer } = world.ledger();
  expect(claim, where).toBeNull();
  expect(escalation, where).toBeNull();
  const live = [...world.aws.instances.values()].filter((i) => i.state === 'running').map((i) => i.id);
  expect(live, where).toHaveLength(3);
  expect([...world.serving()].sort(), where).toEqual(live.sort());
  expect(fake.primaries(), where).toEqual([writer]);
  expect(fake.problems(writer), where).toEqual([]);
  for (const id of live) {
    expect(world.aws.targetGroups.get(READER_GROUP)?.targets.get(`${id}:5432`)?.state, where).toBe('healthy');
  }
}

describe('the replacement workflow brings a PostgreSQL cluster back', () => {
  it.each(Object.entries(scenarios))('%s', async (_, arrange) => {
    const world = postgresWorld();
    fakeOf(world).write();
    const { mode, node, launches } = await arrange(world);
    const ended = await run(world, mode, node);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(ended.visited.at(-1)).toBe('Done');
    expectWhole(world);
    expect(world.launched()).toHaveLength(launches);
    expect(world.aws.published).toHaveLength(1);
  });

  it.each(Object.entries(scenarios))(
    'a Lambda killed before or after any call: %s all the same, launches nothing twice',
    async (_, arrange) => {
      const whole = postgresWorld();
      const first = await arrange(whole);
      await run(whole, first.mode, first.node);
      for (let call = 1; call <= whole.calls; call += 1) {
        for (const moment of ['before', 'after'] as const) await survives(arrange, { call, moment });
      }
    },
    120_000,
  );

  async function survives(arrange: (typeof scenarios)[string], kill: Kill): Promise<void> {
    const world = postgresWorld();
    const { mode, node, launches } = await arrange(world);
    world.killAt(kill);
    const ended = await run(world, mode, node);
    const where = `${JSON.stringify(kill)}: ${JSON.stringify(ended.errors)}`;
    expect(
      ended.errors.some((e) => e.name === 'Runtime.ExitError'),
      where,
    ).toBe(true);
    expect(ended.status, where).toBe('SUCCEEDED');
    expect(world.launched(), where).toHaveLength(launches);
    expectWhole(world, where);
  }
});

describe('the join', () => {
  const joins = (world: World) => world.aws.callsOf('HostCommands.start').filter((c) => c.args[1] === 'postgres-join');

  it('names the primary, a replica as donor, and the replication user; the slot is made before', async () => {
    const world = postgresWorld();
    world.terminates(world.node(2).id);
    let slotAtJoin = false;
    world.onCall = (call) => {
      if (call.operation !== 'HostCommands.start' || call.args[1] !== 'postgres-join') return;
      slotAtJoin =
        fakeOf(world)
          .server(world.node(0).id)
          .disk?.slots.has(slotOf(String(call.args[0]))) ?? false;
    };
    await run(world, 'replace', world.node(2));
    expect(joins(world)[0]?.args[2]).toEqual({
      Primary: world.node(0).privateIp,
      PrimaryPort: '5432',
      Donor: world.node(1).privateIp,
      ReplicationUser: 'rejoin_replication',
    });
    expect(slotAtJoin).toBe(true);
  });

  it('makes no slot where the specification wants none', async () => {
    const world = new World({ engine: { ...POSTGRES, slots: 'none' } });
    world.dies(world.node(2).id);
    const ended = await run(world, 'rejoin', world.node(2));
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.aws.callsOf('PostgresAdmin.setSlots')).toEqual([]);
  });

  it('is tried again when the script says that it passes', async () => {
    const world = postgresWorld();
    world.dies(world.node(2).id);
    let left = 3;
    world.fails = (document) => {
      if (document !== 'postgres-join' || left === 0) return null;
      left -= 1;
      return { kind: 'failed', exitCode: 52, output: '', error: 'the primary does not answer' };
    };
    const ended = await run(world, 'rejoin', world.node(2));
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(joins(world)).toHaveLength(4);
    expect(world.launched()).toEqual([]);
  });

  it("another database's data are left to a person: nothing is stopped, moved or launched", async () => {
    const world = postgresWorld();
    world.dies(world.node(2).id);
    world.fails = (document) =>
      document === 'postgres-join' ? { kind: 'failed', exitCode: 51, output: '', error: 'another database' } : null;
    const ended = await run(world, 'rejoin', world.node(2));
    expect(ended.status).toBe('FAILED');
    expect(world.ledger().escalation?.reason).toContain('another database');
    expect(world.aws.callsOf('Instances.stop')).toEqual([]);
    expect(world.launched()).toEqual([]);
    const documents = world.aws.callsOf('HostCommands.start').map((c) => c.args[1]);
    expect(new Set(documents)).toEqual(new Set(['postgres-join']));
  });

  it('a replica that runs and gets nothing is rebuilt in place', async () => {
    const world = postgresWorld();
    const fake = fakeOf(world);
    const { id } = world.node(2);
    world.dies(id);
    let first = true;
    world.onCall = (call) => {
      // The slot goes as soon as the join has ended: the primary has removed what the replica needs.
      if (call.operation !== 'HostCommands.state' || !first) return;
      first = false;
      fake.server(world.node(0).id).disk?.slots.delete(slotOf(id));
      for (let i = 0; i < 20; i += 1) fake.write();
    };
    const ended = await run(world, 'rejoin', world.node(2));
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(ended.errors.map((e) => `${e.state} ${e.name}`)).toEqual(['AwaitRejoined SeedFailed']);
    expect(ended.visited).toContain('Reseed');
    expect(world.launched()).toEqual([]);
    expect(world.serving()).toContain(id);
  });

  it('a disk on which a node could not be rebuilt is not given to its replacement', async () => {
    const world = postgresWorld();
    const { old } = await failedOver(world);
    fakeOf(world).cannotRewind.add(old.id);
    world.fails = (document, id) => (document === 'postgres-prepare' && id === old.id ? failed('worn out') : null);
    const ended = await run(world, 'rejoin', old);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    const [joiner] = world.launched();
    const ids = (i: Instance | undefined) => i?.volumes.filter((v) => v.device === '/dev/sdf').map((v) => v.volumeId);
    expect(ids(joiner)).toHaveLength(1);
    expect(ids(joiner)).not.toEqual(ids(old));
    expect(world.aws.volumes.has(ids(old)?.[0] ?? '')).toBe(false);
  });

  it('a base backup that died is no longer waited for', async () => {
    const world = postgresWorld();
    const fake = fakeOf(world);
    world.terminates(world.node(2).id);
    for (const v of world.node(2).volumes) world.aws.volumes.delete(v.volumeId);
    fake.seedMs = 3_600_000;
    const startedMs = world.aws.clock.nowMs();
    world.onCall = () => {
      const [joiner] = world.launched();
      if (joiner === undefined || world.aws.clock.nowMs() < startedMs + 120_000) return;
      fake.crash(joiner.id);
    };
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status).toBe('FAILED');
    expect(world.ledger().escalation?.reason).toContain('JoinFailed: the database process on');
    expect(world.aws.clock.nowMs() - startedMs).toBeLessThan(600_000);
  });
});

describe('safety with PostgreSQL', () => {
  it.each(['rejoin', 'replace', 'roll'] as const)('rule 2: mode %s never touches the primary', async (mode) => {
    const world = postgresWorld();
    const { id } = world.node(0);
    // Only the plane cannot reach it: its replicas can, and it acknowledges writes.
    if (mode !== 'roll') fakeOf(world).cut(id, { plane: true });
    await run(world, mode, world.node(0));
    expect(world.aws.callsOf('Instances.stop')).toEqual([]);
    expect(world.aws.callsOf('HostCommands.start')).toEqual([]);
    expect(world.launched()).toEqual([]);
    expect(fakeOf(world).primaries()).toEqual([id]);
    expect(world.ledger().claim).toBeNull();
  });

  it.each(['Join', 'Reseed', 'RejoinInPlace', 'Drain', 'StopDatabase'])(
    'rule 2: step %s leaves a node alone that has become the writer on the way',
    async (step) => {
      const world = postgresWorld();
      const { id } = world.node(0);
      const holder = { execution: EXECUTION, incident: INCIDENT, mode: 'rejoin', node: id } as const;
      world.setLedger({ claim: { ...holder, joiner: id, donor: null, launch: null, claimedAtMs: 0 } });
      const state = { cluster: 'orders', incident: INCIDENT, mode: 'rejoin', node: id, joiner: id, reason: 'test' };
      const error = { Error: 'SeedFailed', Cause: 'no use' };
      const started = new Date(world.aws.clock.nowMs()).toISOString();
      const event = { step, execution: EXECUTION, started, state: { ...state, error } };
      const ended = await world.invoke(replacement, event).catch((thrown: unknown) => thrown);
      if (step === 'RejoinInPlace') expect(ended).toMatchObject({ path: 'finished' });
      else expect(String(ended)).toMatch(/^QuorumAtRisk: .*it is the primary/);
      expect(world.aws.callsOf('HostCommands.start')).toEqual([]);
    },
  );

  it.each(['refused', 'silent', 'unreachable'] as const)(
    'rule 5: gives way to a failover when the primary is lost (%s): the claim is free within seconds, the base backup goes on',
    async (kind) => {
      const world = postgresWorld();
      const fake = fakeOf(world);
      world.terminates(world.node(2).id);
      for (const v of world.node(2).volumes) world.aws.volumes.delete(v.volumeId);
      fake.seedMs = 3_600_000;
      const startedMs = world.aws.clock.nowMs();
      let lostMs = 0;
      world.onCall = () => {
        if (lostMs > 0 || world.aws.clock.nowMs() < startedMs + 300_000) return;
        lostMs = world.aws.clock.nowMs();
        world.dies(world.node(0).id, kind);
      };
      const ended = await run(world, 'replace', world.node(2));
      expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
      expect(ended.visited.at(-1)).toBe('Withdrawn');
      expect(lostMs).toBeGreaterThan(0);
      expect(world.aws.clock.nowMs() - lostMs).toBeLessThan(25_000);
      expect(world.ledger()).toMatchObject({ claim: null, escalation: null });
      expect(world.launched().map((i) => i.state)).toEqual(['running']);
      expect(world.record(INCIDENT).some((l) => l.startsWith('withdraws: the primary of orders does not answer'))).toBe(
        true,
      );
      expect(world.aws.published).toEqual([]);
    },
  );

  it('one look that fails is no lost primary', async () => {
    const world = postgresWorld();
    world.dies(world.node(2).id);
    const fake = fakeOf(world);
    const probe = fake.probe.bind(fake);
    let failures = 0;
    fake.probe = (target, credentials) => {
      if (target.instanceId !== world.node(0).id || failures > 0) return probe(target, credentials);
      failures += 1;
      return Promise.resolve({ kind: 'unreachable', atMs: world.aws.clock.nowMs(), tookMs: 1, detail: 'once' });
    };
    const ended = await run(world, 'rejoin', world.node(2));
    expect(ended.visited.at(-1), JSON.stringify(ended.errors)).toBe('Done');
    expect(failures).toBe(1);
  });

  it('rule 6: a hung replica is not stopped while the primary alone would be left to be seen', async () => {
    const world = postgresWorld();
    const fake = fakeOf(world);
    world.dies(world.node(2).id, 'silent');
    world.onCall = (call) => {
      // The last look before the stop finds a primary that has become a standby.
      if (call.operation === 'Ledger.record' && String(call.args[2]).includes('claim')) return;
      if (call.operation === 'Instances.byIds') Object.assign(fake.server(world.node(0).id), { recovering: true });
    };
    await run(world, 'replace', world.node(2));
    expect(world.aws.callsOf('Instances.stop')).toEqual([]);
  });
});
