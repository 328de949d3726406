/** What EC2 and SSM refuse in production, though no emulator does. */
import { describe, expect, it } from 'vitest';
import { HostOffline } from '../../../lambdas/cloud/ports.ts';
import { INCIDENT_TAG, REPLACES_TAG } from '../../../lambdas/model/spec.ts';
import { READER_GROUP, aStatus, answered } from '../../fakes/index.ts';
import { World } from '../../support/recovery-world.ts';
import { INCIDENT, run } from './run.ts';

const refusal = (name: string): Error => Object.assign(new Error('EC2 says no'), { name, $fault: 'client' });

describe('hosts that do not take commands yet', () => {
  it.each(['galera-prepare', 'galera-join'])('%s is sent again, and the new instance is kept', async (document) => {
    const world = new World();
    world.terminates(world.node(2).id);
    let refused = 0;
    const { hosts } = world.cloud;
    const start = hosts.start.bind(hosts);
    hosts.start = (instance, name, parameters) => {
      if (name !== document || refused === 3) return start(instance, name, parameters);
      refused += 1;
      return Promise.reject(new HostOffline('Instances not in a valid state for account'));
    };
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(refused).toBe(3);
    expect(world.launched().map((i) => i.state)).toEqual(['running']);
  });

  it('a host that never takes galera-join is given up by its deadline, not waited for without end', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    world.aws.before = (call) => {
      if (call.operation === 'HostCommands.start' && call.args[1] === 'galera-join') throw new HostOffline('no');
    };
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status).toBe('FAILED');
    expect(world.ledger().escalation?.reason).toContain('JoinFailed: galera-join');
  });
});

describe('a surviving volume', () => {
  it("rule 8: without the cluster's tag is left alone, and the node is seeded from a peer", async () => {
    const world = new World();
    const lost = world.node(2);
    world.dies(lost.id, 'silent');
    const id = lost.volumes[0]?.volumeId ?? '';
    const volume = world.aws.volumes.get(id);
    if (volume === undefined) throw new Error('the lost node has no volume');
    // Tags of an instance do not reach volumes by themselves, so this is how a person's first nodes look.
    world.aws.volumes.set(id, { ...volume, tags: {} });
    const ended = await run(world, 'replace', lost);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.aws.callsOf('Volumes.detach')).toEqual([]);
    expect(world.aws.callsOf('Volumes.attach')).toEqual([]);
    expect(world.launched()).toHaveLength(1);
    expect(world.record(INCIDENT).some((l) => l.includes('does not carry rejoin:cluster=orders'))).toBe(true);
  });
});

describe('what EC2 refuses has its heading in the runbook', () => {
  it('a launch: LaunchFailed with its reason', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    world.aws.failNext('Instances.launch', refusal('VcpuLimitExceeded'), { times: 9 });
    await run(world, 'replace', world.node(2));
    expect(world.ledger().escalation?.reason).toMatch(/^LaunchFailed: EC2 refuses to launch .*VcpuLimitExceeded/);
    expect(world.aws.published[0]?.body).toContain('docs/runbook.md#launchfailed');
  });

  it('a stop: FenceFailed with its reason, and nothing is launched', async () => {
    const world = new World();
    world.dies(world.node(2).id, 'silent');
    world.aws.failNext('Instances.stop', refusal('OperationNotPermitted'), { times: 9 });
    await run(world, 'replace', world.node(2));
    expect(world.launched()).toEqual([]);
    expect(world.ledger().escalation?.reason).toMatch(/^FenceFailed: EC2 refuses to stop .*OperationNotPermitted/);
  });

  it('a stop of an instance that has just begun to stop by itself is no failure', async () => {
    const world = new World();
    const lost = world.node(2);
    world.dies(lost.id, 'silent');
    world.aws.failNext('Instances.stop', refusal('IncorrectInstanceState'));
    const ended = await run(world, 'replace', lost);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
  });
});

describe('LeaveSafe', () => {
  it('does not terminate what an earlier execution of the incident has brought in, though one probe of it fails', async () => {
    const world = new World();
    const earlier = world.aws.addInstance({
      cluster: 'orders',
      launchedAtMs: world.aws.clock.nowMs() - 3_600_000,
      tags: { [INCIDENT_TAG]: INCIDENT, [REPLACES_TAG]: world.node(2).id },
    });
    world.terminates(world.node(2).id);
    world.dies(earlier.id, 'silent');
    world.aws.failNext('Ledger.amendClaim', refusal('ValidationException'), { times: 99 });
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.visited).toContain('LeaveSafe');
    expect(world.aws.callsOf('Instances.terminate')).toEqual([]);
    world.says(earlier.id, answered(aStatus({ nodeName: earlier.id })));
    expect(world.serving()).toContain(earlier.id);
  });

  it('leaves a joiner that was not Synced in time: a transfer may still be under way (runbook, NotCaughtUp)', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    world.refusesMs = 24 * 3_600_000;
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status).toBe('FAILED');
    expect(world.ledger().escalation?.reason).toContain('NotCaughtUp');
    expect(world.launched().map((i) => i.state)).toEqual(['running']);
    expect(world.ledger().claim).toBeNull();
  });

  it('a full transfer of an hour is waited for, and the node goes into service', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    world.aws.volumes.clear();
    world.refusesMs = 3_600_000;
    world.joinsMs = 3_700_000;
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.aws.targetGroups.get(READER_GROUP)?.targets.size).toBeGreaterThan(0);
  });
});
