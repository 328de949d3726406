/**
 * No two servers begin a timeline of the same number. PostgreSQL alone does not see to that: a standby that is promoted takes the number
 * after the last one that it has heard of, and of one that was promoted before and lost it may never have heard (a person accepted
 * the loss, or it died before anybody followed). Then two logs have one name: the archive would take the one for a part of the other,
 * and pg_rewind finds nothing to rewind.
 */
import type { DbCredentials, DbTarget } from '../cloud/ports.ts';
import { record } from '../recovery/step.ts';
import type { StepContext } from '../recovery/step.ts';
import { whileHeld } from './held.ts';
import { onCandidate } from './on-candidate.ts';

export interface Beginner {
  readonly target: DbTarget;
  readonly credentials: DbCredentials;
  /** The timeline that it is on, as a standby. */
  readonly timeline: number;
}

/**
 * Right before a promotion. The number is in the ledger before the server has it. Repeatable, at the cost of a number.
 * @throws RecoveryError PromotionFailed, ClaimLost.
 */
export async function passOverUsed(context: StepContext, { target, credentials, timeline }: Beginner): Promise<void> {
  const { ports, cluster } = context;
  const node = target.instanceId;
  let used = 0;
  await whileHeld(context, async ({ newestTimeline, position }) => {
    used = Math.max(newestTimeline, position?.timeline ?? 0);
    await ports.ledger.noteTimeline(cluster, Math.max(used, timeline) + 1);
  });
  if (used <= timeline) return;
  const numbers = { from: timeline + 1, to: used };
  if (await onCandidate(context, node, () => ports.admin.passOver(target, credentials, numbers))) return;
  // To stay without a primary would be worse. The archive says it when it meets the second one.
  await record(
    context,
    `timeline-${node}`,
    `cannot keep ${node} from beginning timeline ${timeline + 1} again`,
    'the database lacks rejoin.pass_over_timelines: run setup.sql again (docs/hosts.md), and take a base backup',
  );
}
