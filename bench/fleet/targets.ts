/** (d) One reconcile of one cluster whose target groups hold ever more targets that are not its own. */
import { reconcile } from '../../lambdas/reconcile/reconcile.ts';
import { READER_GROUP } from '../../test/fakes/index.ts';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { aFleet } from './world.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const ROUNDS = 20;

export interface TargetsFigure {
  readonly targets: number;
  readonly cpuMs: number;
  /** What one reconcile allocates. */
  readonly allocatedKB: number;
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Medians of several reconciles, the first ones left out. */
export async function withTargets(targets: number): Promise<TargetsFigure> {
  const fleet = aFleet(1);
  const [node] = fleet.nodes;
  const cluster = node?.cluster ?? '';
  const group = READER_GROUP.replace('orders', cluster);
  const own = fleet.aws.addTargetGroup(group).targets.size;
  for (let n = own; n < targets; n += 1)
    fleet.aws.setTarget(group, `i-f${n.toString(16).padStart(16, '0')}`, 3306, 'healthy');
  const cpu: number[] = [];
  const memory: number[] = [];
  for (let round = -ROUNDS; round < ROUNDS; round += 1) {
    fleet.calls();
    collect();
    const heap = process.memoryUsage().heapUsed;
    const before = process.cpuUsage();
    await reconcile(cluster, fleet.ports);
    const { user, system } = process.cpuUsage(before);
    if (round < 0) continue;
    cpu.push((user + system) / 1000);
    memory.push((process.memoryUsage().heapUsed - heap) / 1024);
  }
  return { targets, cpuMs: median(cpu), allocatedKB: median(memory) };
}
