/** The safety rules that reconcile keeps, one by one. Each of these fails when the rule's code is taken out. */
import { describe, expect, it } from 'vitest';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import type { Turn } from '../../../lambdas/cloud/ports.ts';
import { apply } from '../../../lambdas/reconcile/apply.ts';
import type { Applied } from '../../../lambdas/reconcile/apply.ts';
import { diagnose } from '../../../lambdas/reconcile/diagnose.ts';
import { observe } from '../../../lambdas/reconcile/observe.ts';
import { plan } from '../../../lambdas/reconcile/plan.ts';
import type { Plan } from '../../../lambdas/model/change.ts';
import { READER_GROUP, WRITER_GROUP, aSpec, fakeCloud, healthyCluster } from '../../fakes/index.ts';
import { idOf, shortChanges, shortRefusals, viewOf } from './scenario.ts';
import type { Scenario } from './scenario.ts';

const planOf = (s: Scenario): Plan => {
  const view = viewOf(s);
  return plan(view, diagnose(view), view.atMs);
};
const starts = (p: Plan): string[] => shortChanges(p).filter((c) => c.startsWith('start'));
const crashed = { says: 'refused', suspectForSeconds: 5 } as const;

describe('before all: one failed probe triggers nothing', () => {
  it.each<[string, NonNullable<Scenario['nodes']>[string]]>([
    ['a first failure', { says: 'refused' }],
    ['a second one too soon after', { says: 'silent', suspectForSeconds: 1.4 }],
    [
      'a first failure of a node that was partitioned for long',
      { says: 'refused', suspectForSeconds: 500, suspectOf: 'partitioned' },
    ],
  ])('%s changes no routing and starts nothing', (_, a) => {
    expect(shortChanges(planOf({ nodes: { a } })).filter((c) => !c.startsWith('suspect'))).toEqual([]);
  });

  it('the same failure 1.5 s later does', () => {
    expect(shortChanges(planOf({ nodes: { a: { says: 'refused', suspectForSeconds: 1.5 } } }))).toContain(
      'writer a -> b',
    );
  });
});

describe('rule 1: the last healthy target stays', () => {
  it('when no node serves, nothing leaves the read group', () => {
    const p = planOf({ nodes: { a: crashed, b: crashed, c: crashed } });
    expect(shortChanges(p).filter((c) => /cut|drain/.test(c))).toEqual([]);
    expect(shortRefusals(p.refusals)).toContain('REFUSED_LAST_HEALTHY_TARGET b');
  });

  it('a drain waits while the balancer finds no other target healthy', () => {
    const p = planOf({ maintenance: 'c', readGroup: 'a/initial b/unhealthy c' });
    expect(shortChanges(p).filter((c) => /cut|drain/.test(c))).toEqual([]);
    expect(shortRefusals(p.refusals)).toEqual(['REFUSED_LAST_HEALTHY_TARGET c']);
  });

  it('a serving node comes into the group before the lost one leaves, when no other is there', () => {
    const p = planOf({ nodes: { c: crashed }, readGroup: 'c' });
    const group = shortChanges(p).filter((c) => c.includes('read group'));
    expect(group).toEqual(['register a b with the read group', 'cut c from the read group']);
  });

  it('the lost target stays when the one that serves could not be registered', async () => {
    const cloud = fakeCloud();
    const [a, b, c] = healthyCluster(cloud.aws).map((i) => i.id);
    for (const id of [a, b]) cloud.aws.targetGroups.get(READER_GROUP)?.targets.delete(`${id}:3306`);
    cloud.aws.setState(c ?? '', 'terminated');
    const view = await observe('orders', cloud);
    if (view === null) throw new Error('the cluster is declared');
    cloud.aws.failNext('TargetGroups.register', new Error('throttled'));
    await apply(plan(view, diagnose(view), view.atMs), view, cloud);
    const left = [...(cloud.aws.targetGroups.get(READER_GROUP)?.targets.values() ?? [])];
    expect(left).toEqual([{ id: c, port: 3306, state: 'healthy' }]);
  });
});

