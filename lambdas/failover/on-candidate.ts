/** An act on a server that is to be the primary. */
import { NodeRefused, NodeUnavailable } from '../cloud/ports.ts';
import { RecoveryError } from '../model/recovery.ts';
import type { StepContext } from '../recovery/step.ts';

/** How long the candidate is tried, each time anew, before it counts as lost. */
const PERSIST_MS = 3000;
const BETWEEN_TRIES_MS = 100;

/**
 * Tries an act on the candidate for a few seconds while it does not answer.
 * @throws RecoveryError PromotionFailed when it refuses, or does not come back.
 */
export async function onCandidate<T>(context: StepContext, candidate: string, act: () => Promise<T>): Promise<T> {
  const { clock } = context.ports;
  const untilMs = clock.nowMs() + PERSIST_MS;
  for (;;) {
    try {
      return await act();
    } catch (error) {
      const passing = error instanceof NodeUnavailable;
      if (!passing && !(error instanceof NodeRefused)) throw error;
      if (!passing || clock.nowMs() >= untilMs) {
        throw new RecoveryError('PromotionFailed', `${candidate} cannot be made the primary: ${error.message}`);
      }
      await clock.sleep(BETWEEN_TRIES_MS);
    }
  }
}
