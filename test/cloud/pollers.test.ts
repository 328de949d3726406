import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { eventually, handled, startTestCloud, workerSpec } from './cloud-harness.ts';
import type { TestCloud } from './cloud-harness.ts';

const REDELIVER_AFTER_MS = 100;
let test: TestCloud;
let sqs: SQSClient;
let queues = 0;

beforeAll(async () => {
  test = await startTestCloud({ redeliverAfterMs: REDELIVER_AFTER_MS });
  sqs = new SQSClient(test.cloud.adminConfig);
  test.cloud.lambdas.register(workerSpec());
});
afterAll(() => test.stop());
afterEach(() => test.cloud.lambdas.enableAll());

interface Mapped {
  readonly url: string;
  readonly dlq: string;
  readonly file: string;
}

async function createQueue(name: string, attributes: Record<string, string>): Promise<string> {
  return (await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }))).QueueUrl!;
}

/** A queue with a dead-letter queue, read by the worker. */
async function mapped(options: { fifo?: boolean; batchSize?: number; maxReceiveCount?: number } = {}): Promise<Mapped> {
  const suffix = options.fifo ? '.fifo' : '';
  const fifo: Record<string, string> = options.fifo ? { FifoQueue: 'true' } : {};
  const name = `q${++queues}`;
  const dlq = await createQueue(`${name}-dlq${suffix}`, fifo);
  const redrive = {
    deadLetterTargetArn: `arn:aws:sqs:eu-west-1:123456789012:${name}-dlq${suffix}`,
    maxReceiveCount: options.maxReceiveCount ?? 5,
  };
  const url = await createQueue(`${name}${suffix}`, {
    ...fifo,
    VisibilityTimeout: '30',
    RedrivePolicy: JSON.stringify(redrive),
  });
  const mapping = {
    queueUrl: url,
    queueArn: `arn:aws:sqs:eu-west-1:123456789012:${name}${suffix}`,
    functionName: 'worker',
    batchSize: options.batchSize ?? 10,
    partialResponses: true,
    maximumConcurrency: 5,
  };
  test.cloud.run({ mappings: [mapping], schedules: [] });
  return { url, dlq, file: join(test.workDir, `${name}.jsonl`) };
}

const send = (url: string, body: unknown, group?: string): Promise<unknown> =>
  sqs.send(
    new SendMessageCommand({
      QueueUrl: url,
      MessageBody: typeof body === 'string' ? body : JSON.stringify(body),
      ...(group === undefined ? {} : { MessageGroupId: group, MessageDeduplicationId: crypto.randomUUID() }),
    }),
  );

async function depth(url: string): Promise<number> {
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['All'] }));
  return (
    Number(Attributes?.['ApproximateNumberOfMessages']) + Number(Attributes?.['ApproximateNumberOfMessagesNotVisible'])
  );
}

it('hands messages over in a batch as soon as they are sent, and removes them', async () => {
  const { url, file } = await mapped();
  await test.cloud.whenQuiet(5_000);
  const entries = [1, 2, 3].map((n) => ({ Id: String(n), MessageBody: JSON.stringify({ n, file }) }));
  const before = test.cloud.lambdas.invocations.length;
  await sqs.send(new SendMessageBatchCommand({ QueueUrl: url, Entries: entries }));
  await eventually('all handled', () => (handled(file).length === 3 ? true : null));
  expect(handled(file).map((line) => line['n'])).toEqual([1, 2, 3]);
  await test.cloud.whenQuiet(5_000);
  expect(await depth(url)).toBe(0);
  expect(test.cloud.lambdas.invocations.slice(before).filter((i) => i.source === 'mapping')).toHaveLength(1);
});

