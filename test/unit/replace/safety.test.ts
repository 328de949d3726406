/** The safety rules that the replacement workflow keeps: each test fails when its rule's code is taken out. */
import { describe, expect, it } from 'vitest';
import { World } from '../../support/recovery-world.ts';
import { INCIDENT, run } from './run.ts';

describe('safety', () => {
  it('rule 3: nothing is launched before EC2 says that the lost node is stopped', async () => {
    const world = new World();
    const lost = world.node(2);
    world.dies(lost.id, 'silent');
    const atLaunch: unknown[] = [];
    world.onCall = (call) => {
      if (call.operation === 'Instances.launch') atLaunch.push(world.aws.instances.get(lost.id)?.state);
    };
    const ended = await run(world, 'replace', lost);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(atLaunch).toEqual(['stopped']);
    expect(world.record(INCIDENT).some((l) => l.startsWith(`${lost.id} is fenced: EC2 says stopped at `))).toBe(true);
  });

  it('rule 3: a node that EC2 cannot get down is not replaced', async () => {
    const world = new World();
    world.dies(world.node(2).id, 'silent');
    world.aws.stopMs = 3_600_000;
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status).toBe('FAILED');
    expect(world.launched()).toHaveLength(0);
    expect(world.ledger().escalation?.reason).toContain('FenceFailed');
  });

  it('rule 5: the claim of another workflow is respected, without a word to people', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    const theirs = {
      execution: 'arn:other',
      incident: 'x',
      mode: 'replace',
      node: null,
      joiner: null,
      donor: null,
      launch: null,
      claimedAtMs: 1,
    } as const;
    world.setLedger({ claim: theirs });
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.visited.at(-1)).toBe('Withdrawn');
    expect(world.ledger().claim).toEqual(theirs);
    expect(world.ledger().escalation).toBeNull();
    expect(world.aws.published).toEqual([]);
    expect(world.launched()).toEqual([]);
  });

  it.each(['Ledger.claim', 'Instances.stop', 'Instances.launch', 'HostCommands.start'])(
    'rule 5: a claim lost right after %s ends every further act',
    async (operation) => {
      const world = new World();
      world.dies(world.node(2).id, 'silent');
      let taken = 0;
      world.onCall = (call) => {
        const holder = world.ledger().claim?.execution;
        if (
          holder === 'arn:other' &&
          /^(Instances\.(stop|launch|terminate)|Volumes\.(de|at)|HostCommands\.start)/.test(call.operation)
        ) {
          taken += 1;
        }
        if (call.operation !== operation || holder === 'arn:other') return;
        world.setLedger({
          claim: {
            execution: 'arn:other',
            incident: 'x',
            mode: 'replace',
            node: null,
            joiner: null,
            donor: null,
            launch: null,
            claimedAtMs: 1,
          },
        });
      };
      const ended = await run(world, 'replace', world.node(2));
      expect(ended.visited.at(-1)).toBe('Withdrawn');
      expect(taken).toBe(0);
      expect(world.ledger().claim?.execution).toBe('arn:other');
      expect(world.aws.published).toEqual([]);
    },
  );

  it('rule 6: a node is not stopped when no other node serves', async () => {
    const world = new World();
    for (const n of world.nodes) world.dies(n.id, 'silent');
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status).toBe('FAILED');
    expect(world.aws.callsOf('Instances.stop')).toEqual([]);
    expect(world.ledger().escalation?.reason).toContain('QuorumAtRisk');
  });

  it('rule 6: what is left of a database is not ended when no other node serves', async () => {
    const world = new World();
    for (const n of world.nodes) world.dies(n.id);
    await run(world, 'rejoin', world.node(2));
    expect(world.aws.callsOf('HostCommands.start')).toEqual([]);
    expect(world.ledger().escalation?.reason).toContain('QuorumAtRisk');
  });

  it('rule 7: the brake engaged before the start refuses the claim', async () => {
    const world = new World();
    world.aws.brake = { engaged: true, reason: 'four nodes in two clusters', sinceMs: 1 };
    await run(world, 'replace', world.node(2));
    expect(world.ledger().claim).toBeNull();
    expect(world.ledger().escalation?.reason).toContain('BrakeEngaged');
  });

  it('rule 7: the brake engaged in the middle stops the next destructive act', async () => {
    const world = new World();
    world.dies(world.node(2).id, 'silent');
    world.onCall = (call) => {
      if (call.operation === 'Ledger.claim') world.aws.brake = { engaged: true, reason: 'many failures', sinceMs: 1 };
    };
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status).toBe('FAILED');
    expect(world.aws.callsOf('Instances.stop')).toEqual([]);
    expect(world.aws.published[0]?.body).toContain('docs/runbook.md#brakeengaged');
  });

  it('rule 7: the brake engaged at the end leaves the old instance and says so', async () => {
    const world = new World();
    world.dies(world.node(2).id, 'silent');
    world.onCall = (call) => {
      if (call.operation === 'TargetGroups.health')
        world.aws.brake = { engaged: true, reason: 'many failures', sinceMs: 1 };
    };
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status).toBe('SUCCEEDED');
    expect(world.aws.callsOf('Instances.terminate')).toEqual([]);
    expect(world.aws.published[0]?.body).toContain('Left undone');
  });

  it('rule 6: the old instance is not terminated when nobody serves any more', async () => {
    const world = new World();
    world.dies(world.node(2).id, 'silent');
    world.onCall = (call) => {
      if (call.operation !== 'Ledger.record' || !String(call.args[2]).includes('/routed-')) return;
      for (const id of world.serving()) world.dies(id);
    };
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status).toBe('SUCCEEDED');
    expect(world.aws.callsOf('Instances.terminate')).toEqual([]);
    expect(world.aws.published[0]?.body).toContain('Left undone: will not terminate');
  });

  it('rule 7: the brake engaged after the fence leaves the volume where it is', async () => {
    const world = new World();
    world.dies(world.node(2).id, 'silent');
    world.onCall = (call) => {
      if (call.operation === 'Instances.launch')
        world.aws.brake = { engaged: true, reason: 'many failures', sinceMs: 1 };
    };
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status).toBe('FAILED');
    expect(world.aws.callsOf('Volumes.detach')).toEqual([]);
    // Not even what was launched is terminated: the next try goes on with it.
    expect(world.aws.callsOf('Instances.terminate')).toEqual([]);
    world.aws.brake = { engaged: false, reason: null, sinceMs: null };
    world.onCall = () => undefined;
    const again = await run(world, 'replace', world.node(2));
    expect(again.status, JSON.stringify(again.errors)).toBe('SUCCEEDED');
    expect(world.launched()).toHaveLength(1);
  });

  it("rule 8: an instance without the cluster's tag is not touched", async () => {
    const world = new World();
    const foreign = world.aws.addInstance({ cluster: 'billing', state: 'running' });
    const ended = await run(world, 'replace', foreign);
    expect(ended.status).toBe('FAILED');
    expect(world.aws.callsOf('Instances.stop')).toEqual([]);
    expect(world.ledger().escalation?.reason).toContain('FenceFailed');
  });

  it.each([
    ['the lost node, tagged for the cluster, is deleted', { 'rejoin:cluster': 'orders' }, true],
    ['nobody, without a tag, stays', {}, false],
    ['another cluster stays', { 'rejoin:cluster': 'billing' }, false],
  ])('rule 8: a leftover volume of %s', async (_, tags, deleted) => {
    const world = new World();
    const lost = world.node(2);
    const id = lost.volumes[0]?.volumeId ?? '';
    world.dies(lost.id, 'silent');
    const volume = world.aws.volumes.get(id);
    if (volume === undefined) throw new Error('the lost node has no volume');
    world.aws.volumes.set(id, { ...volume, tags });
    // No room where the volume is: the replacement has a disk of its own.
    world.aws.failNext(
      'Instances.launch',
      Object.assign(new Error('no room'), { name: 'InsufficientInstanceCapacity' }),
    );
    const ended = await run(world, 'replace', lost);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.aws.volumes.has(id)).toBe(!deleted);
  });

  it('rule 8: volumes of the cluster that nobody uses stay, and people are told of each', async () => {
    const world = new World();
    const lost = world.node(2);
    world.terminates(lost.id);
    const free = { state: 'available', zone: 'eu-west-1c', attachedTo: null, device: null } as const;
    const marked = { 'rejoin:cluster': 'orders', 'rejoin:unusable': 'orders-e7' };
    world.aws.volumes.set('vol-left', { id: 'vol-left', tags: marked, ...free });
    world.aws.volumes.set('vol-theirs', { id: 'vol-theirs', tags: { 'rejoin:cluster': 'billing' }, ...free });
    const ended = await run(world, 'replace', lost);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.aws.callsOf('Volumes.delete')).toEqual([]);
    const told = world.record(INCIDENT).filter((line) => line.startsWith('leaves the volume'));
    expect(told).toEqual([
      'leaves the volume vol-left: it is attached to nobody in eu-west-1c, and is marked rejoin:unusable: ' +
        'delete it when nothing on it is needed any more',
    ]);
    expect(world.aws.published.at(-1)?.body).toContain(told[0]?.split(':')[0]);
  });

  it('rule 12: every destructive act is on the record with its reason before it happens', async () => {
    const world = new World();
    world.dies(world.node(2).id, 'silent');
    const acts: Record<string, RegExp> = {
      'Instances.stop': /^stops i-.* by force: .*does not serve/,
      'Volumes.detach': /^detaches vol-.*: the node is fenced/,
      'Instances.terminate': /^terminates i-.*: fenced, and/,
    };
    const seen = new Set<string>();
    const unrecorded: string[] = [];
    world.onCall = (call) => {
      const line = acts[call.operation];
      if (line === undefined) return;
      seen.add(call.operation);
      if (!world.record(INCIDENT).some((l) => line.test(l))) unrecorded.push(call.operation);
    };
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect([...seen].toSorted()).toEqual(Object.keys(acts).toSorted());
    expect(unrecorded).toEqual([]);
  });
});
