/** The whole loop for a PostgreSQL cluster, over the fakes and a model of the servers. */
import { describe, expect, it } from 'vitest';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import { slotOf } from '../../../lambdas/model/postgres.ts';
import { reconcile } from '../../../lambdas/reconcile/reconcile.ts';
import { READER_GROUP, WRITER_GROUP } from '../../fakes/index.ts';
import { CREDENTIALS, postgresCloud } from './postgres-cloud.ts';
import type { PostgresCloud } from './postgres-cloud.ts';

const MUTATING =
  /register|upsert|set|open|close|record|claim|note|engage|release|start|publish|ensure|send|launch|stop|terminate/i;
const AWS = /^(Specs|Instances|TargetGroups|DnsZones|Ledger|Workflows|Notifications|ReconcileRequests)\./;

const ledgerOf = ({ cloud }: PostgresCloud) => {
  const found = cloud.aws.ledgers.get('orders');
  if (found === undefined) throw new Error('the cluster has a ledger');
  return found;
};
const namesOf = ({ pg, a }: PostgresCloud): string => pg.status(a).synchronousStandbyNames;
const called = ({ cloud }: PostgresCloud, operation: string): number => cloud.aws.callsOf(operation).length;
const startedModes = ({ cloud }: PostgresCloud): readonly string[] =>
  [...cloud.aws.executions.values()].map((e) => e.input.mode);

/** Reconciles each second for so long, while a client writes. */
async function goOn(world: PostgresCloud, seconds: number): Promise<void> {
  for (let i = 0; i < seconds; i += 1) {
    world.pg.write();
    await reconcile('orders', world.ports);
    await world.cloud.clock.sleep(1000);
  }
}

const targetsOf = ({ cloud }: PostgresCloud, group: string): string[] =>
  [...(cloud.aws.targetGroups.get(group)?.targets.values() ?? [])]
    .filter((t) => t.state !== 'draining')
    .map((t) => t.id)
    .sort();

describe('a healthy PostgreSQL cluster', () => {
  it('costs six AWS calls, and nothing is changed, on AWS or on a node', async () => {
    const world = await postgresCloud();
    expect(await reconcile('orders', world.ports)).toEqual({ kind: 'done' });
    const calls = world.cloud.aws.calls.map((x) => x.operation).filter((o) => AWS.test(o));
    expect(calls).toHaveLength(6);
    expect(calls.filter((o) => MUTATING.test(o.split('.')[1] ?? ''))).toEqual([]);
    expect(world.cloud.aws.calls.filter((x) => x.operation.startsWith('PostgresAdmin'))).toEqual([]);
  });
});

