/** What the replacement workflow makes of things going wrong. */
import { describe, expect, it } from 'vitest';
import { INCIDENT_TAG } from '../../../lambdas/model/spec.ts';
import { READER_GROUP, aStatus, answered } from '../../fakes/index.ts';
import { World, failed } from '../../support/recovery-world.ts';
import { INCIDENT, run, runInput } from './run.ts';

describe('what goes wrong on the way', () => {
  it('does nothing when the node serves again', async () => {
    const world = new World();
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.visited).toEqual(['Claim', 'WhichWay', 'Report', 'Done']);
    expect(world.aws.published[0]?.subject).toContain('nothing to do');
    expect(world.ledger().claim).toBeNull();
  });

  it('leaves a node that came back between Claim and Fence', async () => {
    const world = new World();
    const lost = world.node(2);
    const healthy = world.aws.probes.get(lost.id);
    world.dies(lost.id, 'silent');
    world.onCall = (call) => {
      if (call.operation === 'Prober.probe' && healthy !== undefined) world.says(lost.id, healthy);
    };
    await run(world, 'replace', lost);
    expect(world.aws.callsOf('Instances.stop')).toEqual([]);
    expect(world.launched()).toEqual([]);
  });

  it('goes to another zone without the volume when there is no room', async () => {
    const world = new World();
    const lost = world.node(2);
    world.terminates(lost.id);
    const noRoom = Object.assign(new Error('no room'), { name: 'InsufficientInstanceCapacity' });
    // As the adapter hands it over: capacity errors have status 500.
    world.aws.failNext(
      'Instances.launch',
      Object.assign(new Error('wrapped', { cause: noRoom }), { name: 'CloudUnavailable' }),
    );
    const ended = await run(world, 'replace', lost);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    const [joiner] = world.launched();
    expect(joiner?.zone).not.toBe(lost.zone);
    expect(joiner?.volumes.map((v) => v.device)).toContain('/dev/sdf');
    expect(world.aws.callsOf('HostCommands.start')[0]?.args[2]).toEqual({ Source: 'peer', VolumeId: 'none' });
  });

  it('launches nothing twice while EC2 does not describe the new instance yet', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    const { instances } = world.cloud;
    const ofCluster = instances.ofCluster.bind(instances);
    let blindUntilMs = 0;
    instances.ofCluster = async (cluster) =>
      (await ofCluster(cluster)).filter(
        (i) => i.tags[INCIDENT_TAG] === undefined || world.aws.clock.nowMs() > blindUntilMs,
      );
    world.onCall = (call) => {
      if (call.operation !== 'Instances.launch' || blindUntilMs > 0) return;
      blindUntilMs = world.aws.clock.nowMs() + 10_000;
      world.killAt({ call: world.calls, moment: 'after' });
    };
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.errors.map((e) => e.name)).toEqual(['Runtime.ExitError']);
    expect(ended.status).toBe('SUCCEEDED');
    expect(world.aws.callsOf('Instances.launch')).toHaveLength(2);
    expect(world.launched()).toHaveLength(1);
  });

  it('gives up with LaunchFailed when no zone has room, and leaves no instance', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    const noRoom = Object.assign(new Error('no room'), { name: 'InsufficientInstanceCapacity' });
    world.aws.failNext('Instances.launch', noRoom, { times: 99 });
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status).toBe('FAILED');
    expect(world.launched()).toEqual([]);
    expect(world.ledger()).toMatchObject({
      claim: null,
      escalation: { attempts: 1, incident: INCIDENT, node: world.node(2).id },
    });
    expect(world.aws.published.map((p) => p.subject)).toEqual(['Rejoin: orders: replace gave up: LaunchFailed']);
    expect(world.aws.published[0]?.body).toContain('docs/runbook.md#launchfailed');
  });

  it('launches another instance with its own disk when the volume goes while the first one boots', async () => {
    const world = new World();
    const lost = world.node(2);
    world.terminates(lost.id);
    world.onCall = (call) => {
      if (call.operation === 'Instances.launch') world.aws.volumes.delete(lost.volumes[0]?.volumeId ?? '');
    };
    const ended = await run(world, 'replace', lost);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.launched().map((i) => i.state)).toEqual(['terminated', 'running']);
    expect(world.record(INCIDENT).some((l) => l.includes('it does not exist any more'))).toBe(true);
    expect(world.serving()).toHaveLength(3);
  });

  it('names the donor and the joiner on the ledger before the joiner starts', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    const claims: unknown[] = [];
    world.onCall = (call) => {
      if (call.operation === 'HostCommands.start' && call.args[1] === 'galera-join') claims.push(world.ledger().claim);
    };
    await run(world, 'replace', world.node(2));
    expect(claims).toMatchObject([{ donor: world.node(1).id, joiner: world.launched()[0]?.id }]);
  });

  it('marks a volume that did not seed, takes the peer, and keeps the donor off the writer', async () => {
    const world = new World();
    const lost = world.node(2);
    world.terminates(lost.id);
    world.fails = (document, _id, parameters) =>
      document === 'galera-prepare' && parameters.Source === 'volume' ? failed('no whole data directory') : null;
    const ended = await run(world, 'replace', lost);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.aws.volumes.get(lost.volumes[0]?.volumeId ?? '')?.tags['rejoin:unusable']).toBe(INCIDENT);
    const joins = world.aws.callsOf('HostCommands.start').filter((c) => c.args[1] === 'galera-join');
    expect(joins.map((c) => c.args[2])).toEqual([
      { Peers: `${world.node(0).privateIp ?? ''},${world.node(1).privateIp ?? ''}`, Donor: world.node(1).id },
    ]);
    expect(world.ledger().writer).toBe(world.node(0).id);
  });

  it('takes back an instance that never became a member, keeps its volume, and escalates once', async () => {
    const world = new World();
    const lost = world.node(2);
    world.terminates(lost.id);
    world.fails = (document) => (document === 'galera-join' ? failed('cannot join') : null);
    const ended = await run(world, 'replace', lost);
    expect(ended.status).toBe('FAILED');
    expect(ended.visited.slice(-3)).toEqual(['LeaveSafe', 'Escalate', 'GaveUp']);
    await world.cloud.instances.ofCluster('orders');
    await world.aws.clock.sleep(5000);
    await world.cloud.instances.ofCluster('orders');
    expect(world.launched().map((i) => i.state)).toEqual(['terminated']);
    const kept = lost.volumes[0]?.volumeId ?? '';
    expect(world.aws.volumes.get(kept)).toMatchObject({ state: 'available' });
    expect(world.record(INCIDENT)).toContain(
      `leaves the volume ${kept}: the data of ${lost.id}, kept for the next try`,
    );
    expect(world.aws.published).toHaveLength(1);
    expect(world.ledger().claim).toBeNull();
  });

  it('leaves what it launched while nobody else serves: it may have been a member when nobody looked', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    world.fails = (document) => {
      if (document !== 'galera-join') return null;
      for (const n of [world.node(0), world.node(1)]) world.dies(n.id);
      return failed('lost the answer');
    };
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.visited.slice(-3)).toEqual(['LeaveSafe', 'Escalate', 'GaveUp']);
    expect(world.aws.callsOf('Instances.terminate')).toEqual([]);
    expect(world.launched().map((i) => i.state)).toEqual(['running']);
    expect(world.record(INCIDENT).join('\n')).toContain('its data may be the last');
  });

  it('sees a joiner whose database died, by asking its host, and does not mistake a state transfer for it', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    world.refusesMs = 600_000;
    world.joinsMs = 600_000;
    const patient = await run(world, 'replace', world.node(2));
    expect(patient.status, JSON.stringify(patient.errors)).toBe('SUCCEEDED');

    const dying = new World();
    dying.terminates(dying.node(2).id);
    dying.refusesMs = 3_600_000;
    dying.aws.scripts.set('galera-position', () => ({ kind: 'succeeded', output: '{"running":false}' }));
    const ended = await run(dying, 'replace', dying.node(2));
    expect(ended.status).toBe('FAILED');
    expect(dying.ledger().escalation?.reason).toContain('JoinFailed');
  });

  it('keeps a member that could not be routed, and says so', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    world.onCall = (call) => {
      if (call.operation === 'ReconcileRequests.send') {
        for (const t of world.aws.addTargetGroup(READER_GROUP).targets.values())
          world.aws.setTarget(READER_GROUP, t.id, t.port, 'unhealthy');
      }
    };
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status).toBe('FAILED');
    expect(world.ledger().escalation?.reason).toContain('NotRouted');
    expect(world.launched().map((i) => i.state)).toEqual(['running']);
  });

  it('counts attempts of one incident, and a success clears them', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    world.setLedger({
      escalation: { node: world.node(2).id, incident: INCIDENT, attempts: 2, atMs: 1, reason: 'before' },
    });
    world.aws.failNext('Instances.launch', Object.assign(new Error('no'), { name: 'InsufficientInstanceCapacity' }), {
      times: 3,
    });
    await run(world, 'replace', world.node(2));
    expect(world.ledger().escalation?.attempts).toBe(3);
    await world.aws.clock.sleep(60_000); // a later execution does not believe an earlier one's "no room"
    await run(world, 'replace', world.node(2));
    expect(world.ledger().escalation).toBeNull();
  });

  it('names what is wrong with input given by hand', async () => {
    const world = new World();
    const ended = await runInput(world, { cluster: 'orders' });
    expect(ended.errors[0]?.message).toMatch(/incident: .*start it with/);
    expect(world.aws.callsOf('Ledger.claim')).toEqual([]);
    expect(ended.status).toBe('FAILED');
  });

  it('gives up in full though the notification fails twice: told once, counted once, the claim let go', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    world.aws.failNext('Instances.launch', Object.assign(new Error('no'), { name: 'InsufficientInstanceCapacity' }), {
      times: 3,
    });
    world.aws.failNext('Notifications.publish', Object.assign(new Error('down'), { name: 'CloudUnavailable' }), {
      times: 2,
    });
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status).toBe('FAILED');
    expect(world.aws.published).toHaveLength(1);
    expect(world.ledger()).toMatchObject({ claim: null, escalation: { attempts: 1 } });
  });
});

