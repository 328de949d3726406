/**
 * AWS managed policies that may stand on roles of the rehearsal, as AWS publishes them:
 * https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html. A policy that is not here grants nothing.
 */
const all = (...actions: readonly string[]): object => ({ Effect: 'Allow', Action: actions, Resource: '*' });

const LOGS = ['logs:CreateLogGroup', 'logs:CreateLogStream', 'logs:PutLogEvents'];

const document = (...statements: readonly object[]): object => ({ Version: '2012-10-17', Statement: statements });

/** By the ARN without its partition. */
const MANAGED: Readonly<Record<string, object>> = {
  // Version v1.
  'service-role/AWSLambdaBasicExecutionRole': document(all(...LOGS)),
  // Version v3.
  'service-role/AWSLambdaVPCAccessExecutionRole': document(
    all(
      ...LOGS,
      'ec2:CreateNetworkInterface',
      'ec2:DescribeNetworkInterfaces',
      'ec2:DescribeSubnets',
      'ec2:DeleteNetworkInterface',
      'ec2:AssignPrivateIpAddresses',
      'ec2:UnassignPrivateIpAddresses',
    ),
  ),
  // Version v1.
  'service-role/AWSLambdaSQSQueueExecutionRole': document(
    all('sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', ...LOGS),
  ),
  // Version v2.
  AmazonSSMManagedInstanceCore: document(
    all(
      'ssm:DescribeAssociation',
      'ssm:GetDeployablePatchSnapshotForInstance',
      'ssm:GetDocument',
      'ssm:DescribeDocument',
      'ssm:GetManifest',
      'ssm:GetParameter',
      'ssm:GetParameters',
      'ssm:ListAssociations',
      'ssm:ListInstanceAssociations',
      'ssm:PutInventory',
      'ssm:PutComplianceItems',
      'ssm:PutConfigurePackageResult',
      'ssm:UpdateAssociationStatus',
      'ssm:UpdateInstanceAssociationStatus',
      'ssm:UpdateInstanceInformation',
    ),
    all(
      'ssmmessages:CreateControlChannel',
      'ssmmessages:CreateDataChannel',
      'ssmmessages:OpenControlChannel',
      'ssmmessages:OpenDataChannel',
    ),
    all(
      'ec2messages:AcknowledgeMessage',
      'ec2messages:DeleteMessage',
      'ec2messages:FailMessage',
      'ec2messages:GetEndpoint',
      'ec2messages:GetMessages',
      'ec2messages:SendReply',
    ),
  ),
};

const PREFIX = /^arn:[a-z-]+:iam::aws:policy\//;

export const isAwsManaged = (arn: string): boolean => PREFIX.test(arn);

/** The document; undefined for a policy that the rehearsal does not have. */
export const managedPolicy = (arn: string): object | undefined => MANAGED[arn.replace(PREFIX, '')];
