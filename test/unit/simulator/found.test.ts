/** What nights of faults have found in the product, each as the smallest case that shows it. */
import { describe, expect, it } from 'vitest';
import { bootstrapping } from '../../../lambdas/bootstrap/steps.ts';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import { EMPTY_LEDGER } from '../../../lambdas/model/ledger.ts';
import { INCIDENT_TAG, REPLACES_TAG } from '../../../lambdas/model/spec.ts';
import type { Instance } from '../../../lambdas/model/view.ts';
import { relevant } from '../../../lambdas/reconcile/observe.ts';
import { reconcile } from '../../../lambdas/reconcile/reconcile.ts';
import { UNUSABLE_TAG } from '../../../lambdas/model/volume.ts';
import { bootstrapDefinition } from '../../../lib/workflows/bootstrap.ts';
import { FakeAws, STATE_UUID, aSpec, fakeCloud, healthyCluster } from '../../fakes/index.ts';
import { POSTGRES } from '../../support/postgres-side.ts';
import { World, failed } from '../../support/recovery-world.ts';
import { run } from '../replace/run.ts';

const named = (id: string, state: Instance['state'], replaces?: string) => {
  const tags: Record<string, string> = replaces === undefined ? {} : { [REPLACES_TAG]: replaces };
  const given = { id, state, tags, zone: 'eu-west-1a', subnetId: null, privateIp: null, launchedAtMs: 0, volumes: [] };
  return { instance: given, probe: { kind: 'skipped', atMs: 0, detail: 'test' } } as const;
};

