/** The restore workflow, by running its definition against an archive, hosts and an EC2 in memory. */
import { describe, expect, it } from 'vitest';
import { runStep } from '../../../lambdas/recovery/step.ts';
import { restoring } from '../../../lambdas/restore/steps.ts';
import { restoreDefinition } from '../../../lib/workflows/restore.ts';
import type { Run } from '../../support/asl.ts';
import { EXECUTION, failed } from '../../support/recovery-world.ts';
import { RestoreWorld } from '../../support/restore-world.ts';
import { T0, binlog, iso, sec } from '../archive/listing.ts';

const definition = restoreDefinition({ functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:x' });
const NEW = 'orders-r202611201410';

const prepare = (): RestoreWorld => new RestoreWorld(sec(600));
const run = (world: RestoreWorld, input: object = {}): Promise<Run> =>
  world.run(definition, restoring(world.archive), { cluster: 'orders', target: 'latest', ...input });

/** Whatever happened, the cluster that is there was not touched. */
function expectUntouched(world: RestoreWorld, where?: string): void {
  expect(
    world.serving().filter((id) => world.nodes.some((n) => n.id === id)),
    where,
  ).toHaveLength(3);
  const acts =
    /^(HostCommands\.start|Instances\.(stop|terminate)|Volumes\.|TargetGroups\.(de)?register|DnsZones\.upsert|Ledger\.(set|claim))/;
  const touched = world.aws.calls.filter(
    (c) => acts.test(c.operation) && world.nodes.some((n) => JSON.stringify(c.args).includes(n.id)),
  );
  expect(touched, where).toEqual([]);
}

describe('a restore', () => {
  it('makes a new cluster of one node, at the target, and says where it is', async () => {
    const world = prepare();
    const ended = await run(world, { target: '0-1-160' });
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    const [node, ...more] = world.live(NEW);
    expect(more).toEqual([]);
    expect(world.asked.at(-1)).toMatchObject({ instance: node?.id, parameters: { Bucket: 'rejoin-archive' } });
    const plan = Buffer.from(world.aws.objects.get(world.asked[0]?.parameters.Plan ?? '') ?? []).toString();
    expect(plan).toContain('target\tgtid\t0-1-160\nend\t0-1-180\n');
    expect(ended.output).toMatchObject({
      address: `${node?.privateIp ?? ''}:3306`,
      answer: { restoredTo: '0-1-160' },
      plan: { as: NEW },
    });
    expect(world.aws.published.map((p) => p.subject)).toEqual([`Rejoin: orders: restored as ${NEW}`]);
    expectUntouched(world);
  });

  it('works from the bucket alone: no call of the ledger', async () => {
    const world = prepare();
    world.aws.ledgers.clear();
    expect((await run(world)).status).toBe('SUCCEEDED');
    expect(world.aws.calls.filter((c) => c.operation.startsWith('Ledger.'))).toEqual([]);
  });

  it('a dry run has the plan as its output, and nothing else happens', async () => {
    const world = prepare();
    const before = world.aws.objects.size;
    const ended = await run(world, { target: iso(15).replace('.000', ''), dryRun: true, as: 'copy' });
    expect(ended.status).toBe('SUCCEEDED');
    expect(ended.output).toMatchObject({
      plan: { as: 'copy', summary: { log: { objects: 1 }, notIncluded: { objects: 1 } } },
    });
    expect(world.launched()).toEqual([]);
    expect(world.aws.objects.size).toBe(before);
  });

  it('a Lambda killed before or after any of its calls: one node all the same', async () => {
    const whole = prepare();
    await run(whole);
    expect(whole.calls).toBeGreaterThan(25);
    for (let call = 1; call <= whole.calls; call += 1) {
      for (const moment of ['before', 'after'] as const) {
        const world = prepare();
        world.killAt({ call, moment });
        const ended = await run(world);
        const where = `${call} ${moment}: ${JSON.stringify(ended.errors)}`;
        expect(ended.errors[0]?.name, where).toBe('Runtime.ExitError');
        expect(ended.status, where).toBe('SUCCEEDED');
        expect(world.launched(), where).toHaveLength(1);
        expectUntouched(world, where);
      }
    }
  }, 60_000);
});

describe('rule 11: a restore that is refused launches nothing, and the cause is the sentence', () => {
  it.each<[string, object, RegExp]>([
    ['a time without zone', { target: '2026-11-20T14:00:15' }, /^TIME_WITHOUT_ZONE: .*add Z for UTC/],
    ['no target', { target: undefined }, /^NOT_A_TARGET: the target is "": give "latest"/],
    ['the future', { target: iso(9000).replace('.000', '') }, /^IN_THE_FUTURE/],
    ['before the first', { target: iso(5).replace('.000', '') }, /^BEFORE_THE_FIRST/],
    ['beyond the end', { target: iso(31).replace('.000', '') }, /^BEYOND_THE_END/],
    ['a live cluster’s name', { as: 'orders' }, /^NAME_TAKEN: .*never writes to one that is there/],
    ['no name', { as: 'Orders 2' }, /^BAD_NAME/],
    ['an unknown history', { history: 'x' }, /^UNKNOWN_HISTORY/],
    ['another engine’s place', { target: '0/3000148' }, /^OTHER_ENGINE/],
    ['an unknown cluster', { cluster: 'stock' }, /^UNKNOWN_CLUSTER: .*give one of orders/],
  ])('%s', async (_, input, expected) => {
    const world = prepare();
    const ended = await run(world, input);
    expect(ended.status).toBe('FAILED');
    expect(ended.visited.at(-1)).toBe('Refused');
    expect(ended.cause).toMatch(expected);
    expect(world.launched()).toEqual([]);
    expectUntouched(world);
  });

  it('a hole in the log', async () => {
    const world = prepare();
    world.aws.objects.set(binlog('0-1-190', '0-1-200', 90).key, Buffer.from('1'));
    expect((await run(world, { target: '0-1-195' })).cause).toMatch(/^IN_A_HOLE: .*between 0-1-180 and 0-1-190/);
  });

  it('a damaged base', async () => {
    const world = prepare();
    const key = [...world.aws.objects.keys()].find((k) => k.endsWith('data.zst')) ?? '';
    world.aws.objects.set(key, Buffer.from('1'));
    expect((await run(world)).cause).toMatch(/^BASE_DAMAGED: .*1 bytes are stored, the manifest says 5/);
  });

  it('a name that somebody took meanwhile, between plan and launch', async () => {
    const world = prepare();
    world.onCall = ({ operation }) => {
      if (operation === 'ArchiveBucket.put') world.aws.addInstance({ cluster: NEW });
    };
    const ended = await run(world);
    expect(ended.cause).toMatch(/^NAME_TAKEN/);
    expect(world.launched()).toEqual([]);
  });

  it('rule 11: an instance that is not this restore’s is never acted on, whatever the state says', async () => {
    const world = prepare();
    const victim = world.node(0).id;
    const dry = await run(world, { dryRun: true });
    const state = { ...(dry.output as object), joiner: victim, ready: true, path: 'launch' };
    const { steps } = restoring(world.archive);
    for (const step of Object.keys(steps).filter(
      (s) => !['Plan', 'Refuse', 'Launch', 'AwaitRunning', 'Report', 'Escalate'].includes(s),
    )) {
      const event = { step, execution: EXECUTION, started: new Date(T0).toISOString(), state };
      const ended = await runStep(restoring(world.archive), event, world.cloud).then(
        () => 'done',
        (error: unknown) => (error instanceof Error ? error.message : ''),
      );
      if (!['StopNode', 'Withdraw'].includes(step)) expect(ended, step).toContain('is not what this restore launched');
    }
    expectUntouched(world);
  });
});

describe('a restore that fails', () => {
  it.each<[string, (w: RestoreWorld) => void, RegExp]>([
    [
      'the script fails',
      (w) => void (w.fails = (document) => (document === 'galera-restore' ? failed('the base is damaged') : null)),
      /galera-restore on i-\w+ failed with exit code 1: the base is damaged/,
    ],
    ['it stops beyond the target', (w) => void (w.answer = { restoredTo: '0-1-170' }), /beyond 0-1-160/],
    ['it stops before the target', (w) => void (w.answer = { restoredTo: '0-1-150' }), /lacks some of 0-1-160/],
    ['preparing fails', (w) => void (w.fails = (d) => (d === 'galera-prepare' ? failed('no disk') : null)), /no disk/],
    ['it does not serve', (w) => void (w.says = () => undefined), /does not serve what was restored/],
  ])('%s: the node is stopped and named, and no live cluster was touched', async (_, arrange, expected) => {
    const world = prepare();
    arrange(world);
    const ended = await run(world, { target: '0-1-160' });
    expect(ended.status).toBe('FAILED');
    const [node, ...more] = world.launched();
    expect(more).toEqual([]);
    expect(node?.state).toMatch(/^stop/);
    expect(world.aws.published).toHaveLength(1);
    expect(world.aws.published[0]?.body).toMatch(expected);
    expect(world.aws.published[0]?.body).toContain(`${node?.id ?? ''} was launched and is stopped`);
    expect(world.aws.published[0]?.body).toContain('docs/runbook.md#restorefailed');
    expectUntouched(world);
  });
});