it('brings back only the messages that failed', async () => {
  const { url, file } = await mapped();
  const entries = [
    { Id: 'a', MessageBody: JSON.stringify({ n: 1, file }) },
    { Id: 'b', MessageBody: JSON.stringify({ n: 2, mode: 'throw', name: 'E', message: 'no', file }) },
    { Id: 'c', MessageBody: JSON.stringify({ n: 3, file }) },
  ];
  await sqs.send(new SendMessageBatchCommand({ QueueUrl: url, Entries: entries }));
  const lines = await eventually('a second delivery', () => (handled(file).length >= 4 ? handled(file) : null));
  expect(lines.slice(0, 4).map((line) => [line['n'], line['receives']])).toEqual([
    [1, 1],
    [2, 1],
    [3, 1],
    [2, 2],
  ]);
});

it('leaves a message that nobody can read to the dead-letter queue after its receives, unread by none', async () => {
  const { url, dlq } = await mapped({ maxReceiveCount: 3 });
  await send(url, 'this is no JSON');
  const message = await eventually('in the DLQ', async () => {
    const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: dlq, WaitTimeSeconds: 0 }));
    return Messages?.[0] ?? null;
  });
  expect(message.Body).toBe('this is no JSON');
  expect(await depth(url)).toBe(0);
});

it('brings a whole batch back when the process dies', async () => {
  const { url, dlq, file } = await mapped({ maxReceiveCount: 2 });
  await send(url, { mode: 'exit', status: 1, file });
  await eventually('in the DLQ', async () => ((await depth(dlq)) === 1 ? true : null));
  expect(handled(file).map((line) => line['receives'])).toEqual([1, 2]);
});

it('keeps the order of a FIFO group and runs groups side by side', async () => {
  const { url, file } = await mapped({ fifo: true, batchSize: 1 });
  for (const n of [1, 2, 3, 4]) for (const group of ['orders', 'users']) await send(url, { n, file }, group);
  const lines = await eventually('all handled', () => (handled(file).length === 8 ? handled(file) : null));
  const of = (group: string): unknown[] => lines.filter((line) => line['group'] === group).map((line) => line['n']);
  expect(of('orders')).toEqual([1, 2, 3, 4]);
  expect(of('users')).toEqual([1, 2, 3, 4]);
});

it('holds a FIFO group back until its failed message has succeeded or left', async () => {
  const { url, dlq, file } = await mapped({ fifo: true, batchSize: 1, maxReceiveCount: 2 });
  await send(url, { n: 'bad', mode: 'throw', name: 'E', message: 'no', file }, 'orders');
  await send(url, { n: 'next', file }, 'orders');
  const lines = await eventually('the next one', () =>
    handled(file).some((l) => l['n'] === 'next') ? handled(file) : null,
  );
  expect(lines.map((line) => line['n'])).toEqual(['bad', 'bad', 'next']);
  expect(await depth(dlq)).toBe(1);
});

it('waits while functions are disabled, and costs the message no receive', async () => {
  const { url, file } = await mapped();
  test.cloud.lambdas.disableAll();
  await send(url, { n: 1, file });
  await send(url, { n: 2, file });
  expect(await depth(url)).toBe(2);
  test.cloud.lambdas.enableAll();
  const lines = await eventually('handled', () => (handled(file).length === 2 ? handled(file) : null));
  expect(lines.map((line) => line['receives'])).toEqual([1, 1]);
});

it('reads under the role of the function, so that IAM has a say', async () => {
  const { url, file } = await mapped();
  const asked: string[] = [];
  test.cloud.setAuthorizer({
    authorize: async ({ service, operation }) => {
      asked.push(`${service}:${operation}`);
      return { allowed: true, principal: 'worker' };
    },
  });
  // With no credentialsFor the mapping's keys are the administrator's, yet its calls are the mapping's and are checked.
  await send(url, { n: 1, file });
  await eventually('handled', () => (handled(file).length === 1 ? true : null));
  await test.cloud.whenQuiet(5_000);
  expect(new Set(asked)).toEqual(new Set(['sqs:ReceiveMessage', 'sqs:DeleteMessageBatch']));
  test.cloud.setAuthorizer(null);
});
