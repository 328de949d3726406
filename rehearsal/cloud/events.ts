/** EventBridge as the services use it: events arrive late, and on demand twice, out of order or not at all. */
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { CloudEvent } from './contract.ts';
import type { BusEvent } from './event-samples.ts';

/**
 * `drop`: the bus loses everything. `double`: each event comes twice. `reorder`: each event is overtaken by the one that
 * follows it (or goes out alone after `HELD_BACK_MS`).
 */
export type DeliveryMode = 'normal' | 'drop' | 'double' | 'reorder';

export interface Events {
  /** Puts the event on the bus after the configured delay; resolves when the targets' queues have it (or it was dropped). */
  emit(event: BusEvent): Promise<void>;
  setMode(mode: DeliveryMode): void;
  readonly mode: DeliveryMode;
  /** Puts a message of this very body into a queue: unreadable, unknown or foreign ones, say. */
  injectMessage(queueUrl: string, body: string): Promise<void>;
  /** Events that are on their way. */
  readonly pending: number;
  /** What was lost by `drop`. */
  readonly dropped: readonly BusEvent[];
  stop(): Promise<void>;
}

export interface EventsOptions {
  readonly adminConfig: {
    endpoint: string;
    region: string;
    credentials: { accessKeyId: string; secretAccessKey: string };
  };
  readonly delayMs: number;
  onTimeline(event: CloudEvent): void;
}

/** At the longest, an event waits this long for another to overtake it. */
const HELD_BACK_MS = 2_000;

export function createEvents(options: EventsOptions): Events {
  return new Bus(options);
}

class Bus implements Events {
  mode: DeliveryMode = 'normal';
  pending = 0;
  readonly dropped: BusEvent[] = [];
  private readonly options: EventsOptions;
  private readonly bus: EventBridgeClient;
  private readonly sqs: SQSClient;
  private readonly waits = new Set<() => void>();
  private held: (() => void) | null = null;
  private stopped = false;

  constructor(options: EventsOptions) {
    this.options = options;
    this.bus = new EventBridgeClient(options.adminConfig);
    this.sqs = new SQSClient(options.adminConfig);
  }

  setMode(mode: DeliveryMode): void {
    this.mode = mode;
    this.held?.();
  }

  async emit(event: BusEvent): Promise<void> {
    this.pending += 1;
    const time = event.time ?? new Date(); // when it happened, not when it is delivered
    try {
      await this.wait(this.options.delayMs);
      if (this.mode === 'reorder') await this.letOneOvertake();
      if (this.stopped) return;
      if (this.mode === 'drop') {
        this.dropped.push(event);
        this.tell(event, 'lost');
        return;
      }
      const copies = this.mode === 'double' ? 2 : 1;
      for (let i = 0; i < copies; i++) await this.put(event, time);
      this.tell(event, copies === 2 ? 'delivered twice' : 'delivered');
      this.held?.();
    } finally {
      this.pending -= 1;
    }
  }

  async injectMessage(queueUrl: string, body: string): Promise<void> {
    await this.sqs.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: body }));
  }

  async stop(): Promise<void> {
    this.stopped = true;
    for (const end of [...this.waits]) end();
    this.held?.();
    this.bus.destroy();
    this.sqs.destroy();
  }

  private async put(event: BusEvent, time: Date): Promise<void> {
    const answer = await this.bus.send(
      new PutEventsCommand({
        Entries: [
          {
            Source: event.source,
            DetailType: event.detailType,
            Resources: [...event.resources],
            Detail: JSON.stringify(event.detail),
            Time: time,
          },
        ],
      }),
    );
    const refused = answer.Entries?.find((entry) => entry.ErrorCode !== undefined);
    if (refused !== undefined) {
      throw new Error(
        `EventBridge refused the event ${event.detailType}: ${refused.ErrorCode}: ${refused.ErrorMessage}`,
      );
    }
  }

  /** Holds this event until the next one was delivered. The second of a pair finds one held, and goes first. */
  private async letOneOvertake(): Promise<void> {
    if (this.held !== null) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.held?.(), HELD_BACK_MS);
      this.held = () => {
        clearTimeout(timer);
        this.held = null;
        resolve();
      };
    });
  }

  private wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.waits.delete(end);
        resolve();
      };
      const timer = setTimeout(end, delayMs);
      this.waits.add(end);
    });
  }

  private tell(event: BusEvent, how: string): void {
    this.options.onTimeline({
      atMs: Date.now(),
      kind: 'event',
      what: `${event.detailType} ${how}`,
      detail: { ...event.detail, how },
    });
  }
}
