/** Wakes a queue's poller when a message is sent, so that none waits for a polling interval. */
import type { AwsRequest, Interceptor } from './contract.ts';
import type { Poller } from './pollers.ts';

export interface Wakes {
  readonly interceptors: readonly Interceptor[];
  stop(): void;
}

const delaySecondsOf = (message: unknown): number =>
  Number((message as { DelaySeconds?: unknown } | undefined)?.DelaySeconds ?? 0);

/** `pollers` is asked at each message: they start after the gateway does. */
export function wakePollers(pollers: () => readonly Poller[]): Wakes {
  const timers = new Set<NodeJS.Timeout>();
  const wake = ({ params }: AwsRequest, messages: readonly unknown[]): undefined => {
    const name = String(params['QueueUrl']).split('/').at(-1);
    const poller = pollers().find((candidate) => candidate.spec.queueUrl.endsWith(`/${name}`));
    if (poller === undefined) return;
    for (const delaySeconds of new Set(messages.map(delaySecondsOf))) {
      const timer = setTimeout(() => {
        timers.delete(timer);
        poller.wake();
      }, delaySeconds * 1_000);
      timers.add(timer);
    }
  };
  return {
    interceptors: [
      { service: 'sqs', operation: 'SendMessage', after: (request) => wake(request, [request.params]) },
      {
        service: 'sqs',
        operation: 'SendMessageBatch',
        after: (request) => wake(request, (request.params['Entries'] ?? []) as unknown[]),
      },
      {
        service: 'events',
        operation: 'PutEvents',
        after: () => {
          for (const poller of pollers()) poller.wake();
          return undefined;
        },
      },
    ],
    stop() {
      for (const timer of timers) clearTimeout(timer);
    },
  };
}