it('rule 1: a target stays when another look, at the same time, has taken out those that were to stay', async () => {
  const cloud = fakeCloud();
  const [a, b, c] = healthyCluster(cloud.aws).map((i) => i.id);
  cloud.aws.setState(c ?? '', 'terminated');
  const view = await observe('orders', cloud);
  if (view === null) throw new Error('the cluster is declared');
  const planned = plan(view, diagnose(view), view.atMs);
  const group = cloud.aws.targetGroups.get(READER_GROUP);
  for (const id of [a, b]) group?.targets.delete(`${id}:3306`);
  const applied = await apply(planned, view, cloud);
  expect([...(group?.targets.values() ?? [])]).toEqual([{ id: c, port: 3306, state: 'healthy' }]);
  expect(applied.refusals).toMatchObject([{ code: 'REFUSED_LAST_HEALTHY_TARGET', node: c }]);
});

describe('rule 2: at most one writer is routed', () => {
  it('the old writer leaves the group before the new one comes', () => {
    const group = shortChanges(planOf({ nodes: { a: crashed } })).filter((c) => /writer/.test(c));
    expect(group).toEqual(['writer a -> b', 'cut a from the writer group', 'register b with the writer group']);
  });

  it('the new one does not come when the old one could not be taken out', async () => {
    const cloud = fakeCloud();
    const [a] = healthyCluster(cloud.aws).map((i) => i.id);
    cloud.aws.setState(a ?? '', 'shutting-down');
    const view = await observe('orders', cloud);
    if (view === null) throw new Error('the cluster is declared');
    cloud.aws.failNext('TargetGroups.deregister', new Error('throttled'));
    const applied = await apply(plan(view, diagnose(view), view.atMs), view, cloud);
    expect(applied.failures).toHaveLength(1);
    expect([...(cloud.aws.targetGroups.get(WRITER_GROUP)?.targets.keys() ?? [])]).toEqual([`${a}:3306`]);
  });

  it('a second target of ours in the writer group is taken out', () => {
    expect(shortChanges(planOf({ writerGroup: 'a b' }))).toEqual(['drain 10 s b from the writer group']);
  });

  it('a plan of a past epoch routes nothing', async () => {
    const cloud = fakeCloud();
    const [a, , c] = healthyCluster(cloud.aws).map((i) => i.id);
    cloud.aws.setState(c ?? '', 'shutting-down');
    const view = await observe('orders', cloud);
    if (view === null) throw new Error('the cluster is declared');
    await cloud.ledger.setWriter('orders', 1, a ?? '');
    const applied = await apply(plan(view, diagnose(view), view.atMs), view, cloud);
    expect(applied.stale).toContain('epoch 2');
    expect(cloud.aws.callsOf('TargetGroups.deregister')).toEqual([]);
    expect(cloud.aws.callsOf('Workflows.start')).toEqual([]);
  });

  describe('an answer about the epoch that is older than the second it is good for', () => {
    type Ledger = ReturnType<typeof fakeCloud>['ledger'];
    const SLOW_MS = 8000;

    /** The writer is lost; each of the ledger's first `slow` answers to `operation` arrives late, after `meanwhile`. */
    async function applySlowly(
      operation: 'read' | 'setWriter',
      slow: number,
      meanwhile: (ledger: Ledger) => Promise<unknown> = () => Promise.resolve(),
    ): Promise<{ cloud: ReturnType<typeof fakeCloud>; applied: Applied }> {
      const cloud = fakeCloud();
      const [a] = healthyCluster(cloud.aws).map((i) => i.id);
      if (operation === 'setWriter') cloud.aws.setState(a ?? '', 'terminated');
      else cloud.aws.targetGroups.get(READER_GROUP)?.targets.delete(`${a}:3306`);
      const view = await observe('orders', cloud);
      if (view === null) throw new Error('the cluster is declared');
      let left = slow;
      const late = async <T>(answer: Promise<T>): Promise<T> => {
        const value = await answer;
        if (left === 0) return value;
        left -= 1;
        await meanwhile(cloud.ledger);
        await cloud.clock.sleep(SLOW_MS);
        return value;
      };
      const ledger = new Proxy(cloud.ledger, {
        get: (target, key) => {
          const member: unknown = Reflect.get(target, key, target);
          if (typeof member !== 'function') return member;
          return (...args: unknown[]): unknown => {
            const answer: unknown = Reflect.apply(member, target, args);
            return key === operation ? late(answer as Promise<unknown>) : answer;
          };
        },
      });
      const applied = await apply(plan(view, diagnose(view), view.atMs), view, { ...cloud, ledger });
      return { cloud, applied };
    }
    const claim = (ledger: Ledger): Promise<unknown> => {
      const by = {
        execution: 'e',
        incident: 'x',
        mode: 'replace',
        node: 'n',
        joiner: null,
        donor: null,
        launch: null,
      } as const;
      return ledger.claim('orders', { ...by, claimedAtMs: 0 });
    };
    const routed = (cloud: ReturnType<typeof fakeCloud>): unknown[] =>
      ['TargetGroups.deregister', 'TargetGroups.register', 'DnsZones.upsert'].flatMap((o) => cloud.aws.callsOf(o));

    it.each(['read', 'setWriter'] as const)('%s: nothing is routed when the epoch has gone on meanwhile', async (o) => {
      const { cloud, applied } = await applySlowly(o, 1, claim);
      expect(applied.stale).toContain('observe again');
      expect(routed(cloud)).toEqual([]);
    });

    it('is asked for again, and routed by when it has not', async () => {
      const { cloud, applied } = await applySlowly('read', 1);
      expect(applied).toMatchObject({ failures: [], stale: null });
      expect(routed(cloud)).not.toEqual([]);
    });

    it('fails the change when it is late again', async () => {
      const { cloud, applied } = await applySlowly('read', 2);
      expect(applied.failures.map((f) => String(f.error))).toEqual([expect.stringContaining('in time')]);
      expect(routed(cloud)).toEqual([]);
    });
  });

  it('nothing is routed when the new writer could not be written down', async () => {
    const cloud = fakeCloud();
    const [a] = healthyCluster(cloud.aws).map((i) => i.id);
    cloud.aws.setState(a ?? '', 'terminated');
    const view = await observe('orders', cloud);
    if (view === null) throw new Error('the cluster is declared');
    cloud.aws.failNext('Ledger.setWriter', new Error('throttled'));
    await apply(plan(view, diagnose(view), view.atMs), view, cloud);
    expect(cloud.aws.callsOf('TargetGroups.deregister')).toEqual([]);
    expect(cloud.aws.callsOf('TargetGroups.register')).toEqual([]);
    expect(cloud.aws.callsOf('DnsZones.upsert')).toEqual([]);
  });

  it('when another hand has changed the writer, nothing is routed', async () => {
    const cloud = fakeCloud();
    const [a, b] = healthyCluster(cloud.aws).map((i) => i.id);
    cloud.aws.setState(a ?? '', 'terminated');
    const view = await observe('orders', cloud);
    if (view === null) throw new Error('the cluster is declared');
    await cloud.ledger.setWriter('orders', 1, b ?? '');
    const applied = await apply(plan(view, diagnose(view), view.atMs), view, cloud);
    expect(applied.stale).not.toBeNull();
    expect(cloud.aws.callsOf('TargetGroups.register')).toEqual([]);
    expect(cloud.aws.callsOf('DnsZones.upsert')).toEqual([]);
  });
});

