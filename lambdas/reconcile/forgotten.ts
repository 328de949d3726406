/**
 * What is left of instances that EC2 has forgotten. It describes a terminated instance for less than an hour
 * (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html), and a fleet brake, a lost quorum or a person may
 * hold up a cluster for longer: its targets and slots would look like those of strangers then, and stay for ever.
 */
import { CloudUnavailable } from '../cloud/ports.ts';
import { nodeOfSlot } from '../model/postgres.ts';
import type { Instance, Node, TargetGroupView } from '../model/view.ts';
import type { ReconcilePorts } from './ports.ts';

/** Those that nobody else can be: EC2 is asked by id, for whatever team's they were. Nobody: what is there may be a stranger's. */
export async function forgottenBy(
  ports: ReconcilePorts,
  instances: readonly Instance[],
  nodes: readonly Node[],
  targetGroups: readonly TargetGroupView[],
): Promise<readonly string[]> {
  const described = new Set(instances.map((i) => i.id));
  const named = [...endedTargets(targetGroups), ...nodes.flatMap(idleSlots)];
  const unknown = [...new Set(named)].filter((id) => !described.has(id)).sort();
  if (unknown.length === 0) return [];
  try {
    await ports.pace?.turn('instances');
    const known = new Set((await ports.instances.byIds(unknown)).map((i) => i.id));
    return unknown.filter((id) => !known.has(id));
  } catch (error) {
    if (!(error instanceof CloudUnavailable)) throw error;
    ports.log.warn('EC2 cannot be asked whose some targets or slots are: they are left alone', { unknown, error });
    return [];
  }
}

/** `unused`: the instance is stopped or terminated. One that was registered a moment ago runs. */
const endedTargets = (groups: readonly TargetGroupView[]): readonly string[] =>
  groups.flatMap((g) => g.targets.filter((t) => t.state === 'unused').map((t) => t.id));

const idleSlots = ({ probe }: Node): readonly string[] =>
  probe.kind === 'answered' && probe.status.engine === 'postgres'
    ? probe.status.slots.filter((slot) => !slot.active).flatMap((slot) => nodeOfSlot(slot.name) ?? [])
    : [];
