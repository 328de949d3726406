/** Calls of real SDK clients, one of each wire protocol and shape of parameters, and what the gateway must make of them. */
import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { DescribeInstancesCommand, EC2Client, RunInstancesCommand } from '@aws-sdk/client-ec2';
import { ElasticLoadBalancingV2Client, RegisterTargetsCommand } from '@aws-sdk/client-elastic-load-balancing-v2';
import { EventBridgeClient, ListRulesCommand } from '@aws-sdk/client-eventbridge';
import { IAMClient, ListRolesCommand } from '@aws-sdk/client-iam';
import { GetFunctionCommand, InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { ChangeResourceRecordSetsCommand, Route53Client } from '@aws-sdk/client-route-53';
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { DescribeExecutionCommand, SFNClient } from '@aws-sdk/client-sfn';
import { PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import type { TestCloud } from './cloud-harness.ts';

export type Config = TestCloud['userConfig'] & { maxAttempts?: number };
export interface Row {
  readonly service: string;
  readonly operation: string;
  readonly call: (config: Config) => Promise<unknown>;
  readonly params: Record<string, unknown>;
}

export const rows: readonly Row[] = [
  {
    service: 'ec2',
    operation: 'DescribeInstances',
    call: (c) =>
      new EC2Client(c).send(
        new DescribeInstancesCommand({
          Filters: [{ Name: 'tag:rejoin:cluster', Values: ['orders', 'a & b'] }],
          MaxResults: 50,
        }),
      ),
    params: { Filter: [{ Name: 'tag:rejoin:cluster', Value: ['orders', 'a & b'] }], MaxResults: '50' },
  },
  {
    service: 'ec2',
    operation: 'RunInstances',
    call: (c) =>
      new EC2Client(c).send(
        new RunInstancesCommand({
          ImageId: 'ami-12c6146b',
          MinCount: 1,
          MaxCount: 1,
          TagSpecifications: [
            {
              ResourceType: 'instance',
              Tags: [
                { Key: 'a', Value: '1' },
                { Key: 'b', Value: '2' },
              ],
            },
          ],
        }),
      ),
    params: {
      TagSpecification: [
        {
          ResourceType: 'instance',
          Tag: [
            { Key: 'a', Value: '1' },
            { Key: 'b', Value: '2' },
          ],
        },
      ],
    },
  },
  {
    service: 'elasticloadbalancing',
    operation: 'RegisterTargets',
    call: (c) =>
      new ElasticLoadBalancingV2Client(c).send(
        new RegisterTargetsCommand({ TargetGroupArn: 'arn:x', Targets: [{ Id: 'i-1', Port: 3306 }, { Id: 'i-2' }] }),
      ),
    params: { TargetGroupArn: 'arn:x', Targets: [{ Id: 'i-1', Port: '3306' }, { Id: 'i-2' }] },
  },
  {
    service: 'route53',
    operation: 'ChangeResourceRecordSets',
    call: (c) =>
      new Route53Client(c).send(
        new ChangeResourceRecordSetsCommand({
          HostedZoneId: 'Z1',
          ChangeBatch: {
            Changes: [
              {
                Action: 'UPSERT',
                ResourceRecordSet: { Name: 'orders.db', Type: 'A', TTL: 5, ResourceRecords: [{ Value: '10.0.0.1' }] },
              },
            ],
          },
        }),
      ),
    params: {
      HostedZoneId: 'Z1',
      ChangeBatch: {
        Changes: {
          Change: [
            {
              Action: 'UPSERT',
              ResourceRecordSet: [
                {
                  Name: 'orders.db',
                  Type: 'A',
                  TTL: '5',
                  ResourceRecords: { ResourceRecord: [{ Value: '10.0.0.1' }] },
                },
              ],
            },
          ],
        },
      },
    },
  },
  {
    service: 's3',
    operation: 'CreateBucket',
    call: (c) => new S3Client(c).send(new CreateBucketCommand({ Bucket: 'wal' })),
    params: { Bucket: 'wal' },
  },
  {
    service: 's3',
    operation: 'PutObject',
    call: (c) =>
      new S3Client(c).send(new PutObjectCommand({ Bucket: 'wal', Key: 'a/b c', Body: 'x', IfNoneMatch: '*' })),
    params: { Bucket: 'wal', Key: 'a/b c' },
  },
  {
    service: 's3',
    operation: 'GetObject',
    call: (c) => new S3Client(c).send(new GetObjectCommand({ Bucket: 'wal', Key: 'k' })),
    params: { Bucket: 'wal', Key: 'k' },
  },
  {
    service: 's3',
    operation: 'ListObjectsV2',
    call: (c) => new S3Client(c).send(new ListObjectsV2Command({ Bucket: 'wal', Prefix: 'p/' })),
    params: { Bucket: 'wal', prefix: 'p/' },
  },
  {
    service: 'sqs',
    operation: 'SendMessage',
    call: (c) =>
      new SQSClient(c).send(
        new SendMessageCommand({ QueueUrl: `${c.endpoint}/123456789012/q`, MessageBody: 'hello', DelaySeconds: 3 }),
      ),
    params: { MessageBody: 'hello', DelaySeconds: 3 },
  },
  {
    service: 'ssm',
    operation: 'GetParameter',
    call: (c) => new SSMClient(c).send(new GetParameterCommand({ Name: '/rejoin/clusters/orders' })),
    params: { Name: '/rejoin/clusters/orders' },
  },
  {
    service: 'states',
    operation: 'DescribeExecution',
    call: (c) =>
      new SFNClient(c).send(
        new DescribeExecutionCommand({ executionArn: 'arn:aws:states:eu-west-1:123456789012:execution:m:e' }),
      ),
    params: { executionArn: 'arn:aws:states:eu-west-1:123456789012:execution:m:e' },
  },
  {
    service: 'dynamodb',
    operation: 'PutItem',
    call: (c) => new DynamoDBClient(c).send(new PutItemCommand({ TableName: 'ledger', Item: { pk: { S: 'a' } } })),
    params: { TableName: 'ledger', Item: { pk: { S: 'a' } } },
  },
  {
    service: 'secretsmanager',
    operation: 'GetSecretValue',
    call: (c) => new SecretsManagerClient(c).send(new GetSecretValueCommand({ SecretId: 'probe' })),
    params: { SecretId: 'probe' },
  },
  {
    service: 'sns',
    operation: 'Publish',
    call: (c) =>
      new SNSClient(c).send(
        new PublishCommand({
          TopicArn: 'arn:t',
          Message: 'm',
          MessageAttributes: { kind: { DataType: 'String', StringValue: 'incident' } },
        }),
      ),
    params: {
      TopicArn: 'arn:t',
      Message: 'm',
      MessageAttributes: { kind: { DataType: 'String', StringValue: 'incident' } },
    },
  },
  {
    service: 'events',
    operation: 'ListRules',
    call: (c) => new EventBridgeClient(c).send(new ListRulesCommand({ NamePrefix: 'p' })),
    params: { NamePrefix: 'p' },
  },
  {
    service: 'cloudformation',
    operation: 'DescribeStacks',
    call: (c) => new CloudFormationClient(c).send(new DescribeStacksCommand({ StackName: 'none' })),
    params: { StackName: 'none' },
  },
  {
    service: 'lambda',
    operation: 'Invoke',
    call: (c) => new LambdaClient(c).send(new InvokeCommand({ FunctionName: 'none', Payload: Buffer.from('{}') })),
    params: { FunctionName: 'none', InvocationType: 'RequestResponse' },
  },
  {
    service: 'lambda',
    operation: 'GetFunction',
    call: (c) => new LambdaClient(c).send(new GetFunctionCommand({ FunctionName: 'none' })),
    params: { FunctionName: 'none' },
  },
  {
    service: 'iam',
    operation: 'ListRoles',
    call: (c) => new IAMClient(c).send(new ListRolesCommand({ PathPrefix: '/x/' })),
    params: { PathPrefix: '/x/' },
  },
];
