/** EC2 after the fact: what may still believe that it is the primary, and is silent, is stopped for good. */
import { UNUSABLE_TAG } from '../../model/volume.ts';
import type { ClusterSpec } from '../../model/spec.ts';
import { dataVolumeOf } from '../../model/view.ts';
import type { Instance } from '../../model/view.ts';
import { othersServe } from '../../recovery/guard.ts';
import { describe, inWords, probeAll } from '../../recovery/nodes.ts';
import { primaryOf } from '../../recovery/postgres.ts';
import { look, serving } from '../../recovery/serving.ts';
import { postgresStatusOf } from '../../recovery/status.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { DEADLINES, failAfter } from '../../recovery/wait.ts';
import type { FailoverState } from '../state.ts';
import { stopByForce } from '../stop-by-force.ts';
import { candidateOf } from './promote.ts';

/**
 * An old primary that is silent or unreachable is stopped by force. One whose process is gone is left to be rejoined, and so
 * is one that answers: it can acknowledge nothing. A candidate that was given up is stopped, and its volume marked: it may have begun
 * a timeline of the same number as the new primary's, which pg_rewind cannot tell apart. Unless it is proven that it has not (docs/decisions/0020).
 * @throws RecoveryError FenceFailed, BrakeEngaged, QuorumAtRisk: the definition goes on, and the report says what is left.
 */
export const secure: Step<FailoverState> = async (state, context) => {
  const spec = await loadSpec(context);
  const primary = candidateOf(state);
  const olds = [...new Set([...state.passed, ...(state.node === null ? [] : [state.node])])].filter(
    (id) => id !== primary,
  );
  const ready = await Promise.all(olds.map((id) => secureOne(state, context, spec, id)));
  return { ready: ready.every(Boolean) };
};

async function secureOne(state: FailoverState, context: StepContext, spec: ClusterSpec, id: string): Promise<boolean> {
  const instance = await describe(context, id);
  const rebuild = mayShareTimeline(state, id);
  const proven = rebuild && instance !== null ? await provenStandby(state, context, spec, instance) : null;
  if (proven !== null) {
    await record(context, `left-${id}`, `leaves ${id} in service`, proven);
    return true;
  }
  if (rebuild) await markVolume(context, spec, id, instance ?? null);
  if (instance === null || instance.state === 'stopped' || instance.state === 'terminated') {
    const words = instance === null ? 'EC2 does not know it any more' : `EC2 says ${instance.state}`;
    await record(context, `secured-${id}`, `${id} cannot come back as a primary`, words);
    return true;
  }
  if (instance.state === 'running') {
    const [found] = await probeAll(context, spec, [instance]);
    if (found === undefined) throw new Error(`no probe of ${id} was made, expected one`);
    const silent = found.probe.kind === 'silent' || found.probe.kind === 'unreachable';
    if (!silent && !rebuild) {
      const way = postgresStatusOf(found) === null ? 'its database is down or lets nobody in' : 'it answers';
      await record(
        context,
        `left-${id}`,
        `leaves ${id} to be rejoined`,
        `${way}, and can acknowledge nothing: ${inWords(found)}`,
      );
      return true;
    }
    await othersServe(context, spec, id, `stop ${id}`);
    await stopByForce(
      context,
      id,
      rebuild ? 'it was made the primary and failed: it is rebuilt' : `${inWords(found)}: it was the primary`,
    );
  }
  failAfter(
    context.waitedMs,
    DEADLINES.fenceMs,
    'FenceFailed',
    () => `EC2 still says ${instance.state} of ${id}; expected stopped`,
  );
  return false;
}

/**
 * Two nodes that were promoted from the same timeline begin one of the same number. So it is with a candidate that was given up
 * in this execution, and with a writer that nobody has seen as the primary since it was made one.
 */
function mayShareTimeline({ passed, node, lastSeen }: FailoverState, id: string): boolean {
  const first = passed[0] ?? node;
  return id !== first || (lastSeen !== null && lastSeen.node !== id);
}

/**
 * Why the node has begun no timeline, in words, or null. Cut off for the fence before the promotion, and so after the one that was
 * tried on itself, it said that it is a standby on a timeline older than the primary's; and now it streams from the primary, on the primary's. Either
 * alone is no proof: a promotion may have been under way at the first, and a number shared with the primary looks the same at the second.
 */
async function provenStandby(
  { told }: FailoverState,
  context: StepContext,
  spec: ClusterSpec,
  instance: Instance,
): Promise<string | null> {
  const then = told[instance.id];
  if (then === undefined || instance.state !== 'running') return null;
  const found = await look(context, spec, [instance]);
  const primary = primaryOf(found.reference);
  const [node] = serving(found);
  if (node === undefined || primary === null || then.timeline >= primary.status.timeline) return null;
  return `cut off, it was a standby on timeline ${then.timeline}, and follows the new primary: ${inWords(node)}`;
}

/** Whatever replaces it takes its data from a peer. */
async function markVolume(
  context: StepContext,
  spec: ClusterSpec,
  id: string,
  instance: Instance | null,
): Promise<void> {
  const volume = instance === null ? null : dataVolumeOf(instance, spec.dataDevice);
  if (volume === null) return;
  await record(
    context,
    `unusable-${volume}`,
    `marks ${volume} as unusable`,
    `${id} may have begun a timeline of its own`,
  );
  await context.ports.volumes.tag(volume, { [UNUSABLE_TAG]: context.incident });
}
