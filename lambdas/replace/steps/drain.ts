/** A planned replacement: waits until reconcile has taken the node, which serves, out of everything that clients use. */
import type { ClusterLedger } from '../../model/ledger.ts';
import { RecoveryError } from '../../model/recovery.ts';
import type { ClusterSpec } from '../../model/spec.ts';
import { holdClaim, othersServe } from '../../recovery/guard.ts';
import { missingAcknowledgements } from '../../recovery/acknowledgements.ts';
import { askForReconcile } from '../../recovery/route.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { DEADLINES, failAfter } from '../../recovery/wait.ts';
import type { ReplaceState } from '../state.ts';

/** A request may be lost: asked again with every few looks. */
const ASK_EVERY = 8;

/**
 * Reconcile drains the node of a claim of mode `roll` until the claim names a joiner: it moves Galera's writes to another
 * node, and deregisters this one with the declared drain. Safety rules 1 and 6: all the others serve before it begins; with
 * PostgreSQL the node is never the primary.
 * @throws RecoveryError ClaimLost, QuorumAtRisk, NotRouted (still in service past the deadline, or the policy is OBSERVE).
 */
export const drain: Step<ReplaceState> = async (state, context) => {
  const node = nodeOf(state);
  const spec = await loadSpec(context);
  mayDrain(spec, node);
  const ledger = await holdClaim(context);
  const { writer } = ledger;
  if (context.asked === 0) {
    noneInMaintenance(ledger, node);
    await othersServe(context, spec, node, `drain ${node}`, spec.nodes - 1);
    acknowledgementsRemain(spec, ledger, node);
    await record(context, `drain-${node}`, `drains ${node}`, `all other nodes of ${spec.name} serve: ${state.reason}`);
  }
  if (context.asked % ASK_EVERY === 0) await askForReconcile(context, `drain-${node}-${context.asked}`);
  const ledWrites = state.ledWrites || writer === node;
  const inUse = [...(writer === node ? ['it is the writer'] : []), ...(await targetsOf(context, spec, node))];
  if (inUse.length > 0) {
    const deadlineMs = longestDrainSeconds(spec) * 1000 + DEADLINES.drainMs;
    const found = (): string => `${node} is still in service (${inUse.join('; ')}); expected it to be drained`;
    failAfter(context.waitedMs, deadlineMs, 'NotRouted', found);
    return { ready: false, ledWrites, quietUntilMs: null };
  }
  const quietUntilMs = state.quietUntilMs ?? context.nowMs + (ledWrites ? longestTtlSeconds(spec) * 1000 : 0);
  if (context.nowMs < quietUntilMs) return { ready: false, ledWrites, quietUntilMs };
  await record(context, `drained-${node}`, `${node} is drained`, 'no target group and no name leads to it any more');
  return { ready: true, path: 'on', ledWrites, quietUntilMs };
};

function mayDrain(spec: ClusterSpec, node: string): void {
  if (spec.policy !== 'OBSERVE') return;
  throw new RecoveryError(
    'NotRouted',
    `will not replace ${node} by plan: the policy of ${spec.name} is OBSERVE, so it cannot be drained; expected ROUTE or HEAL`,
  );
}

/**
 * One node at a time: what a person has in hand is as good as gone. None is taken in hand while the claim is held.
 * @throws RecoveryError QuorumAtRisk.
 */
function noneInMaintenance({ maintenance }: ClusterLedger, node: string): void {
  if (maintenance === null) return;
  throw new RecoveryError(
    'QuorumAtRisk',
    `will not drain ${node}: ${maintenance.node} is in maintenance by ${maintenance.by}; end that first with {"action":"maintenance-off"}`,
  );
}

/**
 * Without the node, as many standbys as are declared are still waited for.
 * @throws RecoveryError QuorumAtRisk.
 */
function acknowledgementsRemain(spec: ClusterSpec, { sync }: ClusterLedger, node: string): void {
  const missing = missingAcknowledgements(spec, sync, node);
  if (missing === null) return;
  throw new RecoveryError(
    'QuorumAtRisk',
    `will not drain ${node}: ${missing}; reconcile enters each replica that streams`,
  );
}

/** Target groups that still lead to the node, draining ones too: connections that go on would be cut. */
async function targetsOf({ ports }: StepContext, spec: ClusterSpec, node: string): Promise<readonly string[]> {
  const arns = spec.endpoints.flatMap((e) => (e.kind === 'targetGroup' ? [e.arn] : []));
  const found = await Promise.all(
    arns.map(async (arn) =>
      (await ports.targetGroups.health(arn)).filter((t) => t.id === node).map((t) => `${arn}: ${t.state}`),
    ),
  );
  return found.flat();
}

const longestDrainSeconds = ({ endpoints }: ClusterSpec): number =>
  Math.max(0, ...endpoints.map((e) => (e.kind === 'targetGroup' ? e.drainSeconds : 0)));

const longestTtlSeconds = ({ endpoints }: ClusterSpec): number =>
  Math.max(0, ...endpoints.map((e) => (e.kind === 'dns' ? e.ttlSeconds : 0)));

/** @throws RecoveryError FenceFailed when the state names no node. */
export function nodeOf(state: ReplaceState): string {
  if (state.node !== null) return state.node;
  throw new RecoveryError('FenceFailed', `mode ${state.mode} was given no node: expected an instance id`);
}