describe('the acknowledgements', () => {
  it('of a cluster that is taken over are set, and proven, in a few looks', async () => {
    const world = await postgresCloud();
    await world.pg.setSync(world.targetOf(world.a), CREDENTIALS, null, '');
    world.cloud.aws.ledgers.set('orders', { ...ledgerOf(world), writer: null, sync: null });
    await goOn(world, 6);
    expect(ledgerOf(world)).toMatchObject({ writer: world.a, incident: null });
    expect(ledgerOf(world).sync).toEqual({ sets: [{ need: 1, standbys: [world.b, world.c] }], barrierLsn: null });
    expect(namesOf(world)).toBe(`ANY 1 ("${world.b}", "${world.c}")`);
    expect(await reconcile('orders', world.ports)).toEqual({ kind: 'done' });
  });

  it('are not waited for from a replica that is gone, and again when it is back', async () => {
    const world = await postgresCloud();
    world.pg.crash(world.c);
    await goOn(world, 4);
    expect(namesOf(world)).toBe(`ANY 1 ("${world.b}")`);
    expect(startedModes(world)).toEqual(['rejoin']);
    world.pg.boot(world.c);
    await goOn(world, 6);
    expect(namesOf(world)).toBe(`ANY 1 ("${world.b}", "${world.c}")`);
    expect(ledgerOf(world).sync?.sets).toHaveLength(1);
    expect(ledgerOf(world).incident).toBeNull();
    expect(world.pg.journal.length).toBeGreaterThanOrEqual(9);
  });

  it('are in the ledger before they are on the primary', async () => {
    const world = await postgresCloud();
    world.pg.crash(world.c);
    let known: unknown = null;
    world.cloud.aws.before = async (call) => {
      if (call.operation === 'PostgresAdmin.setSync') known = ledgerOf(world).sync?.sets;
    };
    await goOn(world, 4);
    expect(known).toEqual([
      { need: 1, standbys: [world.b, world.c] },
      { need: 1, standbys: [world.b] },
    ]);
  });

  it('stay as they are when the ledger could not be written, or another hand was there', async () => {
    const world = await postgresCloud();
    world.pg.crash(world.c);
    await goOn(world, 2);
    world.cloud.aws.failNext('Ledger.setSync', new CloudUnavailable('throttled'));
    world.cloud.aws.calls.length = 0;
    await reconcile('orders', world.ports);
    expect(called(world, 'PostgresAdmin.setSync')).toBe(0);

    const other = await postgresCloud();
    other.pg.crash(other.c);
    await goOn(other, 2);
    other.cloud.aws.before = async (call) => {
      // Between the look and the act a person sets something else.
      if (call.operation !== 'Ledger.setSync') return;
      await other.pg.setSync(other.targetOf(other.a), CREDENTIALS, null, `ANY 1 ("${other.c}")`);
    };
    const outcome = await reconcile('orders', other.ports);
    expect(outcome).toMatchObject({ kind: 'requeueAfter', seconds: 1 });
    expect(namesOf(other)).toBe(`ANY 1 ("${other.c}")`);
  });

  it('are not set by a look that the ledger kept waiting, when the ledger knows another set by then', async () => {
    const world = await postgresCloud();
    world.pg.crash(world.c);
    await goOn(world, 2);
    const whole = [{ need: 1, standbys: [world.b, world.c] }];
    world.cloud.aws.after = async (call) => {
      if (call.operation !== 'Ledger.setSync') return;
      // Meanwhile others went on, and back: the primary shows again what the plan was made from.
      world.cloud.aws.after = null;
      await world.cloud.clock.advance(9000);
      world.cloud.aws.ledgers.set('orders', { ...ledgerOf(world), sync: { sets: whole, barrierLsn: null } });
    };
    const outcome = await reconcile('orders', world.ports);
    expect(outcome).toMatchObject({ kind: 'requeueAfter', seconds: 1 });
    expect(called(world, 'PostgresAdmin.setSync')).toBe(0);
    expect(namesOf(world)).toBe(`ANY 1 ("${world.b}", "${world.c}")`);
  });

  it('go on being kept while one replica is brought back, so that commits do not wait for a second one', async () => {
    const world = await postgresCloud();
    world.pg.crash(world.c);
    await goOn(world, 4);
    const claim = { incident: ledgerOf(world).incident?.id ?? '', mode: 'rejoin', node: world.c } as const;
    const [arn = ''] = world.cloud.aws.executions.keys();
    await world.cloud.ledger.claim('orders', {
      ...claim,
      execution: arn,
      joiner: null,
      donor: null,
      launch: null,
      claimedAtMs: 0,
    });
    world.pg.crash(world.b);
    const before = world.pg.journal.length;
    await goOn(world, 5);
    expect(namesOf(world)).toBe('');
    expect(world.pg.journal.length).toBeGreaterThan(before);
    expect(world.cloud.aws.published.map((p) => p.subject)).toContain('orders: DURABILITY_DEGRADED');
  });

  it('are left alone under the claim of a failover', async () => {
    const world = await postgresCloud();
    const claim = { incident: 'orders-x-e1', mode: 'failover', node: world.a } as const;
    const arn = 'arn:aws:states:eu-west-1:123456789012:execution:failover:x';
    world.cloud.aws.executions.set(arn, {
      ...{ arn, name: 'x', state: 'RUNNING' },
      input: { cluster: 'orders', reason: 'x', ...claim },
    });
    await world.cloud.ledger.claim('orders', {
      ...claim,
      execution: arn,
      joiner: null,
      donor: null,
      launch: null,
      claimedAtMs: 0,
    });
    world.pg.crash(world.c);
    await goOn(world, 4);
    expect(called(world, 'Ledger.setSync')).toBe(0);
    expect(world.cloud.aws.calls.filter((x) => x.operation.startsWith('PostgresAdmin.set')).length).toBe(0);
  });
});

