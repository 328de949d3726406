/** The Lambda `signals` as it is deployed: its handler, its environment, and the emulated AWS behind it. */
import { CreateTagsCommand, DescribeImagesCommand, EC2Client, RunInstancesCommand } from '@aws-sdk/client-ec2';
import { CreateQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { SQSEvent, SQSRecord } from 'aws-lambda';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { handler as Handler } from '../../lambdas/signals/handler.ts';
import { DEFAULT_QUOTAS } from '../../lib/capabilities/reconcile.ts';
import { SIGNALS_ENVIRONMENTS } from '../../lib/capabilities/signals.ts';
import { CLUSTER_TAG } from '../../lambdas/model/spec.ts';
import { sample } from '../unit/signals/samples.ts';
import type { Moto } from './moto.ts';
import { startMoto } from './moto.ts';

let moto: Moto;
let handler: typeof Handler;
let queueUrl: string;
let instanceId: string;
let sqs: SQSClient;

beforeAll(async () => {
  moto = await startMoto();
  sqs = new SQSClient(moto.config);
  const ec2 = new EC2Client(moto.config);
  const made = await sqs.send(
    new CreateQueueCommand({ QueueName: 'reconcile.fifo', Attributes: { FifoQueue: 'true' } }),
  );
  queueUrl = made.QueueUrl ?? '';
  const images = await ec2.send(new DescribeImagesCommand({ Owners: ['amazon'] }));
  const run = await ec2.send(
    new RunInstancesCommand({ ImageId: images.Images?.[0]?.ImageId, MinCount: 1, MaxCount: 1 }),
  );
  instanceId = run.Instances?.[0]?.InstanceId ?? '';
  await ec2.send(new CreateTagsCommand({ Resources: [instanceId], Tags: [{ Key: CLUSTER_TAG, Value: 'orders' }] }));

  vi.stubEnv('RECONCILE_QUEUE_URL', queueUrl);
  vi.stubEnv('PACE', JSON.stringify({ ...DEFAULT_QUOTAS, environments: SIGNALS_ENVIRONMENTS }));
  vi.stubEnv('POWERTOOLS_METRICS_NAMESPACE', 'Rejoin');
  vi.stubEnv('POWERTOOLS_SERVICE_NAME', 'signals');
  vi.stubEnv('AWS_ENDPOINT_URL', moto.endpoint);
  vi.stubEnv('AWS_REGION', moto.config.region);
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
  ({ handler } = await import('../../lambdas/signals/handler.ts'));
});

afterAll(async () => {
  vi.unstubAllEnvs();
  await moto.stop();
});

const event = (...bodies: readonly string[]): SQSEvent => ({
  Records: bodies.map((body, i) => ({ messageId: `m${i}`, body }) as SQSRecord),
});

it('answers the malformed record, and the cluster of the terminated instance is asked to reconcile', async () => {
  const terminated = { ...sample('ec2-state-change'), detail: { 'instance-id': instanceId, state: 'terminated' } };
  const answer = await handler(
    event('not an event', JSON.stringify(terminated), JSON.stringify(sample('spot-interruption'))),
  );
  expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: 'm0' }] });
  const received = await sqs.send(
    new ReceiveMessageCommand({ QueueUrl: queueUrl, MaxNumberOfMessages: 10, MessageSystemAttributeNames: ['All'] }),
  );
  expect(received.Messages?.map((m) => JSON.parse(m.Body ?? '') as unknown)).toEqual([
    { cluster: 'orders', cause: terminated.id },
  ]);
  expect(received.Messages?.[0]?.Attributes?.MessageGroupId).toBe('orders');
});
