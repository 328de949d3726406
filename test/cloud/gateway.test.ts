import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { DynamoDBClient, ListTablesCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { DescribeInstancesCommand, EC2Client, RunInstancesCommand } from '@aws-sdk/client-ec2';
import {
  DescribeTargetGroupsCommand,
  ElasticLoadBalancingV2Client,
  RegisterTargetsCommand,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { EventBridgeClient, ListRulesCommand } from '@aws-sdk/client-eventbridge';
import { IAMClient, ListRolesCommand } from '@aws-sdk/client-iam';
import { GetFunctionCommand, InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { ChangeResourceRecordSetsCommand, ListHostedZonesCommand, Route53Client } from '@aws-sdk/client-route-53';
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { DescribeExecutionCommand, ListStateMachinesCommand, SFNClient } from '@aws-sdk/client-sfn';
import { ListTopicsCommand, PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import { ListQueuesCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { DescribeParametersCommand, GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { AwsRequest } from '../../rehearsal/cloud/contract.ts';
import { rewriteBody, throttleOf, xmlAnswer } from '../../rehearsal/cloud/wire-answers.ts';
import { startTestCloud } from './cloud-harness.ts';
import type { TestCloud } from './cloud-harness.ts';

let test: TestCloud;
beforeAll(async () => void (test = await startTestCloud()));
afterAll(() => test.stop());
afterEach(() => {
  test.cloud.setAuthorizer(null);
  test.cloud.faults.clear();
});

type Config = TestCloud['userConfig'] & { maxAttempts?: number };
interface Row {
  readonly service: string;
  readonly operation: string;
  readonly call: (config: Config) => Promise<unknown>;
  readonly params: Record<string, unknown>;
}

const rows: readonly Row[] = [
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

describe('a call of a real SDK client', () => {
  it.each(rows)('$service:$operation is read with its parameters', async ({ service, operation, call, params }) => {
    const seen: AwsRequest[] = [];
    test.cloud.setAuthorizer({
      authorize: async (request) => {
        seen.push(request);
        return { allowed: true, principal: 'test' };
      },
    });
    await call({ ...test.userConfig, maxAttempts: 1 }).catch((error: unknown) => {
      // What moto makes of the call is not the matter, but the gateway must not have failed on it.
      expect(error).not.toMatchObject({ name: 'InternalFailure' });
    });
    expect(seen[0]).toMatchObject({ service, operation, accessKeyId: 'AKIATESTUSER' });
    expect(seen[0]!.params).toMatchObject(params);
  });

  it.each(rows)('$service:$operation that IAM refuses fails as on AWS', async ({ service, call }) => {
    const message = 'User: arn:aws:sts::123456789012:assumed-role/r/f is not authorized to perform: x on resource: y';
    test.cloud.setAuthorizer({
      authorize: async () => ({ allowed: false, principal: 'r', action: 'x', resource: 'y', message }),
    });
    const name = service === 'ec2' ? 'UnauthorizedOperation' : /^AccessDenied(Exception)?$/;
    const error = await call({ ...test.userConfig, maxAttempts: 1 }).then(
      () => null,
      (e: unknown) => e as Error,
    );
    expect(error?.name).toMatch(name);
    expect(error?.message).toContain('is not authorized to perform');
  });
});

describe('throttling', () => {
  const listing: readonly (readonly [string, (config: Config) => Promise<unknown>])[] = [
    ['ec2', (c) => new EC2Client(c).send(new DescribeInstancesCommand({}))],
    ['elasticloadbalancing', (c) => new ElasticLoadBalancingV2Client(c).send(new DescribeTargetGroupsCommand({}))],
    ['route53', (c) => new Route53Client(c).send(new ListHostedZonesCommand({}))],
    ['sqs', (c) => new SQSClient(c).send(new ListQueuesCommand({}))],
    ['ssm', (c) => new SSMClient(c).send(new DescribeParametersCommand({}))],
    ['states', (c) => new SFNClient(c).send(new ListStateMachinesCommand({}))],
    ['dynamodb', (c) => new DynamoDBClient(c).send(new ListTablesCommand({}))],
    ['sns', (c) => new SNSClient(c).send(new ListTopicsCommand({}))],
    ['s3', (c) => new S3Client(c).send(new ListObjectsV2Command({ Bucket: 'wal' }))],
  ];

  it.each(listing)('of %s is retried by the SDK until AWS answers', async (service, call) => {
    const rule = { service, operation: '*', error: throttleOf(service), probability: 1, times: 1 };
    test.cloud.faults.add(rule);
    const mark = test.cloud.calls.mark();
    await call(test.userConfig);
    expect(test.cloud.faults.hits.get(rule)).toBe(1);
    expect(Object.values(test.cloud.calls.counts(mark))).toEqual([2]);
  });

  it.each(listing)('of %s that goes on reaches the caller under the name AWS gives it', async (service, call) => {
    test.cloud.faults.add({ service, operation: '*', error: throttleOf(service), probability: 1 });
    await expect(call({ ...test.userConfig, maxAttempts: 1 })).rejects.toMatchObject({
      name: throttleOf(service).code,
    });
  });

  it('never strikes the rehearsal itself', async () => {
    test.cloud.faults.add({ service: '*', operation: '*', error: throttleOf('ec2'), probability: 1 });
    const answer = await new EC2Client(test.cloud.adminConfig).send(new DescribeInstancesCommand({}));
    expect(answer.$metadata.attempts).toBe(1);
  });
});

describe('an interceptor', () => {
  it('answers in the place of moto', async () => {
    const remove = test.cloud.use({
      service: 'ec2',
      operation: 'DescribeInstances',
      before: () =>
        xmlAnswer(
          '<DescribeInstancesResponse><reservationSet/><nextToken>mine</nextToken></DescribeInstancesResponse>',
        ),
    });
    expect((await new EC2Client(test.cloud.adminConfig).send(new DescribeInstancesCommand({}))).NextToken).toBe('mine');
    remove();
    expect(
      (await new EC2Client(test.cloud.adminConfig).send(new DescribeInstancesCommand({}))).NextToken,
    ).toBeUndefined();
  });

  it('alters what moto has answered', async () => {
    const sqs = new SQSClient(test.cloud.adminConfig);
    const remove = test.cloud.use({
      service: 'sqs',
      operation: '*',
      after: (_request, response) => rewriteBody(response, () => JSON.stringify({ QueueUrls: ['http://changed/1/q'] })),
    });
    expect((await sqs.send(new ListQueuesCommand({}))).QueueUrls).toEqual(['http://changed/1/q']);
    remove();
  });

  it('that throws is answered with a 500 and kept as a failure of the emulation', async () => {
    const remove = test.cloud.use({
      service: 'sns',
      operation: 'ListTopics',
      before: () => {
        throw new Error('broken interceptor');
      },
    });
    await expect(
      new SNSClient({ ...test.cloud.adminConfig, maxAttempts: 1 }).send(new ListTopicsCommand({})),
    ).rejects.toMatchObject({
      name: 'InternalFailure',
      message: expect.stringContaining('broken interceptor') as string,
    });
    expect(test.cloud.gateway.failures.at(-1)?.message).toContain('sns:ListTopics');
    remove();
  });
});

it('an object comes back byte for byte, through chunked uploads too', async () => {
  const s3 = new S3Client(test.cloud.adminConfig);
  const body = Buffer.from(Array.from({ length: 100_000 }, (_, i) => i % 251));
  await s3.send(new PutObjectCommand({ Bucket: 'wal', Key: 'bytes', Body: body, ChecksumAlgorithm: 'CRC32' }));
  const back = await s3.send(new GetObjectCommand({ Bucket: 'wal', Key: 'bytes' }));
  expect(Buffer.from(await back.Body!.transformToByteArray()).equals(body)).toBe(true);
});

it('an unsigned call is nobody, and is put before the authorizer', async () => {
  test.cloud.setAuthorizer({
    authorize: async ({ accessKeyId }) => ({
      allowed: false,
      principal: String(accessKeyId),
      action: 'a',
      resource: 'r',
      message: 'no',
    }),
  });
  const answer = await fetch(`${test.cloud.endpoint}/2015-03-31/functions/x/invocations`, {
    method: 'POST',
    body: '{}',
  });
  expect(answer.status).toBe(403);
  expect(test.cloud.gateway.denials.at(-1)).toMatchObject({
    caller: { kind: 'other', name: 'anonymous' },
    denied: { principal: 'null' },
  });
});
