import { describe, expect, it } from 'vitest';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import { operate } from '../../../lambdas/operate/operate.ts';
import type { OperateAnswer } from '../../../lambdas/operate/operate.ts';
import { aSpec, fakeCloud, healthyCluster } from '../../fakes/index.ts';

function setUp() {
  const cloud = fakeCloud();
  const ids = healthyCluster(cloud.aws).map((i) => i.id);
  let number = 0;
  const ports = { ...cloud, unique: () => String((number += 1)) };
  return {
    cloud,
    a: ids[0] ?? '',
    b: ids[1] ?? '',
    ask: (input: unknown): Promise<OperateAnswer> => operate(input, ports),
  };
}

describe('maintenance', () => {
  it('is written to the ledger, and a reconcile asked for', async () => {
    const { cloud, a, ask } = setUp();
    expect(await ask({ action: 'maintenance-on', cluster: 'orders', node: a, by: 'ada' })).toMatchObject({
      accepted: true,
    });
    expect(cloud.aws.ledgers.get('orders')?.maintenance).toMatchObject({ node: a, by: 'ada' });
    expect(await ask({ action: 'maintenance-off', cluster: 'orders', node: a, by: 'ada' })).toMatchObject({
      accepted: true,
    });
    expect(cloud.aws.ledgers.get('orders')?.maintenance).toBeNull();
    expect(cloud.aws.requests.map((r) => r.cause)).toEqual(['operate-maintenance-on-1', 'operate-maintenance-off-2']);
  });

  it('asked for twice keeps the first time', async () => {
    const { cloud, a, ask } = setUp();
    await ask({ action: 'maintenance-on', cluster: 'orders', node: a, by: 'ada' });
    const first = cloud.aws.ledgers.get('orders')?.maintenance;
    await cloud.clock.advance(60_000);
    expect(await ask({ action: 'maintenance-on', cluster: 'orders', node: a, by: 'bob' })).toMatchObject({
      accepted: true,
    });
    expect(cloud.aws.ledgers.get('orders')?.maintenance).toEqual(first);
  });

  it('of a second node is refused, naming the first and the mend', async () => {
    const { cloud, a, b, ask } = setUp();
    await ask({ action: 'maintenance-on', cluster: 'orders', node: a, by: 'ada' });
    const answer = await ask({ action: 'maintenance-on', cluster: 'orders', node: b, by: 'bob' });
    expect(answer.accepted).toBe(false);
    expect(answer.message).toMatch(new RegExp(`${a} .* by ada already.*maintenance-off`));
    expect(cloud.aws.ledgers.get('orders')?.maintenance?.node).toBe(a);
  });

  it('is refused while a recovery is at work', async () => {
    const { cloud, a, b, ask } = setUp();
    const claim = {
      incident: 'x',
      mode: 'replace',
      node: b,
      joiner: null,
      donor: null,
      launch: null,
      claimedAtMs: 0,
    } as const;
    await cloud.ledger.claim('orders', { execution: 'arn:run', ...claim });
    const answer = await ask({ action: 'maintenance-on', cluster: 'orders', node: a, by: 'ada' });
    expect(answer).toMatchObject({ accepted: false });
    expect(answer.message).toContain('arn:run is at work');
  });

  it.each([
    ['an unknown cluster', { cluster: 'nowhere' }, 'no cluster "nowhere"; there are orders'],
    ['a node of nobody', { node: 'i-0ffffffffffffffff' }, 'is no instance of orders; there are i-'],
  ])('of %s is refused, and says what there is', async (_, change, message) => {
    const { a, ask } = setUp();
    const answer = await ask({ action: 'maintenance-on', cluster: 'orders', node: a, by: 'ada', ...change });
    expect(answer.accepted).toBe(false);
    expect(answer.message).toContain(message);
  });

  it('ends with a clean slate: what was silent while a person worked on it is not held against the node', async () => {
    const { a, ask, cloud } = setUp();
    await ask({ action: 'maintenance-on', cluster: 'orders', node: a, by: 'ada' });
    await cloud.ledger.setSuspicion('orders', a, { sinceMs: 0, kind: 'refused' });
    await ask({ action: 'maintenance-off', cluster: 'orders', node: a, by: 'ada' });
    expect((await cloud.ledger.read('orders')).cluster.suspicions).toEqual({});
  });

  it('of a node that is not in maintenance cannot end', async () => {
    const { a, ask } = setUp();
    const answer = await ask({ action: 'maintenance-off', cluster: 'orders', node: a, by: 'ada' });
    expect(answer).toMatchObject({ accepted: false });
    expect(answer.message).toContain('in maintenance is no node');
  });
});

