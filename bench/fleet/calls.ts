/**
 * What the product's ports cost at AWS: the API calls behind each, and what an account may make of them. Limits are those of
 * a new account in one region, per second, with the bucket that absorbs bursts:
 * EC2 https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html (described with filters),
 * Elastic Load Balancing https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/load-balancer-api-throttling.html,
 * Route 53 https://docs.aws.amazon.com/Route53/latest/APIReference/requests-rate-limits.html,
 * SSM https://docs.aws.amazon.com/general/latest/gr/ssm.html, Step Functions https://docs.aws.amazon.com/step-functions/latest/dg/limits.html.
 * DynamoDB on demand, SQS and SNS have none that a fleet meets.
 */
import { DEFAULT_QUOTAS } from '../../lib/capabilities/reconcile.ts';
import type { FakeCall } from '../../test/fakes/index.ts';

export interface Limit {
  readonly burst: number;
  readonly perSecond: number;
}

export const LIMITS: Readonly<Record<string, Limit>> = {
  'ec2:DescribeInstances': { burst: 100, perSecond: 20 },
  'ec2:DescribeVolumes': { burst: 100, perSecond: 20 },
  'ec2:RunInstances': { burst: 5, perSecond: 2 },
  'ec2:TerminateInstances': { burst: 100, perSecond: 5 },
  'elasticloadbalancing:DescribeTargetHealth': { burst: 40, perSecond: 10 },
  'elasticloadbalancing:RegisterTargets': { burst: 20, perSecond: 4 },
  'elasticloadbalancing:DeregisterTargets': { burst: 20, perSecond: 4 },
  'elasticloadbalancing:DescribeTargetGroupAttributes': { burst: 40, perSecond: 10 },
  'elasticloadbalancing:ModifyTargetGroupAttributes': { burst: 20, perSecond: 4 },
  'route53:ListResourceRecordSets': { burst: 50, perSecond: 10 },
  'route53:ChangeResourceRecordSets': { burst: 50, perSecond: 10 },
  'ssm:GetParameter': { burst: 40, perSecond: 40 },
  'ssm:GetParametersByPath': { burst: 40, perSecond: 40 },
  'states:StartExecution': { burst: 800, perSecond: 150 },
  'states:DescribeExecution': { burst: 250, perSecond: 10 },
};

/** What an account may ask in a second, beyond the bursts above: the quotas that can be raised for an outage of many clusters. */
export interface Quota {
  /** How many environments of reconcile share them. */
  readonly environments: number;
  readonly describesPerSecond: number;
  readonly registrationsPerSecond: number;
  readonly instancesPerSecond: number;
}

export const DEFAULT_QUOTA: Quota = DEFAULT_QUOTAS;

/** What an outage of 1,000 clusters needs, so that writes are back within half a minute. */
export const RAISED_QUOTA: Quota = {
  describesPerSecond: 60,
  registrationsPerSecond: 40,
  instancesPerSecond: 60,
  environments: 7,
};

export const limitsWith = (quota: Quota): Readonly<Record<string, Limit>> => ({
  ...LIMITS,
  'ec2:DescribeInstances': { burst: 100, perSecond: quota.instancesPerSecond },
  'elasticloadbalancing:DescribeTargetHealth': { burst: 40, perSecond: quota.describesPerSecond },
  'elasticloadbalancing:RegisterTargets': { burst: 20, perSecond: quota.registrationsPerSecond },
});

/** APIs that AWS counts together: https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-throttling.html. */
export const BUCKETS: Readonly<Record<string, string>> = {
  'elasticloadbalancing:DescribeTargetGroupAttributes': 'elasticloadbalancing:DescribeTargetHealth',
  'elasticloadbalancing:DeregisterTargets': 'elasticloadbalancing:RegisterTargets',
};

/** One API call for each of these. */
const ONE: Readonly<Record<string, string>> = {
  'Specs.get': 'ssm:GetParameter',
  'Instances.ofCluster': 'ec2:DescribeInstances',
  'Instances.templateVersion': 'ec2:DescribeLaunchTemplateVersions',
  'Instances.launch': 'ec2:RunInstances',
  'Instances.terminate': 'ec2:TerminateInstances',
  'Volumes.byIds': 'ec2:DescribeVolumes',
  'Volumes.ofCluster': 'ec2:DescribeVolumes',
  'TargetGroups.health': 'elasticloadbalancing:DescribeTargetHealth',
  'TargetGroups.register': 'elasticloadbalancing:RegisterTargets',
  'TargetGroups.deregister': 'elasticloadbalancing:DeregisterTargets',
  'TargetGroups.ensureTermination': 'elasticloadbalancing:DescribeTargetGroupAttributes',
  'DnsZones.read': 'route53:ListResourceRecordSets',
  'DnsZones.upsert': 'route53:ChangeResourceRecordSets',
  'Workflows.start': 'states:StartExecution',
  'Workflows.state': 'states:DescribeExecution',
  'ReconcileRequests.sendLater': 'sqs:SendMessage',
  'Notifications.publish': 'sns:Publish',
};

const IDS_PER_CALL = 100;
const INSTANCES_PER_PAGE = 1000;
/** Of a cluster of the fleet. */
export const NODES = 3;
const MESSAGES_PER_CALL = 10;
const PARAMETERS_PER_PAGE = 10;

/** The API calls of one call of a port; none for what is no AWS call (probes). */
export function apiCalls({ operation, args }: FakeCall, fleetSize: number): readonly string[] {
  const times = (api: string, count: number): string[] => Array.from({ length: Math.max(1, count) }, () => api);
  const one = ONE[operation];
  if (one !== undefined) return [one];
  const [list] = args as readonly (readonly unknown[] | undefined)[];
  switch (operation) {
    case 'Instances.byIds':
      return times('ec2:DescribeInstances', Math.ceil((list?.length ?? 0) / IDS_PER_CALL));
    case 'Instances.ofEveryCluster':
      return times('ec2:DescribeInstances', Math.ceil((fleetSize * NODES) / INSTANCES_PER_PAGE));
    case 'ReconcileRequests.send':
      return times('sqs:SendMessageBatch', Math.ceil((list?.length ?? 0) / MESSAGES_PER_CALL));
    case 'Specs.list':
      return times('ssm:GetParametersByPath', Math.ceil(fleetSize / PARAMETERS_PER_PAGE));
    default:
  }
  if (operation === 'Ledger.read') return ['dynamodb:BatchGetItem'];
  if (operation.startsWith('Ledger.')) return ['dynamodb:UpdateItem'];
  // Secrets are kept for five minutes by the adapter, in each execution environment.
  if (operation === 'Secrets.credentials' || operation.startsWith('Prober.')) return [];
  throw new Error(`${operation}: which API call that is, bench/fleet/calls.ts does not say; add it`);
}
