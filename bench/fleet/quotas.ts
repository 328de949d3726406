/** What an account may ask in a second, beyond the bursts: the quotas that can be raised for an outage of many clusters. */
import { DEFAULT_QUOTAS } from '../../lib/capabilities/reconcile.ts';
import { LIMITS } from '../../simulator/aws/limits.ts';
import type { Limits } from '../../simulator/aws/limits.ts';

export interface Quota {
  /** How many environments of reconcile share them. */
  readonly environments: number;
  readonly describesPerSecond: number;
  readonly registrationsPerSecond: number;
  readonly loadBalancingPerSecond: number;
  readonly instancesPerSecond: number;
}

export const DEFAULT_QUOTA: Quota = DEFAULT_QUOTAS;

/** What an outage of 1,000 clusters needs, so that writes are back within half a minute. */
export const RAISED_QUOTA: Quota = {
  describesPerSecond: 60,
  registrationsPerSecond: 40,
  loadBalancingPerSecond: 100,
  instancesPerSecond: 60,
  environments: 7,
};

export const limitsWith = (quota: Quota): Limits => ({
  ...LIMITS,
  'ec2:DescribeInstances': { ...LIMITS['ec2:DescribeInstances'], perSecond: quota.instancesPerSecond },
  'elasticloadbalancing:DescribeTargetHealth': {
    ...LIMITS['elasticloadbalancing:DescribeTargetHealth'],
    perSecond: quota.describesPerSecond,
  },
  'elasticloadbalancing:RegisterTargets': {
    ...LIMITS['elasticloadbalancing:RegisterTargets'],
    perSecond: quota.registrationsPerSecond,
  },
  'elasticloadbalancing:all': { ...LIMITS['elasticloadbalancing:all'], perSecond: quota.loadBalancingPerSecond },
});