describe('fewer acknowledgements than declared', () => {
  async function degraded(): Promise<PostgresCloud> {
    const world = await postgresCloud();
    await goOn(world, 1);
    for (const id of [world.b, world.c]) world.pg.crash(id);
    world.cloud.aws.calls.length = 0;
    return world;
  }

  it('are set only after an incident says so, and people are told once', async () => {
    const world = await degraded();
    await goOn(world, 5);
    const order = world.cloud.aws.calls.map((x) => x.operation);
    expect(order).toContain('PostgresAdmin.setSync');
    expect(order.indexOf('Ledger.openIncident')).toBeLessThan(order.indexOf('PostgresAdmin.setSync'));
    expect(order.indexOf('Ledger.record')).toBeLessThan(order.indexOf('PostgresAdmin.setSync'));
    expect(world.cloud.aws.published.filter((p) => p.subject.includes('DURABILITY_DEGRADED'))).toHaveLength(1);
    expect(namesOf(world)).toBe('');
  });

  it('are not set when no incident could be opened', async () => {
    const world = await degraded();
    world.cloud.aws.failNext('Ledger.openIncident', new CloudUnavailable('throttled'), { times: 100 });
    await goOn(world, 4);
    expect(called(world, 'Ledger.openIncident')).toBeGreaterThan(0);
    expect(called(world, 'PostgresAdmin.setSync')).toBe(0);
    expect(namesOf(world)).toBe(`ANY 1 ("${world.b}", "${world.c}")`);
  });

  it('end, and with them the incident, when the replicas stream again', async () => {
    const world = await degraded();
    await goOn(world, 5);
    for (const id of [world.b, world.c]) world.pg.boot(id);
    await goOn(world, 8);
    expect(namesOf(world)).toBe(`ANY 1 ("${world.b}", "${world.c}")`);
    expect(ledgerOf(world)).toMatchObject({ incident: null, sync: { sets: [{ need: 1 }] } });
  });
});

describe('replicas and slots', () => {
  it('a replica that was left detached follows again, under its slot', async () => {
    const world = await postgresCloud();
    await world.pg.detach(world.targetOf(world.c), CREDENTIALS);
    world.cloud.aws.calls.length = 0;
    await goOn(world, 2);
    expect(world.pg.streams(world.c, world.a)).toBe(true);
    const [follow] = world.cloud.aws.callsOf('PostgresAdmin.follow');
    expect(follow?.args[2]).toMatchObject({ user: 'replicator', port: 5432, slot: slotOf(world.c) });
  });

  it('is not pointed at a primary whose cluster another hand has taken meanwhile', async () => {
    const world = await postgresCloud();
    await world.pg.detach(world.targetOf(world.c), CREDENTIALS);
    let reads = 0;
    world.cloud.aws.before = async (call) => {
      // The second look at the ledger in one reconcile is the one at the epoch.
      if (call.operation !== 'Ledger.read' || (reads += 1) !== 2) return;
      const claim = { execution: 'e', incident: 'x', mode: 'failover', node: world.a, joiner: null } as const;
      await world.cloud.ledger.claim('orders', { ...claim, donor: null, launch: null, claimedAtMs: 0 });
    };
    await reconcile('orders', world.ports);
    expect(reads).toBeGreaterThanOrEqual(2);
    expect(called(world, 'PostgresAdmin.follow')).toBe(0);
  });

  it('slots are made for those without one, and dropped for those that EC2 has ended', async () => {
    const world = await postgresCloud();
    const gone = world.cloud.aws.addInstance({ cluster: 'orders', zone: 'eu-west-1a', subnetId: null, volumes: [] });
    world.cloud.aws.setState(gone.id, 'terminated');
    const foreign = 'i_0ffffffffffffffff';
    const slots = { create: [slotOf(gone.id), foreign], drop: [] };
    await world.pg.setSlots(world.targetOf(world.a), CREDENTIALS, slots);
    await goOn(world, 2);
    const names = world.pg.status(world.a).slots.map((s) => s.name);
    expect(names.sort()).toEqual([slotOf(world.b), slotOf(world.c), foreign].sort());
  });
});

