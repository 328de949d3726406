/** What must hold before an act, looked at right before it. Nothing here is remembered from an earlier step. */
import { RecoveryError } from '../model/recovery.ts';
import type { ClusterSpec } from '../model/spec.ts';
import type { ClusterLedger } from '../model/ledger.ts';
import type { Instance } from '../model/view.ts';
import { inWords, isOurs, isServing, liveNodes } from './nodes.ts';
import type { StepContext } from './step.ts';

/**
 * Safety rule 5: the claim is still this execution's.
 * @throws RecoveryError ClaimLost.
 */
export async function holdClaim(context: StepContext): Promise<ClusterLedger> {
  return (await readHeld(context)).cluster;
}

/**
 * Safety rules 5 and 7: a destructive act needs the claim, and a released brake.
 * @throws RecoveryError ClaimLost, BrakeEngaged.
 */
export async function mayDestroy(context: StepContext, act: string): Promise<ClusterLedger> {
  const { cluster, brake } = await readHeld(context);
  if (brake.engaged) {
    throw new RecoveryError(
      'BrakeEngaged',
      `the fleet brake is engaged (${brake.reason ?? 'no reason given'}): will not ${act}; release the brake when it is safe`,
    );
  }
  return cluster;
}

async function readHeld({ ports, cluster, execution }: StepContext) {
  const read = await ports.ledger.read(cluster);
  const holder = read.cluster.claim?.execution ?? null;
  if (holder !== execution) {
    throw new RecoveryError(
      'ClaimLost',
      `the claim on ${cluster} is held by ${holder ?? 'nobody'}, expected ${execution}: this workflow must not act any more`,
    );
  }
  return read;
}

/**
 * Safety rule 6: somebody else serves, by a probe made now, before `node` is stopped, killed or terminated.
 * @throws RecoveryError QuorumAtRisk.
 */
export async function othersServe(context: StepContext, spec: ClusterSpec, node: string, act: string): Promise<void> {
  const others = await liveNodes(context, spec, [node]);
  if (others.some(isServing)) return;
  const seen = others.map(inWords).join('; ') || 'there is no other live instance';
  throw new RecoveryError(
    'QuorumAtRisk',
    `will not ${act}: no other node of ${spec.name} serves (${seen}); expected at least one that is Synced in the primary component`,
  );
}

/**
 * Safety rule 8: only an instance that carries the cluster's tag is stopped or terminated.
 * @throws RecoveryError FenceFailed.
 */
export function mustBeOurs(instance: Instance, cluster: string): void {
  if (isOurs(instance, cluster)) return;
  throw new RecoveryError(
    'FenceFailed',
    `${instance.id} does not carry the tag rejoin:cluster=${cluster}: it is not ours to stop; expected an instance of the cluster`,
  );
}
