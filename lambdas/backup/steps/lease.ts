/** One backup of a cluster at a time: two would both burden nodes, and leave fewer than serve. */
import type { Leases } from '../../cloud/ports.ts';
import { RecoveryError } from '../../model/recovery.ts';
import type { StepContext } from '../../recovery/step.ts';
import { MINUTES } from '../../recovery/wait.ts';

const LEASE = 'backup';
/** Renewed at least every minute and a half (`recovery/job.ts`): it outlives no execution by more than this. */
const LEASE_MS = 15 * MINUTES;

/** Takes or renews it. @throws RecoveryError `refusal` while another execution has it. */
export async function holdLease(
  leases: Leases,
  { cluster, execution, nowMs }: StepContext,
  refusal: 'BackupRefused' | 'BackupFailed',
): Promise<void> {
  if (await leases.take(cluster, LEASE, execution, nowMs + LEASE_MS)) return;
  throw new RecoveryError(refusal, `another backup of ${cluster} is at work: wait for its end, then start this again`);
}

export const endLease = (leases: Leases, { cluster, execution }: StepContext): Promise<void> =>
  leases.release(cluster, LEASE, execution);
