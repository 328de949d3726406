/** The candidate has everything that the old primary had, and becomes the primary. */
import { detachAll } from '../../failover/detach-all.ts';
import type { Sight } from '../../failover/detach-all.ts';
import { makePrimary } from '../../failover/make-primary.ts';
import { compareLsn } from '../../model/lsn.ts';
import { RecoveryError } from '../../model/recovery.ts';
import type { ClusterSpec } from '../../model/spec.ts';
import { holdClaim, mayDestroy } from '../../recovery/guard.ts';
import { probeAll } from '../../recovery/nodes.ts';
import { postgresStatusOf } from '../../recovery/status.ts';
import { loadSpec } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import type { SwitchoverState } from '../state.ts';
import { candidateOf, oldOf } from './checkpoint.ts';

/** Its standbys had everything when the old primary ended: this waits for what was on its way to a disk. */
const PATIENCE_MS = 5000;
const BETWEEN_LOOKS_MS = 50;

type Stopped = NonNullable<SwitchoverState['stopped']>;

/**
 * Safety rule 3 by plan: the script's word that the old primary has ended, and hosts start it as a standby only.
 * @throws RecoveryError PromotionFailed, ClaimLost, BrakeEngaged: the definition goes on to Resume.
 */
export const promote: Step<SwitchoverState> = async (state, context) => {
  const candidate = candidateOf(state);
  const { stopped } = state;
  if (stopped === null)
    throw new RecoveryError(
      'PromotionFailed',
      `nothing says that ${oldOf(state)} has shut down; expected StopOld's position`,
    );
  const [spec, { writer }] = await Promise.all([loadSpec(context), holdClaim(context)]);
  const told = await arrived(context, spec, candidate, stopped);
  // Promoted by a try that was killed: from then on it is the ledger's writer, and answers as the primary.
  if (told === 'promoted') {
    if (writer === candidate) return {};
    throw new RecoveryError(
      'PromotionFailed',
      `${candidate} is a primary already, and the ledger's writer is ${writer ?? 'nobody'}`,
    );
  }
  const instances = await context.ports.instances.ofCluster(spec.name);
  const why = `${oldOf(state)} has shut down at ${stopped.lsn}, and ${candidate} has that`;
  await makePrimary(context, { spec, instances, candidate, told, why });
  return { told };
};

/** Positions of all standbys, none of which follows the old primary any more; the candidate is beyond its shutdown. */
async function arrived(
  context: StepContext,
  spec: ClusterSpec,
  candidate: string,
  stopped: Stopped,
): Promise<Sight['told'] | 'promoted'> {
  const { clock, instances } = context.ports;
  const untilMs = clock.nowMs() + PATIENCE_MS;
  for (;;) {
    const all = await instances.ofCluster(spec.name);
    const [found] = await probeAll(
      context,
      spec,
      all.filter((i) => i.id === candidate),
    );
    const status = found === undefined ? null : postgresStatusOf(found);
    if (status?.inRecovery === false) return 'promoted';
    if (status !== null && status.timeline === stopped.timeline && compareLsn(status.lsn, stopped.lsn) > 0) {
      await mayDestroy(context, `cut the standbys off from the old primary`);
      const { told, seen } = await detachAll(context, spec, all, null, () => false);
      if (told[candidate] !== undefined) return told;
      throw new RecoveryError(
        'PromotionFailed',
        `${candidate} could not be detached (${seen.join('; ')}); expected its position`,
      );
    }
    if (clock.nowMs() >= untilMs) {
      const where = status === null ? 'does not answer' : `is on timeline ${status.timeline} at ${status.lsn}`;
      throw new RecoveryError(
        'PromotionFailed',
        `${candidate} ${where}; expected it beyond ${stopped.lsn} on timeline ${stopped.timeline}`,
      );
    }
    await clock.sleep(BETWEEN_LOOKS_MS);
  }
}