describe('rule 4: who may become the writer', () => {
  const writerOf = (nodes: NonNullable<Scenario['nodes']>, more: Scenario = {}): string | undefined =>
    shortChanges(planOf({ nodes: { a: { ec2: 'terminated' }, ...nodes }, ...more })).find((c) =>
      c.startsWith('writer'),
    );

  it.each<[string, NonNullable<Scenario['nodes']>[string]]>([
    ['a node outside the primary component', { says: 'Non-Primary' }],
    ['a node that has not caught up', { says: 'Joined' }],
    ['a read-only node', { readOnly: true }],
    ['a node that is not ready', { notReady: true }],
    ['a node that failed a probe', { says: 'silent' }],
  ])('%s is no candidate', (_, b) => {
    expect(writerOf({ b, c: { launchedHoursAgo: 1000 } })).toBe('writer a -> c');
    expect(writerOf({ b, c: { launchedHoursAgo: 1 } })).toBe('writer a -> c');
  });

  const otherHistory = { members: 'b', stateUuid: '99999999-1f64-11f0-9c3a-000000000001' };

  it('a node of another history is no candidate', () => {
    const p = planOf({ nodes: { b: otherHistory }, maintenance: 'a' });
    expect(shortChanges(p)).toContain('writer a -> c');
  });

  it('of two primary components without the writer neither is chosen', () => {
    expect(writerOf({ b: otherHistory })).toBeUndefined();
    const p = planOf({ nodes: { a: { ec2: 'terminated' }, b: otherHistory } });
    expect(shortRefusals(p.refusals)).toContain('REFUSED_NO_CANDIDATE a');
  });

  it('the joiner and the node in maintenance are no candidates, the donor is the second choice', () => {
    const claim = { mode: 'replace', node: 'a', joiner: 'b' } as const;
    expect(writerOf({}, { claim })).toBe('writer a -> c');
    expect(writerOf({}, { maintenance: 'b' })).toBe('writer a -> c');
    expect(writerOf({}, { claim: { mode: 'replace', node: 'a', donor: 'b' } })).toBe('writer a -> c');
  });
});

