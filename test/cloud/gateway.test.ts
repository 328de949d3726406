import { DynamoDBClient, ListTablesCommand } from '@aws-sdk/client-dynamodb';
import { DescribeInstancesCommand, EC2Client } from '@aws-sdk/client-ec2';
import { DescribeTargetGroupsCommand, ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { ListHostedZonesCommand, Route53Client } from '@aws-sdk/client-route-53';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { ListStateMachinesCommand, SFNClient } from '@aws-sdk/client-sfn';
import { ListTopicsCommand, SNSClient } from '@aws-sdk/client-sns';
import { ListQueuesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { DescribeParametersCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { AwsRequest } from '../../rehearsal/cloud/contract.ts';
import { rewriteBody, throttleOf, xmlAnswer } from '../../rehearsal/cloud/wire-answers.ts';
import { startTestCloud } from './cloud-harness.ts';
import type { TestCloud } from './cloud-harness.ts';
import { rows } from './gateway-rows.ts';
import type { Config } from './gateway-rows.ts';

let test: TestCloud;
beforeAll(async () => void (test = await startTestCloud()));
afterAll(() => test.stop());
afterEach(() => {
  test.cloud.setAuthorizer(null);
  test.cloud.faults.clear();
});

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
