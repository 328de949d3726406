/**
 * Whose look can wait while requests pile up (docs/decisions/0021-writes-first.md): reads have left a dead node through the balancer's
 * own health check, and writes are served or nobody could serve them sooner. The ledger tells, for nothing.
 */
import { standingAcceptance } from '../model/ledger.ts';
import type { ClusterLedger } from '../model/ledger.ts';
import type { ReconcilePorts } from './ports.ts';

/** How long a look is put off. */
export const PUT_OFF_SECONDS = 20;
/** So often, and then it is looked at, backlog or not: within five minutes. */
export const MOST_PUT_OFFS = 15;

const PUT_OFF = /put-off-(\d+)-/g;
/** How causes of what a person has asked for begin (lambdas/operate): that does not wait. */
export const WANTED = 'operate-';

export const isWanted = (causes: readonly string[]): boolean =>
  causes.some((cause) => cause.split('+').some((one) => one.startsWith(WANTED)));

const FOR_WRITES: readonly string[] = ['failover', 'bootstrap', 'switchover'];

/** A queue that was too long a moment ago, and in which messages still wait, is taken for too long: calls come and go in batches. */
const LATELY_MS = 30_000;

/** So little is left of what may be asked of AWS that others come first. Where few clusters have trouble that is never so. */
export const isPressed = ({ pace }: ReconcilePorts, isBacklog: boolean): boolean =>
  pace?.isShort(isBacklog ? LATELY_MS : 0) ?? false;

/** The ledger knows of nothing that writes wait for. The watch notes what it finds of a node before it asks for a look. */
export function isCalm(ledger: ClusterLedger): boolean {
  const { writer, suspicions, claim, sync } = ledger;
  if (writer === null || suspicions[writer] !== undefined || standingAcceptance(ledger) !== null) return false;
  if (claim !== null && FOR_WRITES.includes(claim.mode)) return false;
  // A primary that waits for acknowledgements stands still when one who gives them is lost.
  return sync === null || Object.keys(suspicions).length === 0;
}

/** How often these causes have been put off already; null: they must not be. */
function putOffsOf(causes: readonly string[]): number | null {
  if (isWanted(causes)) return null;
  const times = causes.flatMap((cause) => [...cause.matchAll(PUT_OFF)].map((found) => Number(found[1])));
  const most = Math.max(0, ...times);
  return most >= MOST_PUT_OFFS ? null : most;
}

/**
 * Puts the look off, if it can wait. `untilMs`: for how long the cluster's look has been put off by this function already; what comes meanwhile is
 * answered by that look.
 * @throws CloudUnavailable when the request to come back cannot be sent: nothing is put off then.
 */
export async function putOff(
  cluster: string,
  causes: readonly string[],
  ledger: ClusterLedger,
  untilMs: Map<string, number>,
  ports: ReconcilePorts,
): Promise<boolean> {
  const times = putOffsOf(causes);
  if (times === null || !isCalm(ledger)) return false;
  const nowMs = ports.clock.nowMs();
  if ((untilMs.get(cluster) ?? nowMs) <= nowMs) {
    const backMs = nowMs + PUT_OFF_SECONDS * 1000;
    await ports.requests.sendLater(cluster, PUT_OFF_SECONDS, `put-off-${times + 1}-${cluster}-${backMs}`);
    untilMs.set(cluster, backMs);
  }
  ports.log.info('others come first: the look is put off', { cluster, causes, times });
  ports.metrics.count('LooksPutOff');
  return true;
}
