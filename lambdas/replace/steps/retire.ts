/** Removes what the lost node left behind, once its replacement serves. What is in doubt stays, and is on the record. */
import type { Instance } from '../../model/view.ts';
import { REPLACES_TAG } from '../../model/spec.ts';
import { mayDestroy, mustBeOurs, othersServe } from '../../recovery/guard.ts';
import { describe } from '../../recovery/nodes.ts';
import { serves } from '../../recovery/serving.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { DEADLINES } from '../../recovery/wait.ts';
import type { ReplaceState } from '../state.ts';
import { tellOfUnused } from '../unused-volumes.ts';
import { joinerOf } from './await-running.ts';
import { retireLeftOver } from './retire-left-over.ts';
import { retireVolume } from './retire-volume.ts';

/** @throws RecoveryError ClaimLost, BrakeEngaged, QuorumAtRisk: the definition reports what was left. */
export const retire: Step<ReplaceState> = async (state, context) => {
  if (state.mode === 'retire') return retireLeftOver(state, context);
  const joiner = joinerOf(state);
  const node = state.node === joiner ? await placeOf(context, joiner) : state.node;
  if (node === null) return done(state, context);
  const instance = await describe(context, node);
  if (instance?.state === 'stopped') await terminate(state, context, instance);
  const gone = instance === null || instance.state === 'terminated';
  if (!gone && instance.state !== 'running' && context.waitedMs <= DEADLINES.retireMs) return { ready: false };
  if (!gone) {
    await record(
      context,
      `left-${node}`,
      `leaves ${node}`,
      `EC2 says ${instance.state}: expected stopped or terminated`,
    );
    return done(state, context);
  }
  await retireVolume(state, context, { id: joiner, serves: () => joinerServes(context, joiner) });
  return done(state, context);
};

async function joinerServes(context: StepContext, joiner: string): Promise<boolean> {
  const instance = await describe(context, joiner);
  return instance !== null && (await serves(context, await loadSpec(context), instance));
}

/** Of the two that this workflow had in hand the record says already what became of them. */
async function done({ lost, volume }: ReplaceState, context: StepContext): Promise<Partial<ReplaceState>> {
  await tellOfUnused(context, [lost?.volume ?? null, volume]);
  return { ready: true };
}

/**
 * The stopped instance that one rejoined in place was launched for: that replacement gave way to a failover before it came to
 * this step. While it ends it is waited for, so that its volume is told of. Null when there is none.
 */
async function placeOf(context: StepContext, joiner: string): Promise<string | null> {
  const replaced = (await describe(context, joiner))?.tags[REPLACES_TAG];
  if (replaced === undefined) return null;
  const state = (await describe(context, replaced))?.state;
  return state === 'stopped' || state === 'shutting-down' ? replaced : null;
}

async function terminate(state: ReplaceState, context: StepContext, instance: Instance): Promise<void> {
  const spec = await loadSpec(context);
  const act = `terminate ${instance.id}`;
  mustBeOurs(instance, spec.name);
  await othersServe(context, spec, instance.id, act);
  await mayDestroy(context, act);
  await record(
    context,
    `terminate-${instance.id}`,
    `terminates ${instance.id}`,
    `fenced, and ${state.joiner ?? ''} is in its place`,
  );
  await context.ports.instances.terminate(instance.id);
}