describe('rule 5: one recovery at a time', () => {
  it('starts nothing while a workflow holds the claim', () => {
    const p = planOf({ nodes: { c: { ec2: 'terminated' } }, claim: { mode: 'replace', node: 'b' } });
    expect(starts(p)).toEqual([]);
    expect(shortRefusals(p.refusals)).toEqual(['REFUSED_CLAIMED c']);
  });

  it('starts one of two', () => {
    const p = planOf({ nodes: { b: { ec2: 'terminated' }, c: { ec2: 'terminated' } } });
    expect(starts(p)).toHaveLength(1);
  });

  it('does not let go of the claim of a workflow that runs, however long', () => {
    const claim = { mode: 'replace', node: 'c', forSeconds: 86_400 } as const;
    expect(shortChanges(planOf({ nodes: { c: { ec2: 'terminated' } }, claim })).join()).not.toContain('release');
    const waiting = { ...claim, execution: 'PENDING_REDRIVE' } as const;
    expect(shortChanges(planOf({ nodes: { c: { ec2: 'terminated' } }, claim: waiting })).join()).not.toContain(
      'release',
    );
  });
});

describe('rule 6: never below quorum', () => {
  it('starts nothing when no other node serves', () => {
    const p = planOf({ nodes: { a: { says: 'Joined', notReady: true }, b: crashed, c: { says: 'Joining' } } });
    expect(starts(p)).toEqual([]);
    expect(shortRefusals(p.refusals)).toContain('REFUSED_QUORUM b');
  });
});

describe('rule 7: the brake', () => {
  it('an engaged brake stops recovery and not routing', () => {
    const p = planOf({ nodes: { a: { ec2: 'terminated' } }, brake: 'too many' });
    expect(starts(p)).toEqual([]);
    expect(shortChanges(p)).toContain('register b with the writer group');
  });

  it('engages before the start that would be one too many, and tells people', async () => {
    const cloud = fakeCloud();
    const [, , c] = healthyCluster(cloud.aws).map((i) => i.id);
    cloud.aws.addCluster(aSpec({ name: 'billing' }));
    for (const node of ['x', 'y', 'z'])
      await cloud.ledger.noteFailure({ cluster: 'billing', node, atMs: cloud.clock.nowMs() });
    cloud.aws.setState(c ?? '', 'terminated');
    const view = await observe('orders', cloud);
    if (view === null) throw new Error('the cluster is declared');
    const applied = await apply(plan(view, diagnose(view), view.atMs), view, cloud);
    expect(applied.refusals.map((r) => r.code)).toEqual(['REFUSED_BRAKE']);
    expect(cloud.aws.brake.engaged).toBe(true);
    expect(cloud.aws.callsOf('Workflows.start')).toEqual([]);
    expect(cloud.aws.callsOf('TargetGroups.deregister')).toHaveLength(1);
  });

  it('a brake that cannot be asked does not let anything start', async () => {
    const cloud = fakeCloud();
    const [, , c] = healthyCluster(cloud.aws).map((i) => i.id);
    cloud.aws.setState(c ?? '', 'terminated');
    const view = await observe('orders', cloud);
    if (view === null) throw new Error('the cluster is declared');
    cloud.aws.failNext('Ledger.failuresSince', new Error('throttled'));
    const applied = await apply(plan(view, diagnose(view), view.atMs), view, cloud);
    expect(applied.failures.map((f) => f.change.kind)).toEqual(['StartRecovery']);
    expect(cloud.aws.callsOf('Workflows.start')).toEqual([]);
  });
});

