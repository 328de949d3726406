/** Seeding or joining failed: is there another source, and the joiner made ready for it. */
import { RECOVERY_ERRORS, RecoveryError } from '../../model/recovery.ts';
import type { RecoveryErrorName } from '../../model/recovery.ts';
import { advance, tail } from '../../recovery/command.ts';
import { explain } from '../../recovery/finish.ts';
import { holdClaim } from '../../recovery/guard.ts';
import { describe, isServing, probeAll } from '../../recovery/nodes.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { DEADLINES, failAfter } from '../../recovery/wait.ts';
import { UNUSABLE_TAG } from '../choose-volume.ts';
import type { ReplaceState } from '../state.ts';
import { joinerOf } from './await-running.ts';

/** A donor may die too; more than that is not bad luck any more. */
const MOST_RESEEDS = 2;

/**
 * After a failure on the surviving volume: a peer. After a failure from a peer: once more if the donor has died
 * meanwhile. Otherwise the failure stands.
 * @throws RecoveryError the one that led here, when nothing is left to try; ClaimLost.
 */
export const reseed: Step<ReplaceState> = async (state, context) => {
  const joiner = joinerOf(state);
  const failed = explain(state.error ?? { Error: 'SeedFailed', Cause: 'no error was handed over' });
  if (context.asked === 0) {
    const why = await whyAgain(state, context);
    if (why === null) throw new RecoveryError(asRecoveryError(failed.name), failed.sentence);
    await holdClaim(context);
    if (state.seed === 'volume' && state.volume !== null) {
      await context.ports.volumes.tag(state.volume, { [UNUSABLE_TAG]: context.incident });
    }
    await record(
      context,
      `reseed-${joiner}-${state.reseeds}`,
      `seeds ${joiner} anew from a peer: ${why}`,
      `${failed.name}: ${failed.sentence}`,
    );
  }
  // What still runs there would stand in the new data directory's way.
  const stopping = await advance(context.asked === 0 ? { ...state, command: null } : state, context, () =>
    Promise.resolve({ instance: joiner, document: 'galera-stop', parameters: {} }),
  );
  if (stopping.kind === 'running') {
    failAfter(context.waitedMs, DEADLINES.prepareMs, 'SeedFailed', () => `galera-stop on ${joiner} has not ended`);
    return { ready: false, command: stopping.command };
  }
  if (stopping.kind === 'failed') {
    // The next script refuses by itself when the database still runs.
    await record(
      context,
      `stop-failed-${state.reseeds}`,
      `galera-stop on ${joiner} failed`,
      tail(stopping.error || stopping.output) || `exit code ${stopping.exitCode}`,
    );
  }
  const anew = { seed: 'peer', donor: null, error: null, progress: null, refusedSinceMs: null } as const;
  return { ready: true, ...anew, reseeds: state.reseeds + 1 };
};

async function whyAgain(state: ReplaceState, context: StepContext): Promise<string | null> {
  if (state.reseeds >= MOST_RESEEDS) return null;
  if (state.seed === 'volume') return `the data on ${state.volume ?? 'the surviving volume'} could not be used`;
  if (state.donor === null) return null;
  const instance = await describe(context, state.donor);
  const nodes = await probeAll(context, await loadSpec(context), instance === null ? [] : [instance]);
  return nodes.some(isServing) ? null : `the donor ${state.donor} does not serve any more`;
}

const asRecoveryError = (name: string): RecoveryErrorName =>
  (RECOVERY_ERRORS as readonly string[]).includes(name) ? (name as RecoveryErrorName) : 'SeedFailed';