describe('other requests', () => {
  it.each([null, 'status', {}, { action: 'destroy' }, { action: 'status' }, { action: 'release-brake', by: '' }])(
    'refuses %j, and says what is accepted',
    async (input) => {
      const { cloud, ask } = setUp();
      const answer = await ask(input);
      expect(answer.accepted).toBe(false);
      expect(answer.message).toContain(`received ${JSON.stringify(input)}`);
      expect(answer.message).toContain('"action":"maintenance-on"');
      expect(cloud.aws.calls).toEqual([]);
    },
  );

  it('releases the brake, by name, and looks at every cluster again', async () => {
    const { cloud, ask } = setUp();
    healthyCluster(cloud.aws, aSpec({ name: 'billing' }));
    await cloud.ledger.engageBrake('too many', 1);
    expect(await ask({ action: 'release-brake', by: 'ada' })).toMatchObject({ accepted: true });
    expect(cloud.aws.brake.engaged).toBe(false);
    expect(cloud.aws.brakeReleasedBy).toBe('ada');
    expect(cloud.aws.requests.map((r) => r.cluster).sort()).toEqual(['billing', 'orders']);
  });

  it('looks first at the clusters that have lost most, when the brake is released, and at all when EC2 does not say', async () => {
    const { cloud, a, ask } = setUp();
    healthyCluster(cloud.aws, aSpec({ name: 'billing' }));
    const [first, second] = healthyCluster(cloud.aws, aSpec({ name: 'users', nodes: 5 }));
    const [last] = healthyCluster(cloud.aws, aSpec({ name: 'wide', nodes: 5 }));
    for (const id of [a, first?.id, second?.id, last?.id]) cloud.aws.setState(id ?? '', 'terminated');
    cloud.aws.specs.set('broken', { version: 1 });
    await ask({ action: 'release-brake', by: 'ada' });
    const byUrgency = ['users', 'orders', 'wide', 'billing', 'broken'];
    expect(cloud.aws.requests.map((r) => r.cluster)).toEqual(byUrgency);
    cloud.aws.failNext('Instances.ofEveryCluster', new CloudUnavailable('throttled'));
    expect(await ask({ action: 'release-brake', by: 'ada' })).toMatchObject({ accepted: true });
    expect(
      cloud.aws.requests
        .slice(byUrgency.length)
        .map((r) => r.cluster)
        .sort(),
    ).toEqual([...byUrgency].sort());
  });

  it('asks for no more of them at once than EC2 launches, and for the others in their order', async () => {
    const { cloud, ask } = setUp();
    for (let n = 10; n < 30; n += 1) healthyCluster(cloud.aws, aSpec({ name: `c${n}` }));
    await ask({ action: 'release-brake', by: 'ada' });
    expect(cloud.aws.requests).toHaveLength(5);
    const later = cloud.aws.callsOf('ReconcileRequests.sendLater').map((c) => c.args);
    expect(later.map(([, seconds]) => seconds)).toEqual([1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10, 11]);
    expect(later[0]?.[2]).toMatch(/^operate-release-brake-.+-c\d\d$/);
    const asked = [...cloud.aws.requests.map((r) => r.cluster), ...later.map(([cluster]) => cluster)];
    expect(new Set(asked).size).toBe(21);
  });

  it('acknowledges an escalation, on its record, or says that there is none', async () => {
    const { cloud, a, ask } = setUp();
    expect(await ask({ action: 'acknowledge', cluster: 'orders', by: 'ada' })).toMatchObject({ accepted: false });
    const escalation = { node: a, incident: 'orders-x-e1', attempts: 2, atMs: 1, reason: 'SeedFailed' };
    await cloud.ledger.setEscalation('orders', escalation);
    expect(await ask({ action: 'acknowledge', cluster: 'orders', by: 'ada' })).toMatchObject({ accepted: true });
    expect(cloud.aws.ledgers.get('orders')?.escalation).toBeNull();
    expect((await cloud.ledger.incident('orders', 'orders-x-e1')).map((e) => e.why)).toEqual([
      'by ada; it had failed: SeedFailed',
    ]);
  });

  it('answers the ledger, the brake and the open incident', async () => {
    const { cloud, a, ask } = setUp();
    await cloud.ledger.openIncident('orders', { id: 'orders-x-e1', openedAtMs: 1, node: a, diagnosis: 'NODE_CRASHED' });
    await cloud.ledger.record('orders', 'orders-x-e1', 'k', {
      atMs: 1,
      who: 'reconcile',
      what: 'opened',
      why: 'because',
    });
    const answer = await ask({ action: 'status', cluster: 'orders' });
    expect(answer).toMatchObject({
      accepted: true,
      message: 'incident orders-x-e1',
      ledger: { writer: a, epoch: 1 },
      brake: { engaged: false },
      incident: [{ what: 'opened', why: 'because' }],
    });
    expect(cloud.aws.requests).toEqual([]);
  });
});
