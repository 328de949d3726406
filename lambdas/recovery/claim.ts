/** The right to act, taken and given back. */
import { Conflict } from '../cloud/ports.ts';
import type { Claim, ClusterLedger, RecoveryMode } from '../model/ledger.ts';
import { RecoveryError } from '../model/recovery.ts';
import type { Carried } from './state.ts';
import type { StepContext } from './step.ts';
import { record } from './step.ts';

/**
 * Takes the cluster's claim (safety rule 5), or finds that this execution holds it already.
 * @throws RecoveryError BrakeEngaged; ClaimLost while another workflow or a person has the cluster or the node in hand.
 */
export async function takeClaim(state: Carried, mode: RecoveryMode, context: StepContext): Promise<ClusterLedger> {
  const { ports, cluster, incident, execution, nowMs } = context;
  const { node } = state;
  const claim: Claim = { execution, incident, mode, node, joiner: null, donor: null, launch: null, claimedAtMs: nowMs };
  try {
    await ports.ledger.claim(cluster, claim);
  } catch (error) {
    if (!(error instanceof Conflict)) throw error;
    const { brake } = await ports.ledger.read(cluster);
    throw new RecoveryError(brake.engaged ? 'BrakeEngaged' : 'ClaimLost', error.message);
  }
  await record(context, 'claim', `claims ${cluster} to ${mode} ${node ?? 'what is missing'}`, state.reason);
  return (await ports.ledger.read(cluster)).cluster;
}
