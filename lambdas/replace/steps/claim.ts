/** Takes the cluster's claim and looks once more whether there is anything to do. */
import { RecoveryError } from '../../model/recovery.ts';
import { REPLACES_TAG } from '../../model/spec.ts';
import type { ClusterSpec } from '../../model/spec.ts';
import { dataVolumeOf } from '../../model/view.ts';
import type { Instance } from '../../model/view.ts';
import { takeClaim } from '../../recovery/claim.ts';
import { mustBeOurs } from '../../recovery/guard.ts';
import { isLive } from '../../recovery/nodes.ts';
import { serves, servingOf } from '../../recovery/serving.ts';
import { loadSpec } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { orphanedVolume } from '../choose-volume.ts';
import type { ReplaceState } from '../state.ts';
import { adoptable } from './launch.ts';

/**
 * @throws RecoveryError ClaimLost, BrakeEngaged; FenceFailed when the node is not an instance of the cluster.
 */
export const claim: Step<ReplaceState> = async (state, context) => {
  if (state.mode !== 'add' && state.node === null) {
    throw new RecoveryError(
      'FenceFailed',
      `mode ${state.mode} was given no node: expected an instance id, or mode "add"`,
    );
  }
  await takeClaim(state, state.mode, context);
  const spec = await loadSpec(context);
  const all = await context.ports.instances.ofCluster(spec.name);
  const node = await lostNode(state, context, all);
  const idle = await nothingToDo(state, context, spec, all, node);
  if (idle !== null) return { path: 'finished', outcome: `nothing to do: ${idle}` };
  const zone = node?.zone ?? null;
  const kept = node === null ? null : dataVolumeOf(node, spec.dataDevice);
  const volume = state.node === null || state.mode === 'retire' ? null : (kept ?? (await findOrphan(context, zone)));
  // `lost.volume` is what is known to be the node's own; a volume found by elimination may be used, never deleted.
  return { path: pathOf(state, node), lost: { zone, volume: kept }, volume };
};

function pathOf({ mode }: ReplaceState, node: Instance | null): ReplaceState['path'] {
  switch (mode) {
    case 'rejoin':
      return 'rejoin';
    case 'replace':
      return 'fence';
    case 'add':
      return 'launch';
    case 'retire':
      return 'retire';
    case 'roll':
      // What an earlier try has stopped already is not drained again.
      return node?.state === 'running' ? 'drain' : 'fence';
  }
}

async function lostNode(
  state: ReplaceState,
  { ports, cluster }: StepContext,
  all: readonly Instance[],
): Promise<Instance | null> {
  if (state.node === null) return null;
  const found = all.find((i) => i.id === state.node) ?? (await ports.instances.byIds([state.node]))[0];
  // A terminated instance loses its tags before EC2 forgets it; it needs no fence.
  if (found !== undefined && found.state !== 'terminated') mustBeOurs(found, cluster);
  return found ?? null;
}

/** Why no act is needed, or null. Safety: a node that came back by itself is left alone. */
async function nothingToDo(
  state: ReplaceState,
  context: StepContext,
  spec: ClusterSpec,
  all: readonly Instance[],
  node: Instance | null,
): Promise<string | null> {
  const live = all.filter(isLive);
  if (state.mode === 'add') {
    const there = live.filter((i) => !adoptable(i, context.incident, null));
    const serving = await servingOf(
      context,
      spec,
      live.filter((i) => adoptable(i, context.incident, null)),
    );
    const count = there.length + serving.length;
    return count >= spec.nodes ? `${count} of ${spec.nodes} nodes are there` : null;
  }
  if (state.mode === 'retire') return node === null ? `EC2 does not know ${state.node ?? ''} any more` : null;
  const there = node !== null && (await serves(context, spec, node));
  if (state.mode === 'roll') {
    if (node?.state === 'running' && !there) {
      return `${node.id} does not serve, and what is lost is not replaced by plan: reconcile sees to it`;
    }
  } else if (there) return `${node.id} serves again`;
  const successors = live.filter((i) => i.tags[REPLACES_TAG] === state.node);
  const [successor] = await servingOf(context, spec, successors);
  return successor === undefined ? null : `${successor.instance.id} has replaced ${state.node ?? ''} already`;
}

async function findOrphan({ ports, cluster }: StepContext, zone: string | null): Promise<string | null> {
  return orphanedVolume(await ports.volumes.ofCluster(cluster), cluster, zone);
}
