/**
 * What an account may ask of AWS in one region: token buckets as AWS publishes them for a new account, each with its burst and what
 * comes back in a second. Of EC2 what is described with filters:
 * EC2 https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html (requests, and the resources that some of them count besides),
 * Elastic Load Balancing https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-throttling.html,
 * Route 53 https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/throttling-api-requests.html,
 * parameters https://docs.aws.amazon.com/general/latest/gr/ssm.html, Step Functions https://docs.aws.amazon.com/step-functions/latest/dg/limits.html.
 * Systems Manager publishes no rate of Run Command: its three are assumptions. DynamoDB on demand, SQS, SNS, S3 and Secrets Manager have none that a fleet meets.
 */
export interface Limit {
  readonly burst: number;
  readonly perSecond: number;
}

export type Limits = Readonly<Record<string, Limit>>;

/** An action of EC2 that is in no list of its own: those that look, and those that change something. */
const EC2_READS: Limit = { burst: 100, perSecond: 20 };
const EC2_WRITES: Limit = { burst: 50, perSecond: 5 };
const RUN_COMMAND: Limit = { burst: 40, perSecond: 20 };

export const LIMITS = {
  'ec2:DescribeInstances': EC2_READS,
  'ec2:DescribeVolumes': EC2_READS,
  'ec2:DescribeLaunchTemplateVersions': EC2_READS,
  'ec2:RunInstances': { burst: 5, perSecond: 2 },
  'ec2:RunInstances instances': { burst: 1000, perSecond: 2 },
  'ec2:StopInstances': EC2_WRITES,
  'ec2:StopInstances instances': { burst: 1000, perSecond: 20 },
  'ec2:TerminateInstances': { burst: 100, perSecond: 5 },
  'ec2:TerminateInstances instances': { burst: 1000, perSecond: 20 },
  'ec2:AttachVolume': EC2_WRITES,
  'ec2:DetachVolume': EC2_WRITES,
  'ec2:DeleteVolume': { burst: 100, perSecond: 5 },
  'ec2:CreateTags': { burst: 100, perSecond: 10 },
  'elasticloadbalancing:DescribeTargetHealth': { burst: 40, perSecond: 10 },
  'elasticloadbalancing:RegisterTargets': { burst: 20, perSecond: 4 },
  'elasticloadbalancing:ModifyTargetGroupAttributes': { burst: 20, perSecond: 3 },
  'elasticloadbalancing:all': { burst: 40, perSecond: 10 },
  'route53:ListResourceRecordSets': { burst: 50, perSecond: 10 },
  'route53:ChangeResourceRecordSets': { burst: 50, perSecond: 10 },
  'route53:all': { burst: 50, perSecond: 10 },
  'ssm:GetParameter': { burst: 40, perSecond: 40 },
  'ssm:GetParametersByPath': { burst: 40, perSecond: 40 },
  'ssm:SendCommand': RUN_COMMAND,
  'ssm:GetCommandInvocation': RUN_COMMAND,
  'ssm:DescribeInstanceInformation': RUN_COMMAND,
  'states:StartExecution': { burst: 800, perSecond: 150 },
  'states:DescribeExecution': { burst: 250, perSecond: 10 },
} as const satisfies Limits;

export type Bucket = keyof typeof LIMITS;

/** Every action of Elastic Load Balancing takes from it besides. */
const BALANCING: Bucket = 'elasticloadbalancing:all';

/** Of a call that takes from other buckets than one of its own name. It is let through when each of them has a token. */
const TAKES_FROM: Readonly<Record<string, readonly Bucket[]>> = {
  'ec2:RunInstances': ['ec2:RunInstances', 'ec2:RunInstances instances'],
  'ec2:StopInstances': ['ec2:StopInstances', 'ec2:StopInstances instances'],
  'ec2:TerminateInstances': ['ec2:TerminateInstances', 'ec2:TerminateInstances instances'],
  'elasticloadbalancing:DescribeTargetHealth': ['elasticloadbalancing:DescribeTargetHealth', BALANCING],
  'elasticloadbalancing:DescribeTargetGroupAttributes': ['elasticloadbalancing:DescribeTargetHealth', BALANCING],
  'elasticloadbalancing:RegisterTargets': ['elasticloadbalancing:RegisterTargets', BALANCING],
  'elasticloadbalancing:DeregisterTargets': ['elasticloadbalancing:RegisterTargets', BALANCING],
  'elasticloadbalancing:ModifyTargetGroupAttributes': ['elasticloadbalancing:ModifyTargetGroupAttributes', BALANCING],
  'route53:ListResourceRecordSets': ['route53:ListResourceRecordSets', 'route53:all'],
  'route53:ChangeResourceRecordSets': ['route53:ChangeResourceRecordSets', 'route53:all'],
};

/** The buckets that a call takes a token of; none where AWS has no limit that a fleet meets. The first is the API's own. */
export const bucketsOf = (api: string): readonly Bucket[] => TAKES_FROM[api] ?? (api in LIMITS ? [api as Bucket] : []);