describe('what the simulator found', () => {
  it('rule 4: a node beside its replacement fills one place: a third that is gone is missed, and bootstrap refuses', async () => {
    const world = new World();
    for (const n of world.nodes) world.dies(n.id);
    const stranger = world.aws.addInstance({ cluster: 'orders', tags: { [REPLACES_TAG]: world.node(1).id } });
    world.dies(stranger.id);
    world.terminates(world.node(2).id);
    const at = { running: false, component: 'none', safeToBootstrap: false, viewId: null };
    for (const id of [world.node(0).id, world.node(1).id]) {
      world.positions.set(id, { ...at, stateUuid: STATE_UUID, seqno: 1416 });
    }
    world.positions.set(stranger.id, { ...at, stateUuid: '00000000-0000-0000-0000-000000000000', seqno: -1 });
    const input = { cluster: 'orders', incident: 'x', mode: 'bootstrap', node: null, reason: 'all are down' } as const;
    const definition = bootstrapDefinition({ functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:b' });
    const ended = await world.run(definition, bootstrapping, input);
    expect(ended.errors.map((e) => e.name)).toContain('NodeDidNotAnswer');
    expect(world.aws.callsOf('HostCommands.start').map((c) => c.args[1])).not.toContain('galera-bootstrap');
  });

  it('launches once when a zone that was full has room again for the second try of a killed step', async () => {
    const world = new World();
    const lost = world.node(2);
    world.terminates(lost.id);
    const { instances } = world.cloud;
    const launch = instances.launch.bind(instances);
    const ofCluster = instances.ofCluster.bind(instances);
    let tries = 0;
    instances.launch = async (request) => {
      tries += 1;
      if (tries === 1) throw Object.assign(new Error('full'), { name: 'InsufficientInstanceCapacity' });
      const launched = await launch(request);
      if (tries === 2) throw new CloudUnavailable('the answer was lost');
      return launched;
    };
    // EC2 does not describe the new instance yet.
    instances.ofCluster = async (cluster) =>
      (await ofCluster(cluster)).filter((i) => tries > 2 || i.tags[INCIDENT_TAG] === undefined);
    const ended = await run(world, 'replace', lost);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.launched()).toHaveLength(1);
  });

  it('launches once when the second try of a step, whose write was lost, sees other zones emptier than the first', async () => {
    const world = new World();
    const lost = world.node(2);
    world.terminates(lost.id);
    const { instances, ledger } = world.cloud;
    const launch = instances.launch.bind(instances);
    const ofCluster = instances.ofCluster.bind(instances);
    const amendClaim = ledger.amendClaim.bind(ledger);
    let stale = false;
    const zones = new Set<string>();
    instances.launch = async (request) => {
      const lostZone = request.subnetId === world.spec.subnets.find((s) => s.zone === lost.zone)?.id;
      if (lostZone) throw Object.assign(new Error('the zone is lost'), { name: 'InsufficientInstanceCapacity' });
      const launched = await launch(request);
      zones.add(launched.zone);
      return launched;
    };
    ledger.amendClaim = async (cluster, execution, known) => {
      if (typeof known.joiner !== 'string' || stale) return amendClaim(cluster, execution, known);
      stale = true;
      throw new CloudUnavailable('the answer was lost');
    };
    // EC2 describes neither the new instance yet, nor for a moment who is in the zones that were fuller.
    let looks = 0;
    instances.ofCluster = async (cluster) => {
      const all = await ofCluster(cluster);
      if (!stale || (looks += 1) > 2) return all;
      return all.filter((i) => i.tags[INCIDENT_TAG] === undefined && zones.has(i.zone));
    };
    const ended = await run(world, 'replace', lost);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect([...zones]).toHaveLength(1);
    expect(world.launched()).toHaveLength(1);
  });

  it('marks the disk of a joiner that it takes back, so that nobody takes it for the data of the lost node', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    world.fails = (document) => (document === 'galera-join' ? failed('cannot join') : null);
    await run(world, 'add', null);
    const disk = world.aws.callsOf('Volumes.tag').map((c) => c.args);
    expect(disk).toEqual([[expect.stringMatching(/^vol-/), { [UNUSABLE_TAG]: expect.any(String) as string }]]);
    expect(world.record('orders-lost-e1').join('\n')).toContain(`leaves the volume ${String(disk[0]?.[0])}`);
  });

  it('remembers a terminated node while a stopped one stands beside its replacement', () => {
    const nodes = [
      named('i-1', 'running'),
      named('i-2', 'stopped'),
      named('i-3', 'running', 'i-2'),
      named('i-4', 'terminated'),
    ];
    expect(relevant(nodes, [], EMPTY_LEDGER, aSpec()).map((n) => n.instance.id)).toContain('i-4');
  });

  it('rule 2: looks at the epoch again when setting the drain delay took long', async () => {
    const aws = new FakeAws();
    const [, , third] = healthyCluster(aws);
    aws.setState(third?.id ?? '', 'terminated');
    aws.probes.delete(third?.id ?? '');
    aws.after = async ({ operation }) => {
      if (operation !== 'TargetGroups.ensureTermination') return;
      await aws.clock.sleep(7000);
      const ledger = aws.ledgers.get('orders') ?? EMPTY_LEDGER;
      aws.ledgers.set('orders', { ...ledger, epoch: ledger.epoch + 1 });
    };
    await reconcile('orders', fakeCloud(aws));
    expect(aws.callsOf('TargetGroups.ensureTermination')).not.toHaveLength(0);
    expect(aws.callsOf('TargetGroups.deregister')).toHaveLength(0);
  });

  it('retires the fenced node whose replacement gave way to a failover, when the joiner is rejoined in place', async () => {
    const world = new World({ engine: POSTGRES });
    const fenced = world.aws.addInstance({ cluster: 'orders', state: 'stopped' });
    const joiner = world.node(2);
    world.aws.instances.set(joiner.id, { ...joiner, tags: { ...joiner.tags, [REPLACES_TAG]: fenced.id } });
    world.dies(joiner.id);
    const ended = await run(world, 'rejoin', joiner);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.aws.callsOf('Instances.terminate').map((c) => c.args)).toEqual([[fenced.id]]);
    expect(world.record('orders-lost-e1').join('\n')).toContain(`terminates ${fenced.id}`);
  });

  it('leaves a running node alone that the joiner was launched for: only a stopped one is proven to be fenced', async () => {
    const world = new World({ engine: POSTGRES });
    const other = world.aws.addInstance({ cluster: 'orders' });
    const joiner = world.node(2);
    world.aws.instances.set(joiner.id, { ...joiner, tags: { ...joiner.tags, [REPLACES_TAG]: other.id } });
    world.dies(joiner.id);
    await run(world, 'rejoin', joiner);
    expect(world.aws.callsOf('Instances.terminate')).toEqual([]);
  });

  it('tells people of a stopped node that was replaced and that no workflow will retire, while the cluster is whole', async () => {
    const aws = new FakeAws();
    const nodes = healthyCluster(aws);
    const fenced = aws.addInstance({ cluster: 'orders', state: 'stopped' });
    const [, , third] = nodes;
    if (third === undefined) throw new Error('the cluster has no third node');
    aws.instances.set(third.id, { ...third, tags: { ...third.tags, [REPLACES_TAG]: fenced.id } });
    await reconcile('orders', fakeCloud(aws));
    await reconcile('orders', fakeCloud(aws));
    expect(aws.published.map((p) => p.subject)).toEqual(['orders: REFUSED_LEFT_OVER']);
    expect(aws.published[0]?.body).toContain(fenced.id);
    aws.setState(fenced.id, 'terminated');
    await reconcile('orders', fakeCloud(aws));
    expect(aws.ledgers.get('orders')?.incident).toBeNull();
  });
});
