/** What must hold before an act, looked at right before it. Nothing here is remembered from an earlier step. */
import { RecoveryError } from '../model/recovery.ts';
import type { ClusterSpec } from '../model/spec.ts';
import type { ClusterLedger } from '../model/ledger.ts';
import type { Instance } from '../model/view.ts';
import { inWords, isLive, isOurs } from './nodes.ts';
import { look, serving } from './serving.ts';
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
 * Safety rule 6: the rest serves, by probes made now, before `node` is stopped, killed or terminated. `least`: how many
 * others must. With PostgreSQL nobody serves unless the ledger's writer answers as a primary, and it is never `node` itself.
 * @throws RecoveryError QuorumAtRisk.
 */
export async function othersServe(
  context: StepContext,
  spec: ClusterSpec,
  node: string,
  act: string,
  least = 1,
): Promise<void> {
  const all = await context.ports.instances.ofCluster(spec.name);
  const others = await look(
    context,
    spec,
    all.filter((i) => isLive(i) && i.id !== node),
  );
  const there = serving(others);
  notTheWriter(spec, others.reference, node, act);
  if (there.length >= least) return;
  const seen = others.nodes.map(inWords).join('; ') || 'there is no other live instance';
  const found =
    there.length === 0 ? `no other node of ${spec.name} serves` : `${there.length} of ${least} others serve`;
  throw new RecoveryError(
    'QuorumAtRisk',
    `will not ${act}: ${found} (${seen}); expected at least ${least} other that is ${others.engine.expected}`,
  );
}

/**
 * Safety rule 2: with PostgreSQL the ledger's writer is never made a replica, stopped or rewound, whatever it says of
 * itself: that is what a failover or a switchover is for.
 * @throws RecoveryError QuorumAtRisk.
 */
export function notTheWriter(
  spec: ClusterSpec,
  { writer }: Pick<ClusterLedger, 'writer'>,
  node: string,
  act: string,
): void {
  if (spec.engine.kind !== 'postgres' || writer !== node) return;
  throw new RecoveryError(
    'QuorumAtRisk',
    `will not ${act}: it is the primary of ${spec.name}; expected another to be the writer first, by a switchover or a failover`,
  );
}

/**
 * Before a stop by force, so that whoever finds the instance stopped can tell that Rejoin did it. Should the stop fail, the note
 * is forgotten as soon as the instance is seen to run under nobody's claim.
 * @throws RecoveryError ClaimLost.
 */
export async function noteFence({ ports, cluster, execution }: StepContext, node: string): Promise<void> {
  await ports.ledger.noteFence(cluster, node, { atMs: ports.clock.nowMs(), execution });
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
