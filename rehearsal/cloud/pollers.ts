/**
 * Lambda's event source mappings on SQS: receive, invoke, delete what succeeded. A standard queue is read by up to five
 * batches at once; a FIFO queue never has two batches of one message group (the queue holds the group back).
 */
import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import type { Message } from '@aws-sdk/client-sqs';
import type { CloudEvent } from './contract.ts';
import { MAPPING_TOKEN_PREFIX } from './gateway.ts';
import type { Credentials } from './lambda-container.ts';
import type { Lambdas } from './lambda.ts';
import { failedIds, sqsEvent } from './queue-events.ts';

export interface MappingSpec {
  readonly queueUrl: string;
  readonly queueArn: string;
  readonly functionName: string;
  readonly batchSize: number;
  /** ReportBatchItemFailures. */
  readonly partialResponses: boolean;
  readonly maximumConcurrency: number;
}

export interface PollersOptions {
  readonly endpoint: string;
  readonly region: string;
  readonly lambdas: Lambdas;
  /** Of the function's role: on AWS, too, a mapping reads the queue with what the function's role allows. */
  credentialsFor(functionName: string): Credentials;
  emit(event: CloudEvent): void;
  /** A failed message comes back after this long, or after the queue's visibility timeout if that is shorter. */
  readonly redeliverAfterMs: number;
  readonly pollMs: number;
}

export interface Poller {
  readonly spec: MappingSpec;
  /** Look now: a message was sent. */
  wake(): void;
  readonly batchesInFlight: number;
  /** The last look found nothing, and nothing is on its way to a function. */
  readonly idle: boolean;
  /** Takes no more; waits for what is under way. */
  stop(): Promise<void>;
}

/** Concurrent batches that Lambda begins with on a standard queue. */
export const STANDARD_QUEUE_CONCURRENCY = 5;
const AFTER_REFUSAL_MS = 1_000;

export function startPoller(spec: MappingSpec, options: PollersOptions): Poller {
  return new QueuePoller(spec, options);
}

class QueuePoller implements Poller {
  readonly spec: MappingSpec;
  private readonly options: PollersOptions;
  private readonly sqs: SQSClient;
  private readonly batches = new Set<Promise<void>>();
  private readonly timers = new Set<NodeJS.Timeout>();
  private looking = false;
  private lookAgain = false;
  private lastLookEmpty = false;
  private stopped = false;
  private lastTrouble = '';

  constructor(spec: MappingSpec, options: PollersOptions) {
    this.spec = spec;
    this.options = options;
    this.sqs = new SQSClient({
      endpoint: options.endpoint,
      region: options.region,
      credentials: {
        ...options.credentialsFor(spec.functionName),
        sessionToken: MAPPING_TOKEN_PREFIX + spec.functionName,
      },
      maxAttempts: 1,
    });
    this.later(0, () => this.tick());
  }

  get batchesInFlight(): number {
    return this.batches.size;
  }

  get idle(): boolean {
    return this.lastLookEmpty && this.batches.size === 0 && !this.looking;
  }

  wake(): void {
    this.lastLookEmpty = false;
    if (this.looking) this.lookAgain = true;
    else void this.look();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    for (const timer of this.timers) clearTimeout(timer);
    await Promise.all(this.batches);
    this.sqs.destroy();
  }

  private tick(): void {
    void this.look();
    this.later(this.options.pollMs, () => this.tick());
  }

  private later(delayMs: number, action: () => void): void {
    if (this.stopped) return;
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      action();
    }, delayMs);
    this.timers.add(timer);
  }

  private get mayTake(): boolean {
    return !this.stopped && !this.options.lambdas.disabled && this.batches.size < this.spec.maximumConcurrency;
  }

  private async look(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    try {
      do {
        this.lookAgain = false;
        while (this.mayTake) {
          const messages = await this.receive();
          this.lastLookEmpty = messages.length === 0;
          if (messages.length === 0) break;
          this.start(messages);
        }
      } while (this.lookAgain && this.mayTake);
      this.lastTrouble = '';
    } catch (error) {
      this.report(error);
    } finally {
      this.looking = false;
    }
  }

  private async receive(): Promise<Message[]> {
    const answer = await this.sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: this.spec.queueUrl,
        MaxNumberOfMessages: Math.min(this.spec.batchSize, 10),
        MessageSystemAttributeNames: ['All'],
        MessageAttributeNames: ['All'],
        WaitTimeSeconds: 0,
      }),
    );
    return answer.Messages ?? [];
  }

  private start(messages: Message[]): void {
    const batch = this.deliver(messages)
      .catch((error: unknown) => this.report(error))
      .finally(() => {
        this.batches.delete(batch);
        this.wake();
      });
    this.batches.add(batch);
  }

  private async deliver(messages: Message[]): Promise<void> {
    const { lambdas, region, redeliverAfterMs } = this.options;
    const event = sqsEvent(messages, this.spec.queueArn, region);
    const result = await lambdas.invoke(this.spec.functionName, event, 'mapping');
    const ids = messages.map((message) => message.MessageId!);
    let failed: ReadonlySet<string> = new Set(ids);
    if (result.kind === 'done') failed = this.spec.partialResponses ? failedIds(result.payload, ids) : new Set();
    const [back, done] = [
      messages.filter((m) => failed.has(m.MessageId!)),
      messages.filter((m) => !failed.has(m.MessageId!)),
    ];
    if (back.length > 0) {
      const delayMs = result.kind === 'throttled' ? AFTER_REFUSAL_MS : redeliverAfterMs;
      this.later(delayMs, () => void this.giveBack(back).catch((error: unknown) => this.report(error)));
    }
    if (done.length > 0) await this.remove(done);
  }

  private async remove(messages: readonly Message[]): Promise<void> {
    await this.sqs.send(
      new DeleteMessageBatchCommand({
        QueueUrl: this.spec.queueUrl,
        Entries: messages.map((message, i) => ({ Id: String(i), ReceiptHandle: message.ReceiptHandle! })),
      }),
    );
  }

  /** A message whose visibility timeout ran out meanwhile is refused by the queue: it is back already. */
  private async giveBack(messages: readonly Message[]): Promise<void> {
    await this.sqs.send(
      new ChangeMessageVisibilityBatchCommand({
        QueueUrl: this.spec.queueUrl,
        Entries: messages.map((message, i) => ({
          Id: String(i),
          ReceiptHandle: message.ReceiptHandle!,
          VisibilityTimeout: 0,
        })),
      }),
    );
    this.wake();
  }

  /** Told once for each kind of trouble; the next look is the retry. */
  private report(error: unknown): void {
    if (this.stopped) return;
    const trouble = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    if (trouble === this.lastTrouble) return;
    this.lastTrouble = trouble;
    const what = `mapping ${this.spec.queueArn} → ${this.spec.functionName}: ${trouble}`;
    this.options.emit({ atMs: Date.now(), kind: 'lambda', what, detail: { trouble: true } });
  }
}
