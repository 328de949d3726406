import { EventBridgeClient, PutRuleCommand, PutTargetsCommand } from '@aws-sdk/client-eventbridge';
import { CreateQueueCommand, DeleteMessageCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { CloudEvent } from '../../rehearsal/cloud/contract.ts';
import { instanceStateChange } from '../../rehearsal/cloud/event-samples.ts';
import { eventually, startTestCloud } from './cloud-harness.ts';
import type { TestCloud } from './cloud-harness.ts';

const EVENT_MS = 60;
let test: TestCloud;
let sqs: SQSClient;
let queueUrl: string;
const told: CloudEvent[] = [];

beforeAll(async () => {
  test = await startTestCloud({ delays: { eventMs: EVENT_MS } });
  test.cloud.onEvent((event) => told.push(event));
  sqs = new SQSClient(test.cloud.adminConfig);
  queueUrl = (await sqs.send(new CreateQueueCommand({ QueueName: 'signals' }))).QueueUrl!;
  const bus = new EventBridgeClient(test.cloud.adminConfig);
  await bus.send(new PutRuleCommand({ Name: 'instances', EventPattern: JSON.stringify({ source: ['aws.ec2'] }) }));
  const arn = 'arn:aws:sqs:eu-west-1:123456789012:signals';
  await bus.send(new PutTargetsCommand({ Rule: 'instances', Targets: [{ Id: 'q', Arn: arn }] }));
});
afterAll(() => test.stop());
beforeEach(() => test.cloud.events.setMode('normal'));

const emit = (id: string, state = 'shutting-down'): Promise<void> =>
  test.cloud.events.emit(instanceStateChange(test.cloud, id, state));

interface Received {
  readonly id: string;
  readonly time: string;
  readonly detail: Record<string, unknown>;
}

async function receiveAll(): Promise<Received[]> {
  const all: Received[] = [];
  for (;;) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: queueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 0 }),
    );
    if (Messages.length === 0) return all;
    for (const message of Messages) {
      all.push(JSON.parse(message.Body!) as Received);
      await sqs.send(new DeleteMessageCommand({ QueueUrl: queueUrl, ReceiptHandle: message.ReceiptHandle! }));
    }
  }
}

const instances = (events: readonly Received[]): unknown[] => events.map((event) => event.detail['instance-id']);

it('an event reaches the queue in the envelope of AWS, after the delay', async () => {
  const started = performance.now();
  await emit('i-1', 'terminated');
  expect(performance.now() - started).toBeGreaterThanOrEqual(EVENT_MS - 1);
  const [event, ...more] = await receiveAll();
  expect(more).toEqual([]);
  expect(event).toMatchObject({
    version: '0',
    source: 'aws.ec2',
    'detail-type': 'EC2 Instance State-change Notification',
    account: '123456789012',
    region: 'eu-west-1',
    resources: ['arn:aws:ec2:eu-west-1:123456789012:instance/i-1'],
    detail: { 'instance-id': 'i-1', state: 'terminated' },
  });
  expect(event!.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
});

it('in drop mode nothing arrives, and what was lost is known', async () => {
  test.cloud.events.setMode('drop');
  await emit('i-lost');
  expect(await receiveAll()).toEqual([]);
  expect(test.cloud.events.dropped.at(-1)?.detail).toEqual({ 'instance-id': 'i-lost', state: 'shutting-down' });
  expect(told.at(-1)?.what).toBe('EC2 Instance State-change Notification lost');
});

it('in double mode each event arrives twice', async () => {
  test.cloud.events.setMode('double');
  await emit('i-twice');
  expect(instances(await receiveAll())).toEqual(['i-twice', 'i-twice']);
});

it('in reorder mode the second of two events arrives first', async () => {
  test.cloud.events.setMode('reorder');
  const first = emit('i-first');
  await eventually('the first is under way', () => (test.cloud.events.pending === 1 ? true : null));
  await Promise.all([first, emit('i-second')]);
  expect(instances(await receiveAll())).toEqual(['i-second', 'i-first']);
});

it('an event that is held back arrives when the mode is normal again', async () => {
  test.cloud.events.setMode('reorder');
  const held = emit('i-held');
  test.cloud.events.setMode('normal');
  await held;
  expect(instances(await receiveAll())).toEqual(['i-held']);
});

it('a malformed message can be put into a queue as it is', async () => {
  await test.cloud.events.injectMessage(queueUrl, '{"no":');
  const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: queueUrl, WaitTimeSeconds: 0 }));
  expect(Messages?.map((message) => message.Body)).toEqual(['{"no":']);
});
