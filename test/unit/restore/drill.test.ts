/** The drill, by running its definition against an archive, hosts and an EC2 in memory. */
import { describe, expect, it } from 'vitest';
import type { CommandState } from '../../../lambdas/cloud/ports.ts';
import { drilling } from '../../../lambdas/restore/drill.ts';
import { isDrill } from '../../../lambdas/restore/machine.ts';
import { drillDefinition } from '../../../lib/workflows/drill.ts';
import type { Run } from '../../support/asl.ts';
import { EXECUTION, failed } from '../../support/recovery-world.ts';
import { RestoreWorld } from '../../support/restore-world.ts';
import { binlog, sec } from '../archive/listing.ts';

const definition = drillDefinition({ functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:x' });

interface Night {
  readonly world: RestoreWorld;
  readonly run: () => Promise<Run>;
  /** What a checksum answers, by Live. */
  readonly says: Record<string, object>;
  readonly asked: string[];
}

function prepare(): Night {
  const world = new RestoreWorld(sec(600));
  const sum = { state: 'done', position: '0-1-170', digest: 'abc', tables: 3, rows: 70 };
  const says: Record<string, object> = { yes: sum, no: sum };
  const asked: string[] = [];
  world.aws.scripts.set('galera-checksum', (instance, { Live = '' }): CommandState => {
    asked.push(`${Live} ${instance}`);
    return { kind: 'succeeded', output: JSON.stringify(says[Live]) };
  });
  return { world, says, asked, run: () => world.run(definition, drilling(world.archive), { cluster: 'orders' }) };
}

/** Nothing that the drill launched is left, nor its disks, and the live nodes are as they were. */
function expectClean({ world }: Night, where?: string): void {
  expect(
    world
      .launched()
      .map((i) => i.state)
      .filter((s) => s !== 'terminated'),
    where,
  ).toEqual([]);
  const disks = [...world.aws.volumes.values()].filter((v) => v.tags['rejoin:cluster'] !== 'orders');
  expect(disks, where).toEqual([]);
  expect(
    world.nodes.map((n) => world.aws.instances.get(n.id)?.state),
    where,
  ).toEqual(['running', 'running', 'running']);
}
const gauges = ({ world }: Night, name: string) =>
  world.cloud.metrics.gauges.filter((g) => g.name === name).map((g) => g.value);

it('restores to where a replica was looked at, compares, measures, and leaves nothing', async () => {
  const night = prepare();
  const ended = await night.run();
  expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
  const { world } = night;
  expect(night.asked[0]).not.toContain(world.ledger().writer);
  expect(night.asked.at(-1)).toBe(`no ${world.launched()[0]?.id ?? ''}`);
  const plan = Buffer.from(world.aws.objects.get(world.asked[0]?.parameters.Plan ?? '') ?? []).toString();
  expect(plan).toContain('target\tgtid\t0-1-170\n');
  expect(gauges(night, 'DrillRpoSeconds')[0]).toBeCloseTo(570, 0);
  expect(gauges(night, 'DrillRestoreSeconds')[0]).toBeGreaterThan(20);
  expect(gauges(night, 'DrillFailed')).toEqual([0]);
  expect(world.aws.published).toEqual([]);
  expect(world.launched()).toHaveLength(1);
  expectClean(night);
});

it('waits until the archive has the place', async () => {
  const night = prepare();
  night.says.yes = { ...night.says.yes, position: '0-1-200' };
  const { world } = night;
  let looks = 0;
  world.onCall = ({ operation }) => {
    if (operation === 'ArchiveBucket.folders' && (looks += 1) === 4) {
      world.aws.objects.set(binlog('0-1-180', '0-1-200', 610).key, Buffer.from('1'));
    }
  };
  expect((await night.run()).status).toBe('SUCCEEDED');
  expect(looks).toBeGreaterThan(3);
});

describe('a drill that fails is told, counted, and leaves nothing', () => {
  it.each<[string, (n: Night) => void, RegExp]>([
    [
      'another checksum',
      (n) => void (n.says.no = { ...n.says.no, digest: 'abd' }),
      /checksum abd; i-\w+ had 3, 70 and abc there/,
    ],
    ['a row too few', (n) => void (n.says.no = { ...n.says.no, rows: 69 }), /69 rows/],
    [
      'the restore fails',
      ({ world }) => void (world.fails = (d) => (d === 'galera-restore' ? failed('the base is damaged') : null)),
      /DrillFailed: galera-restore on i-\w+ failed with exit code 1: the base is damaged/,
    ],
    [
      'the log never comes',
      (n) => void (n.says.yes = { ...n.says.yes, position: '0-1-999' }),
      /has not reached 0-1-999/,
    ],
  ])('%s', async (_, arrange, expected) => {
    const night = prepare();
    arrange(night);
    const ended = await night.run();
    expect(ended.status).toBe('FAILED');
    expect(night.world.aws.published).toHaveLength(1);
    expect(night.world.aws.published[0]?.body).toMatch(expected);
    expect(gauges(night, 'DrillFailed')).toEqual([1]);
    expectClean(night);
  });
});

it('a Lambda killed at any of its calls: one node, and it is gone in the end', async () => {
  const whole = prepare();
  await whole.run();
  for (let call = 1; call <= whole.world.calls; call += 2) {
    const night = prepare();
    night.world.killAt({ call, moment: call % 4 === 1 ? 'before' : 'after' });
    const ended = await night.run();
    const where = `${call}: ${JSON.stringify(ended.errors)}`;
    expect(ended.status, where).toBe('SUCCEEDED');
    expect(night.world.launched(), where).toHaveLength(1);
    expectClean(night, where);
  }
}, 60_000);

it('rule 8: terminates nothing that does not carry its mark', async () => {
  const night = prepare();
  const other = night.world.aws.addInstance({
    cluster: 'orders-d202611201410',
    tags: { 'rejoin:incident': 'another' },
  });
  const ended = await night.run();
  expect(ended.errors.at(-1)?.message).toContain('NAME_TAKEN');
  expect(night.world.aws.instances.get(other.id)?.state).toBe('running');
});

it('which machine asks is told by its ARN', () => {
  const arn = (machine: string): string => `arn:aws:states:eu-west-1:123456789012:execution:${machine}:orders-drill`;
  expect([arn('rejoin-drill'), arn('rejoin-restore'), EXECUTION].map(isDrill)).toEqual([true, false, false]);
});
