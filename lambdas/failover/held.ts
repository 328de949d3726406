/** Writes to the ledger under the claim that another hand may outrun. */
import { Conflict } from '../cloud/ports.ts';
import type { ClusterLedger } from '../model/ledger.ts';
import { holdClaim } from '../recovery/guard.ts';
import type { StepContext } from '../recovery/step.ts';

const TRIES = 4;

/**
 * Looks at the ledger and writes on the strength of it; done again when something else was written in between (an incident
 * was closed, a position noted), as long as the claim is held: to withdraw then would leave a cluster without a primary.
 * `look` is the look right before the act: `mayDestroy` for a destructive one.
 * @throws RecoveryError ClaimLost. Conflict when it does not come to rest.
 */
export async function whileHeld(
  context: StepContext,
  write: (ledger: ClusterLedger) => Promise<unknown>,
  look: (context: StepContext) => Promise<ClusterLedger> = holdClaim,
): Promise<void> {
  for (let left = TRIES - 1; ; left -= 1) {
    const ledger = await look(context);
    try {
      await write(ledger);
      return;
    } catch (error) {
      if (!(error instanceof Conflict) || left === 0) throw error;
    }
  }
}