describe('a lost primary', () => {
  it('is failed over; routing stays until the ledger has the new writer, and follows it then', async () => {
    const world = await postgresCloud();
    world.cloud.aws.setState(world.a, 'terminated');
    await reconcile('orders', world.ports);
    expect(startedModes(world)).toEqual(['failover']);
    expect(targetsOf(world, WRITER_GROUP)).toEqual([world.a]);
    expect(called(world, 'TargetGroups.deregister')).toBe(0);

    await world.pg.detach(world.targetOf(world.b), CREDENTIALS);
    await world.pg.promote(world.targetOf(world.b), CREDENTIALS);
    await world.cloud.ledger.setWriter('orders', ledgerOf(world).epoch, world.b);
    await reconcile('orders', world.ports);
    expect(targetsOf(world, WRITER_GROUP)).toEqual([world.b]);
    expect(targetsOf(world, READER_GROUP)).not.toContain(world.a);
  });

  it('is not while a node is in maintenance: people are told once', async () => {
    const world = await postgresCloud();
    await world.cloud.ledger.setMaintenance('orders', { node: world.c, by: 'ada', sinceMs: 0 });
    world.cloud.aws.setState(world.a, 'terminated');
    await goOn(world, 3);
    expect(startedModes(world)).toEqual([]);
    expect(world.cloud.aws.published.map((p) => p.subject)).toEqual(['orders: REFUSED_MAINTENANCE']);
    expect(world.cloud.aws.published[0]?.body).toContain('docs/runbook.md#failover-in-maintenance');
  });

  it('a person’s word on what may be lost reaches the workflow', async () => {
    const world = await postgresCloud();
    world.cloud.aws.setState(world.a, 'terminated');
    const atMs = world.cloud.clock.nowMs();
    const reason = 'NoCandidate: too far behind';
    await world.cloud.ledger.setEscalation('orders', { node: world.a, incident: 'i', attempts: 1, atMs, reason });
    await reconcile('orders', world.ports);
    expect(startedModes(world)).toEqual([]);
    await world.cloud.ledger.setAccepted('orders', { node: world.b, by: 'ada', atMs: atMs + 1 });
    await reconcile('orders', world.ports);
    expect([...world.cloud.aws.executions.values()].map((e) => e.input)).toMatchObject([
      { mode: 'failover', node: world.a, accept: world.b },
    ]);
  });
});

describe('what a person accepted', () => {
  it('is void once the primary was seen to serve again: no later loss is accepted with it', async () => {
    const world = await postgresCloud();
    const atMs = world.cloud.clock.nowMs();
    await world.cloud.ledger.setAccepted('orders', { node: world.b, by: 'ada', atMs });
    const seen = { node: world.a, timeline: 1, lsn: '0/3000060', atMs: atMs + 60_000 };
    await world.cloud.ledger.notePosition('orders', seen);
    world.cloud.aws.setState(world.a, 'terminated');
    await reconcile('orders', world.ports);
    const inputs = [...world.cloud.aws.executions.values()].map((e) => e.input);
    expect(inputs).toMatchObject([{ mode: 'failover', node: world.a }]);
    expect(inputs[0]).not.toHaveProperty('accept');
  });
});

describe('people', () => {
  it('are told of a disk that is nearly full, once, and nothing is done', async () => {
    const world = await postgresCloud();
    const probe = world.pg.probe.bind(world.pg);
    const full = { totalBytes: 100 * 2 ** 30, availableBytes: 2 ** 30 };
    world.pg.probe = async (target, credentials) => {
      const found = await probe(target, credentials);
      if (found.kind !== 'answered' || found.status.engine !== 'postgres' || target.instanceId !== world.a)
        return found;
      return { ...found, status: { ...found.status, disk: full } };
    };
    await goOn(world, 3);
    expect(world.cloud.aws.published.map((p) => p.subject)).toEqual([`orders: DISK_NEARLY_FULL ${world.a}`]);
    expect(startedModes(world)).toEqual([]);
    world.pg.probe = probe;
    await goOn(world, 1);
    expect(ledgerOf(world).incident).toBeNull();
  });
});