describe('rule 8: only what is ours', () => {
  it('leaves foreign targets and ours on another port where they are', () => {
    const p = planOf({ writerGroup: 'a i-0ffffffffffffffff', readGroup: 'a b c c:3307 i-0ffffffffffffffff' });
    expect(p.changes).toEqual([]);
    expect(p.refusals.map((r) => r.code)).toEqual(['REFUSED_FOREIGN', 'REFUSED_FOREIGN', 'REFUSED_FOREIGN']);
  });

  it.each([null, 'somebody'])('leaves a record owned by %s as it is, and creates a missing one', (owner) => {
    expect(planOf({ dns: { says: '10.9.9.9', owner } }).changes).toEqual([]);
    expect(shortChanges(planOf({ dns: { says: '', owner: null } }))).toEqual(['dns -> a']);
  });

  it('takes out a target that EC2 has forgotten only when the ledger knows it', () => {
    expect(planOf({ readGroup: `a b c ${idOf('z')}` }).changes).toEqual([]);
    const known = planOf({ readGroup: 'a b c z', incident: { node: 'z' } });
    expect(shortChanges(known)).toContain('cut z from the read group');
  });
});

describe('rule 9: DNS is never in the way', () => {
  it('recovery starts before the record is written, and a failing record stops nothing', async () => {
    const cloud = fakeCloud();
    const [a] = healthyCluster(cloud.aws).map((i) => i.id);
    cloud.aws.setState(a ?? '', 'terminated');
    const view = await observe('orders', cloud);
    if (view === null) throw new Error('the cluster is declared');
    cloud.aws.failNext('DnsZones.upsert', new Error('Route 53 is away'));
    const applied = await apply(plan(view, diagnose(view), view.atMs), view, cloud);
    expect(applied.failures.map((f) => f.change.kind)).toEqual(['UpsertRecord']);
    const order = cloud.aws.calls.map((c) => c.operation);
    expect(order.indexOf('Workflows.start')).toBeLessThan(order.indexOf('DnsZones.upsert'));
    expect(cloud.aws.executions.size).toBe(1);
  });

  /** The first of three is lost; `whenAsked`: what happens while the record's change waits for its turn. */
  async function changed(whenAsked: (cloud: ReturnType<typeof fakeCloud>) => Promise<void>) {
    const cloud = fakeCloud();
    const [a] = healthyCluster(cloud.aws).map((i) => i.id);
    cloud.aws.setState(a ?? '', 'terminated');
    const view = await observe('orders', cloud);
    if (view === null) throw new Error('the cluster is declared');
    const turn = (kind: Turn): Promise<void> => (kind === 'dns' ? whenAsked(cloud) : Promise.resolve());
    const pace = { turn, may: () => true, isShort: () => false };
    const applied = await apply(plan(view, diagnose(view), view.atMs), view, { ...cloud, pace });
    return { cloud, applied };
  }

  it('a record whose change has no turn is left, and the rest is done', async () => {
    const { cloud, applied } = await changed(() => Promise.reject(new CloudUnavailable('dns: no turn within 5 s')));
    expect(applied.failures.map((f) => f.change.kind)).toEqual(['UpsertRecord']);
    expect(cloud.aws.callsOf('DnsZones.upsert')).toEqual([]);
    expect(cloud.aws.executions.size).toBe(1);
  });

  it('a turn that took seconds to come is followed by a look at the epoch (rule 2)', async () => {
    const { cloud, applied } = await changed(async ({ clock, ledger }) => {
      await clock.sleep(3000);
      const { cluster } = await ledger.read('orders');
      await ledger.setWriter('orders', cluster.epoch, 'i-another');
    });
    expect(applied.stale).toContain('orders is at epoch');
    expect(cloud.aws.callsOf('DnsZones.upsert')).toEqual([]);
  });
});
