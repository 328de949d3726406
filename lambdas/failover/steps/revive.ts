/** The lost primary's volume on a new instance: the steps of a replacement, and a start as a standby. */
import { RecoveryError } from '../../model/recovery.ts';
import { advance, mustSucceed } from '../../recovery/command.ts';
import { holdClaim } from '../../recovery/guard.ts';
import { record } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import { DEADLINES } from '../../recovery/wait.ts';
import type { ReplaceState } from '../../replace/state.ts';
import { attach as attachVolume } from '../../replace/steps/attach.ts';
import { awaitRunning as awaitReplacement } from '../../replace/steps/await-running.ts';
import { launch as launchReplacement } from '../../replace/steps/launch.ts';
import { seed as seedReplacement } from '../../replace/steps/seed.ts';
import type { FailoverState } from '../state.ts';

/** Without the volume there is nothing to revive: Choose then says what is missing. */
const asReplacement =
  (step: Step<ReplaceState>): Step<FailoverState> =>
  async (state, context) => {
    const { path, ...changed } = await step({ ...state, mode: 'replace', path: 'on' }, context);
    const volume = changed.volume === undefined ? state.volume : changed.volume;
    return { ...changed, mode: 'failover', path: volume === null || path === 'launch' ? 'choose' : 'on' };
  };

export const launch = asReplacement(launchReplacement);
export const awaitRunning = asReplacement(awaitReplacement);
export const attach = asReplacement(attachVolume);
export const seed = asReplacement(seedReplacement(null));

/**
 * Starts the database on the revived volume, as a standby without upstream: it tells its position at the next Fence.
 * @throws RecoveryError ClaimLost, SeedFailed.
 */
export const start: Step<FailoverState> = async (state, context) => {
  const { joiner } = state;
  if (joiner === null)
    throw new RecoveryError('SeedFailed', 'the state names no joiner, expected the instance that Launch answered');
  const script = { instance: joiner, document: 'postgres-start' };
  const progress = await advance(state, context, async () => {
    await holdClaim(context);
    await record(
      context,
      `revive-${joiner}`,
      `starts the database on ${joiner} as a standby`,
      `it has the volume ${state.volume ?? ''}`,
    );
    return { ...script, parameters: {} };
  });
  const output = mustSucceed(progress, context, script, 'SeedFailed', DEADLINES.joinMs * 2);
  if (output !== null) return { ready: true, path: 'on', revived: joiner };
  return { ready: false, command: progress.kind === 'running' ? progress.command : null };
};
