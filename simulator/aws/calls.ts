/** What the product's ports cost at AWS: the API calls behind each call of a port (lambdas/cloud/aws-*.ts). */

/** Of a call: its port as the interface is named, its method, and the arguments. */
export interface PortCall {
  readonly operation: string;
  readonly args: readonly unknown[];
}

/** What a call costs depends on. */
export interface Costs {
  /** Clusters of the account. */
  readonly clusters: number;
  /** Whether a group's delay is another than the wanted one, so that it is written; unless given it is not. */
  readonly differs?: (groupArn: string, drainSeconds: number) => boolean;
}

/** One API call for each of these. */
const ONE: Readonly<Record<string, string>> = {
  'Specs.get': 'ssm:GetParameter',
  'Instances.ofCluster': 'ec2:DescribeInstances',
  'Instances.templateVersion': 'ec2:DescribeLaunchTemplateVersions',
  'Instances.launch': 'ec2:RunInstances',
  'Instances.stop': 'ec2:StopInstances',
  'Instances.terminate': 'ec2:TerminateInstances',
  'Volumes.ofCluster': 'ec2:DescribeVolumes',
  'Volumes.tag': 'ec2:CreateTags',
  'Volumes.delete': 'ec2:DeleteVolume',
  'TargetGroups.health': 'elasticloadbalancing:DescribeTargetHealth',
  'DnsZones.read': 'route53:ListResourceRecordSets',
  'DnsZones.upsert': 'route53:ChangeResourceRecordSets',
  'Workflows.start': 'states:StartExecution',
  'Workflows.state': 'states:DescribeExecution',
  'ArchiveStarts.start': 'states:StartExecution',
  'HostCommands.start': 'ssm:SendCommand',
  'HostCommands.state': 'ssm:GetCommandInvocation',
  'ReconcileRequests.sendLater': 'sqs:SendMessage',
  'Notifications.publish': 'sns:Publish',
  'Ledger.read': 'dynamodb:BatchGetItem',
  'Leases.take': 'dynamodb:UpdateItem',
  'Leases.release': 'dynamodb:UpdateItem',
  'ArchiveBucket.list': 's3:ListObjectsV2',
  'ArchiveBucket.folders': 's3:ListObjectsV2',
  /** A night's own name for the same (simulator/archive/bucket.ts). */
  'ArchiveBucket.listed': 's3:ListObjectsV2',
  'ArchiveBucket.get': 's3:GetObject',
  'ArchiveBucket.put': 's3:PutObject',
  'ArchiveBucket.remove': 's3:DeleteObjects',
  'ArchiveBucket.beginUpload': 's3:CreateMultipartUpload',
  'ArchiveBucket.uploadPart': 's3:UploadPart',
  'ArchiveBucket.parts': 's3:ListParts',
  'ArchiveBucket.completeUpload': 's3:CompleteMultipartUpload',
  'ArchiveBucket.abortUpload': 's3:AbortMultipartUpload',
};

const ONLY = new Map(Object.entries(ONE).map(([operation, api]) => [operation, [api]] as const));
const NONE: readonly string[] = [];

/** An attachment is looked at before it is changed. */
const ATTACH = ['ec2:DescribeVolumes', 'ec2:AttachVolume'];
const DETACH = ['ec2:DescribeVolumes', 'ec2:DetachVolume'];

const IDS_PER_CALL = 100;
/** Of `DescribeInstanceInformation`'s filter, and its pages. */
const HOSTS_PER_CALL = 50;
const INSTANCES_PER_PAGE = 1000;
/** Of a cluster of the fleet. */
export const NODES = 3;
const MESSAGES_PER_CALL = 10;
const PARAMETERS_PER_PAGE = 10;

const times = (api: string, count: number): readonly string[] =>
  Array.from({ length: Math.max(1, Math.ceil(count)) }, () => api);

/**
 * The API calls of one call of a port, in order; none for what is no AWS call (databases are asked, secrets are kept for five minutes by the adapter).
 * @throws Error for an operation that nobody has said the cost of.
 */
export function apiCalls({ operation, args }: PortCall, { clusters, differs }: Costs): readonly string[] {
  const one = ONLY.get(operation);
  if (one !== undefined) return one;
  const [list, second] = args;
  const length = Array.isArray(list) ? list.length : 0;
  switch (operation) {
    case 'Instances.byIds':
      return length === 0 ? NONE : times('ec2:DescribeInstances', length / IDS_PER_CALL);
    case 'Instances.ofEveryCluster':
      return times('ec2:DescribeInstances', (clusters * NODES) / INSTANCES_PER_PAGE);
    case 'Volumes.byIds':
      return length === 0 ? NONE : times('ec2:DescribeVolumes', length / IDS_PER_CALL);
    case 'Volumes.attach':
      return ATTACH;
    case 'Volumes.detach':
      return DETACH;
    case 'HostCommands.online':
      return length === 0 ? NONE : times('ssm:DescribeInstanceInformation', length / HOSTS_PER_CALL);
    // No targets are no call.
    case 'TargetGroups.register':
      return hasNone(second) ? NONE : ['elasticloadbalancing:RegisterTargets'];
    case 'TargetGroups.deregister':
      return hasNone(second) ? NONE : ['elasticloadbalancing:DeregisterTargets'];
    case 'TargetGroups.ensureTermination':
      return differs?.(String(list), Number(second)) === true
        ? ['elasticloadbalancing:DescribeTargetGroupAttributes', 'elasticloadbalancing:ModifyTargetGroupAttributes']
        : ['elasticloadbalancing:DescribeTargetGroupAttributes'];
    case 'ReconcileRequests.send':
      return length === 0 ? NONE : times('sqs:SendMessageBatch', length / MESSAGES_PER_CALL);
    case 'Specs.list':
      return times('ssm:GetParametersByPath', clusters / PARAMETERS_PER_PAGE);
    default:
  }
  // One unit of a write each, or a little less.
  if (operation.startsWith('Ledger.')) return ['dynamodb:UpdateItem'];
  if (/^(Secrets|Prober|PostgresAdmin)\./.test(operation)) return NONE;
  throw new Error(`${operation}: which API call that is, simulator/aws/calls.ts does not say; add it`);
}

const hasNone = (targets: unknown): boolean => Array.isArray(targets) && targets.length === 0;