describe('a joiner that runs outside the primary component', () => {
  const outside = (atMs: number) =>
    answered(aStatus({ component: 'Non-Primary', state: 'Undefined', ready: false }), atMs);

  const hanging = (atMs: number) => ({ kind: 'silent', atMs, tookMs: 2000, detail: 'no greeting within 2 s' }) as const;

  it.each([
    ['answers', outside],
    ['hangs', hanging],
  ])('%s, and is the last one left: gives the claim back within minutes, its data untouched', async (_, found) => {
    const world = new World();
    const { id } = world.node(2);
    world.dies(id);
    world.onCall = (call) => {
      if (call.operation !== 'HostCommands.start') return;
      world.says(id, found);
      for (const n of [world.node(0), world.node(1)]) world.dies(n.id);
    };
    const startedMs = world.aws.clock.nowMs();
    const ended = await run(world, 'rejoin', world.node(2));
    expect(ended.status).toBe('FAILED');
    expect(world.ledger()).toMatchObject({ claim: null, escalation: { node: id } });
    expect(world.ledger().escalation?.reason).toContain('NoDonor');
    expect(world.aws.clock.nowMs() - startedMs).toBeLessThan(300_000);
    expect(world.aws.callsOf('HostCommands.start').map((c) => c.args[1])).toEqual(['galera-join']);
    expect(world.aws.callsOf('Instances.stop')).toEqual([]);
  });

  it('and hangs while others serve is given up within minutes for another instance', async () => {
    const world = new World();
    const { id } = world.node(2);
    world.dies(id);
    world.onCall = (call) => {
      if (call.operation === 'HostCommands.start' && call.args[0] === id) world.says(id, hanging);
    };
    const startedMs = world.aws.clock.nowMs();
    const ended = await run(world, 'rejoin', world.node(2));
    expect(ended.errors.map((e) => e.name)).toContain('JoinFailed');
    expect(ended.visited).toContain('Launch');
    expect(world.launched()).toHaveLength(1);
    expect(world.aws.callsOf('Instances.launch')[0]?.atMs ?? Number.POSITIVE_INFINITY).toBeLessThan(
      startedMs + 300_000,
    );
  });

  it('is waited for while others serve: it may find them yet', async () => {
    const world = new World();
    const { id } = world.node(2);
    world.dies(id);
    world.onCall = (call) => {
      if (call.operation !== 'HostCommands.start') return;
      const untilMs = world.aws.clock.nowMs() + 600_000;
      world.says(id, (atMs) => (atMs < untilMs ? outside(atMs) : answered(aStatus({ nodeName: id }), atMs)));
    };
    const ended = await run(world, 'rejoin', world.node(2));
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.serving()).toContain(id);
  });
});
