/** Whether a stopped instance was stopped by Rejoin, and has been left as it was since. Pure. */
import type { ClusterLedger } from './ledger.ts';
import type { Instance } from './view.ts';

/**
 * A workflow noted that it stops it by force, and it has not been started since: EC2 counts the time of launch anew for a stopped
 * instance that is started. One that a person stopped, or started and stopped again, is that person's.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html (`launchTime`)
 */
export function isAsFenced({ fences }: Pick<ClusterLedger, 'fences'>, instance: Instance): boolean {
  const fence = fences[instance.id];
  if (fence === undefined || (instance.state !== 'stopped' && instance.state !== 'stopping')) return false;
  return instance.launchedAtMs < fence.atMs;
}
