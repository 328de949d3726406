import { createHash } from 'node:crypto';
import type { SQSClient } from '@aws-sdk/client-sqs';
import { SendMessageBatchCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import type { Lazy } from './clients.ts';
import { aws } from './errors.ts';
import { inBatches } from './pages.ts';
import { CloudUnavailable } from './ports.ts';
import type { Clock, ReconcileRequests } from './ports.ts';

export interface RequestQueues {
  /** URL of `reconcile.fifo`. */
  readonly reconcile: string;
  /** URL of `signals`; only functions that send delayed requests have it. */
  readonly signals?: string;
}

/** SQS takes ten messages in a batch. */
const BATCH = 10;
/** SQS delays a message by at most 15 minutes. */
const MOST_DELAY_SECONDS = 900;

/** Requests for reconcile. Errors as in `errors.ts`; a batch accepted in part is an error that names the rest. */
export function awsReconcileRequests(sqs: Lazy<SQSClient>, queues: RequestQueues, clock: Clock): ReconcileRequests {
  return {
    async send(requests) {
      for (const batch of inBatches(requests, BATCH)) {
        const answer = await aws('sqs:SendMessageBatch', () =>
          sqs().send(
            new SendMessageBatchCommand({
              QueueUrl: queues.reconcile,
              Entries: batch.map((r, i) => ({
                Id: String(i),
                MessageBody: JSON.stringify({ cluster: r.cluster, cause: r.cause }),
                MessageGroupId: r.cluster,
                MessageDeduplicationId: deduplicationId(r.cluster, r.cause),
              })),
            }),
          ),
        );
        const failed = answer.Failed ?? [];
        if (failed.length > 0) {
          const which = failed.map((f) => `${batch[Number(f.Id)]?.cluster ?? f.Id}: ${f.Code} ${f.Message ?? ''}`);
          throw new CloudUnavailable(
            `sqs:SendMessageBatch refused ${failed.length} of ${batch.length}: ${which.join('; ')}`,
          );
        }
      }
    },

    async sendLater(cluster, delaySeconds, cause) {
      if (!Number.isInteger(delaySeconds) || delaySeconds < 0 || delaySeconds > MOST_DELAY_SECONDS) {
        throw new RangeError(`delaySeconds is ${delaySeconds}: give a whole number from 0 to ${MOST_DELAY_SECONDS}`);
      }
      if (queues.signals === undefined) {
        throw new Error('no URL of the queue "signals" was given: set SIGNALS_QUEUE_URL for this function');
      }
      const signal = {
        version: '0',
        id: cause,
        source: 'rejoin',
        'detail-type': 'Reconcile Due',
        time: new Date(clock.nowMs()).toISOString(),
        detail: { cluster, cause },
      };
      const input = { QueueUrl: queues.signals, MessageBody: JSON.stringify(signal), DelaySeconds: delaySeconds };
      await aws('sqs:SendMessage', () => sqs().send(new SendMessageCommand(input)));
    },
  };
}

/**
 * SQS remembers it for five minutes over the whole queue, so it carries the cluster too; at most 128 characters of a
 * limited alphabet, hence the hash.
 */
export const deduplicationId = (cluster: string, cause: string): string =>
  createHash('sha256').update(`${cluster}\n${cause}`).digest('hex');
