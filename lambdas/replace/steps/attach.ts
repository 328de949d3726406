/** Gives the lost node's surviving data volume to the joiner. */
import { CLUSTER_TAG } from '../../model/spec.ts';
import type { ClusterSpec } from '../../model/spec.ts';
import { holdClaim, mayDestroy } from '../../recovery/guard.ts';
import { describe } from '../../recovery/nodes.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { DEADLINES } from '../../recovery/wait.ts';
import { useOf } from '../choose-volume.ts';
import type { ReplaceState } from '../state.ts';
import { joinerOf } from './await-running.ts';

/** EC2 refuses to detach what is being detached: asked again only now and then. */
const DETACH_EVERY = 10;

/**
 * Without a volume there is nothing to do. When the volume has gone, the joiner (launched without a data disk) is given
 * back and another one launched with a disk of its own.
 * @throws RecoveryError ClaimLost, BrakeEngaged.
 */
export const attach: Step<ReplaceState> = async (state, context) => {
  const { volume } = state;
  if (volume === null) return { ready: true, path: 'on' };
  const spec = await loadSpec(context);
  const joiner = joinerOf(state);
  const instance = await describe(context, joiner);
  const [found] = await context.ports.volumes.byIds([volume]);
  const use = useOf(spec.name, found, joiner, state.node, instance?.zone ?? null);
  if (use.kind === 'gone') return launchAgain(state, context, joiner, `${volume}: ${use.why}`);
  if (use.kind === 'attached') {
    await context.ports.volumes.tag(volume, { [CLUSTER_TAG]: spec.name });
    await record(
      context,
      `attached-${volume}`,
      `attached ${volume} to ${joiner}`,
      `the data of ${state.node ?? 'the lost node'} survived`,
    );
    return { ready: true, path: 'on' };
  }
  if (context.waitedMs > DEADLINES.attachMs) {
    return launchAgain(state, context, joiner, `${volume} could not be attached within ${DEADLINES.attachMs / 1000} s`);
  }
  await move(state, context, spec, { volume, joiner, kind: use.kind });
  return { ready: false, path: 'on' };
};

async function move(
  state: ReplaceState,
  context: StepContext,
  spec: ClusterSpec,
  act: { readonly volume: string; readonly joiner: string; readonly kind: 'attach' | 'detach' | 'wait' },
): Promise<void> {
  if (act.kind === 'detach') {
    if (context.asked % DETACH_EVERY !== 0) return;
    await mayDestroy(context, `detach ${act.volume} from ${state.node ?? 'the lost node'}`);
    await record(
      context,
      `detach-${act.volume}`,
      `detaches ${act.volume} from ${state.node ?? ''}`,
      'the node is fenced, its data goes to the joiner',
    );
    await context.ports.volumes.detach(act.volume);
  }
  if (act.kind === 'wait') return;
  if (act.kind === 'attach') await holdClaim(context);
  // Right after a detachment EC2 may not be ready for it: that is the next look's work.
  const [now] = await context.ports.volumes.byIds([act.volume]);
  if (now?.state === 'available') await context.ports.volumes.attach(act.volume, act.joiner, spec.dataDevice);
}

async function launchAgain(
  state: ReplaceState,
  context: StepContext,
  joiner: string,
  why: string,
): Promise<Partial<ReplaceState>> {
  await mayDestroy(context, `terminate ${joiner}, which has no data disk`);
  await record(context, `no-disk-${joiner}`, `terminates ${joiner} and launches one with its own disk`, why);
  await context.ports.instances.terminate(joiner);
  await context.ports.ledger.amendClaim(state.cluster, context.execution, { joiner: null, launch: null });
  return { ready: true, path: 'launch', joiner: null, volume: null, seed: 'peer' };
}
