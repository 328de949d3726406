/** AWS's token buckets as nights and the fleet's benchmark have them. */
import { describe, expect, it } from 'vitest';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import { Account } from '../../../simulator/aws/account.ts';
import { apiCalls } from '../../../simulator/aws/calls.ts';
import { bucketsOf, LIMITS } from '../../../simulator/aws/limits.ts';
import { SimClock } from '../../../simulator/clock.ts';
import { INTERFACES } from '../../../simulator/plane.ts';
import { Random } from '../../../simulator/random.ts';
import { Actor } from '../../../simulator/actor.ts';
import { simulate } from '../../../simulator/simulate.ts';
import { World } from '../../../simulator/world.ts';
import { fakeCloud } from '../../fakes/index.ts';

const RUN = 'ec2:RunInstances';
const anAccount = () => {
  const clock = new SimClock();
  return { clock, account: new Account(clock, new Random(1), LIMITS) };
};
/** How many of `count` requests pass. */
const passed = (account: Account, api: string, count: number): number =>
  Array.from({ length: count }, () => account.take(api)).filter((passes) => passes).length;

describe("the account's buckets", () => {
  it('take a burst, and then what comes back', async () => {
    const { clock, account } = anAccount();
    expect(passed(account, RUN, 10)).toBe(5);
    await clock.run(clock.nowMs() + 1500);
    expect(passed(account, RUN, 10)).toBe(3);
    await clock.run(clock.nowMs() + 60_000);
    expect(passed(account, RUN, 10)).toBe(5);
    expect(account.asked.get(RUN)).toEqual({ passed: 13, refused: 17 });
  });

  it('are shared: what registers and deregisters, all of Route 53, a launch and what it launches', () => {
    const { account } = anAccount();
    expect(passed(account, 'elasticloadbalancing:RegisterTargets', 15)).toBe(15);
    expect(passed(account, 'elasticloadbalancing:DeregisterTargets', 15)).toBe(5);
    expect(passed(account, 'route53:ListResourceRecordSets', 30)).toBe(30);
    expect(passed(account, 'route53:ChangeResourceRecordSets', 30)).toBe(20);
    expect(bucketsOf(RUN)).toEqual([RUN, `${RUN} instances`]);
    expect(passed(account, 'dynamodb:UpdateItem', 1000)).toBe(1000);
  });

  it('are emptied by others who ask for more than comes back, and then each has the same chance', async () => {
    const { clock, account } = anAccount();
    account.share(RUN, 20);
    expect(passed(account, RUN, 1)).toBe(1);
    await clock.run(clock.nowMs() + 10_000);
    const some = passed(account, RUN, 1000);
    expect(some).toBeGreaterThan(50);
    expect(some).toBeLessThan(150);
    account.share(RUN, 1e9);
    expect(passed(account, RUN, 100)).toBe(0);
    account.share(RUN, 1);
    await clock.run(clock.nowMs() + 3000);
    expect(passed(account, RUN, 10)).toBe(3);
  });

  it.each([
    ['ec2:RunInstances', 4, 3500],
    ['states:DescribeExecution', 2, 500],
  ])('refuse %s, and the SDK asks %i times within %i ms', async (api, requests, mostMs) => {
    const { clock, account } = anAccount();
    for (const bucket of bucketsOf(api)) account.share(bucket, 1e9);
    await clock.run(clock.nowMs() + 2000);
    const beganMs = clock.nowMs();
    expect(account.take(api)).toBe(false);
    const failed = account
      .tryAgain(api, () => false)
      .then(
        () => null,
        (error: unknown) => ({ error, atMs: clock.nowMs() }),
      );
    await clock.run(clock.nowMs() + 10_000);
    const end = await failed;
    expect(end?.error).toBeInstanceOf(CloudUnavailable);
    expect(end?.atMs).toBeGreaterThan(beganMs);
    expect(end?.atMs).toBeLessThanOrEqual(beganMs + mostMs);
    expect(account.asked.get(api)).toEqual({ passed: 0, refused: requests });
  });
});

describe('what a call of a port costs', () => {
  it('is known of every method of every port', () => {
    const notAws = ['aws', 'clock', 'log', 'metrics'];
    for (const [name, port] of Object.entries(fakeCloud()).filter(([name]) => !notAws.includes(name))) {
      const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(port)).filter((m) => m !== 'constructor');
      expect(methods.length).toBeGreaterThan(0);
      for (const method of methods) {
        const call = { operation: `${INTERFACES[name] ?? name}.${method}`, args: [] };
        expect(() => apiCalls(call, { clusters: 1 }), call.operation).not.toThrow();
      }
    }
  });

  it.each([
    ['TargetGroups.register', ['arn', []], []],
    ['TargetGroups.register', ['arn', [{ id: 'i-1', port: 1 }]], ['elasticloadbalancing:RegisterTargets']],
    ['Volumes.attach', ['vol-1', 'i-1', '/dev/sdf'], ['ec2:DescribeVolumes', 'ec2:AttachVolume']],
    ['TargetGroups.ensureTermination', ['arn', 0], ['elasticloadbalancing:DescribeTargetGroupAttributes']],
    [
      'TargetGroups.ensureTermination',
      ['arn', 30],
      ['elasticloadbalancing:DescribeTargetGroupAttributes', 'elasticloadbalancing:ModifyTargetGroupAttributes'],
    ],
  ])('%s(%j): %j', (operation, args, apis) => {
    const differs = (_arn: string, seconds: number) => seconds !== 0;
    expect(apiCalls({ operation, args }, { clusters: 1, differs })).toEqual(apis);
  });

  it('is known of all that an archive asks in a night', async () => {
    const { violations } = await simulate(2, { archive: true });
    expect(violations.filter((v) => v.rule === 'simulator')).toEqual([]);
  });

  it('fails a night in which nobody knows it', async () => {
    const world = new World(1, 'galera');
    Object.assign(world.cloud, { moon: { land: () => Promise.resolve() } });
    const ports = world.plane.portsOf(new Actor('somebody')) as unknown as { moon: { land(): Promise<void> } };
    void ports.moon.land();
    await world.clock.run(world.clock.nowMs() + 1000);
    expect(world.guard.violations.map((v) => `${v.rule}: ${v.what}`)).toEqual([
      expect.stringMatching(/^simulator: .*moon\.land: which API call/),
    ]);
  });
});

describe('the budget of one cluster', () => {
  it.each([
    [0, 1, 'ec2:DescribeInstances is refused, and nobody else has asked for much'],
    [1, 200, null],
    [1, 201, 'ec2:DescribeInstances is asked 201 times in vain within 10 s, at most 200'],
  ])('storms %i, refused %i times within 10 s: %s', async (storms, times, told) => {
    const world = new World(1, 'galera');
    await world.clock.run(world.clock.nowMs() + 20_000);
    if (storms > 0) world.others.begin(true);
    for (let i = 0; i < times; i += 1) world.budget.refused('ec2:DescribeInstances');
    const [first] = world.guard.violations;
    if (told === null) expect(first).toBeUndefined();
    else expect(`${first?.rule}: ${first?.what}`).toContain(`budget: ${told}`);
  });

  it('a storm of requests over longer than that is none', async () => {
    const world = new World(1, 'galera');
    world.others.begin(true);
    for (let i = 0; i < 40; i += 1) {
      world.budget.refused('ec2:RunInstances');
      await world.clock.run(world.clock.nowMs() + 600);
      if (!world.others.stormed(0)) break;
    }
    expect(world.guard.violations).toEqual([]);
  });
});
