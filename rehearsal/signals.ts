/** When the plane first heard of a fault: messages seen on their way to its queues. */
import type { AwsRequest, Interceptor } from './cloud/contract.ts';

export interface Signals {
  readonly interceptors: readonly Interceptor[];
  /**
   * Epoch milliseconds of the first message after `atMs` that reached the plane: an event that names one of the
   * instances, or a request for a reconcile. Null when there was none.
   */
  firstAfter(atMs: number, instances: readonly string[]): number | null;
}

interface Seen {
  readonly atMs: number;
  readonly text: string;
  readonly reconcile: boolean;
}

/** Listens at the gateway; plug `interceptors` in before the plane is deployed. */
export function listenForSignals(): Signals {
  const seen: Seen[] = [];
  const hear = (reconcile: boolean) => (request: AwsRequest) => {
    const text = JSON.stringify(request.params);
    if (!reconcile || text.includes('reconcile')) seen.push({ atMs: Date.now(), text, reconcile });
    return undefined;
  };
  return {
    interceptors: [
      { service: 'events', operation: 'PutEvents', after: hear(false) },
      { service: 'sqs', operation: 'SendMessage', after: hear(true) },
      { service: 'sqs', operation: 'SendMessageBatch', after: hear(true) },
    ],
    firstAfter: (atMs, instances) =>
      seen.find((s) => s.atMs >= atMs && (s.reconcile || instances.some((id) => s.text.includes(id))))?.atMs ?? null,
  };
}
