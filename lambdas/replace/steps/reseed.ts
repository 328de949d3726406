/** Seeding or joining failed: is there another source, and the joiner made ready for it. */
import { RECOVERY_ERRORS, RecoveryError } from '../../model/recovery.ts';
import type { RecoveryErrorName } from '../../model/recovery.ts';
import { advance, tail } from '../../recovery/command.ts';
import { scriptOf } from '../../recovery/engine.ts';
import { explain } from '../../recovery/finish.ts';
import { holdClaim, mayDestroy, notTheWriter } from '../../recovery/guard.ts';
import { describe } from '../../recovery/nodes.ts';
import { servingOf } from '../../recovery/serving.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { DEADLINES, failAfter } from '../../recovery/wait.ts';
import { withoutVolume } from '../choose-seed.ts';
import { UNUSABLE_TAG } from '../../model/volume.ts';
import type { ReplaceState } from '../state.ts';
import { joinerOf } from './await-running.ts';

/** A donor may die too; more than that is not bad luck any more. */
const MOST_RESEEDS = 2;

/**
 * After a failure on the surviving volume: the archive, if there is one, then a peer. When the data of a node that is rejoined in
 * place is of no use: a peer, since nothing is restored where data are. After a failure from a peer: once more if the donor has died meanwhile. Otherwise the failure stands; a node that could not be
 * rejoined in place is replaced.
 * @throws RecoveryError the one that led here, when nothing is left to try; ClaimLost.
 */
export const reseed: Step<ReplaceState> = async (state, context) => {
  const joiner = joinerOf(state);
  const inPlace = joiner === state.node;
  const spec = await loadSpec(context);
  const document = scriptOf(spec, 'stop');
  const next = state.seed === 'volume' && !inPlace ? withoutVolume(spec) : 'peer';
  const failed = explain(state.error ?? { Error: 'SeedFailed', Cause: 'no error was handed over' });
  if (context.asked === 0) {
    const why = await whyAgain(state, context, failed.name);
    // Its disk holds a broken copy: the replacement gets one of its own, and this one is retired with the node.
    if (why === null && inPlace) return { ready: true, path: 'fence', volume: null, seed: 'peer' };
    if (why === null) throw new RecoveryError(asRecoveryError(failed.name), failed.sentence);
    if (inPlace) {
      const act = `move the data of ${joiner} aside`;
      notTheWriter(spec, await mayDestroy(context, act), joiner, act);
    } else await holdClaim(context);
    if (state.seed === 'volume' && state.volume !== null) {
      await context.ports.volumes.tag(state.volume, { [UNUSABLE_TAG]: context.incident });
    }
    await record(
      context,
      `reseed-${joiner}-${state.seed}-${state.reseeds}`,
      `seeds ${joiner} anew from ${next === 'peer' ? 'a peer' : 'the archive'}: ${why}`,
      `${failed.name}: ${failed.sentence}`,
    );
  }
  // What still runs there would stand in the new data directory's way.
  const stopping = await advance(context.asked === 0 ? { ...state, command: null } : state, context, () =>
    Promise.resolve({ instance: joiner, document, parameters: {} }),
  );
  if (stopping.kind === 'running') {
    failAfter(context.waitedMs, DEADLINES.prepareMs, 'SeedFailed', () => `${document} on ${joiner} has not ended`);
    return { ready: false, command: stopping.command };
  }
  if (stopping.kind === 'failed') {
    // The next script refuses by itself when the database still runs.
    await record(
      context,
      `stop-failed-${state.seed}-${state.reseeds}`,
      `${document} on ${joiner} failed`,
      tail(stopping.error || stopping.output) || `exit code ${stopping.exitCode}`,
    );
  }
  const waited = { donor: null, progress: null, refusedSinceMs: null, standstill: null } as const;
  // The archive is tried once: that it failed takes nothing from the tries of peers.
  const reseeds = state.seed === 'archive' ? state.reseeds : state.reseeds + 1;
  return { ready: true, path: 'on', seed: next, archive: null, stumbles: 0, error: null, ...waited, reseeds };
};

async function whyAgain(state: ReplaceState, context: StepContext, failed: string): Promise<string | null> {
  if (state.seed === 'archive') return 'the archive could not be used';
  if (state.reseeds >= MOST_RESEEDS) return null;
  const inPlace = state.joiner === state.node;
  if (inPlace && state.reseeds === 0 && failed === 'SeedFailed')
    return `the data on ${state.joiner ?? ''} is of no use`;
  if (state.seed === 'volume') return `the data on ${state.volume ?? 'the surviving volume'} could not be used`;
  if (state.donor === null) return null;
  const instance = await describe(context, state.donor);
  const there = await servingOf(context, await loadSpec(context), instance === null ? [] : [instance]);
  return there.length > 0 ? null : `the donor ${state.donor} does not serve any more`;
}

const asRecoveryError = (name: string): RecoveryErrorName =>
  (RECOVERY_ERRORS as readonly string[]).includes(name) ? (name as RecoveryErrorName) : 'SeedFailed';
