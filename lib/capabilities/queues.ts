/** The two queues, each with a dead-letter queue after five receives, encrypted, and reached over TLS only. */
import { Duration } from 'aws-cdk-lib';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { deadLetterAlarm } from './alarm.ts';
import type { Foundation } from './foundation.ts';

/** Five tries are two to ten minutes here: longer than any throttling by AWS that was seen to end by itself. */
const MAX_RECEIVES = 5;
/** The longest that SQS keeps a message: a person must find it after a long weekend. */
const DEAD_LETTER_RETENTION = Duration.days(14);
/** AWS asks for six times the function's timeout, so that a batch held back by throttling is not delivered twice. */
const VISIBILITY_FACTOR = 6;
/**
 * Of the FIFO queue less: while a message is invisible its whole group waits, and the group is a cluster. A function that
 * is killed in the middle of a night must not shut its cluster off for two minutes; a reconcile that runs twice is harmless
 * (level-triggered, guarded by the epoch).
 */
const FIFO_VISIBILITY_FACTOR = 1.5;

export interface WorkQueueProps {
  readonly foundation: Foundation;
  readonly name: string;
  readonly fifo: boolean;
  readonly functionTimeout: Duration;
}

export class WorkQueue extends Construct {
  readonly queue: Queue;
  readonly deadLetters: Queue;

  constructor(scope: Construct, id: string, props: WorkQueueProps) {
    super(scope, id);
    const { foundation, name, fifo } = props;
    this.deadLetters = deadLetterQueue(this, 'DeadLetters', foundation, name, fifo);
    this.queue = new Queue(this, 'Queue', {
      queueName: `${foundation.prefix}-${name}${fifo ? '.fifo' : ''}`,
      ...(fifo && { fifo: true, contentBasedDeduplication: false }),
      visibilityTimeout: Duration.seconds(
        props.functionTimeout.toSeconds() * (fifo ? FIFO_VISIBILITY_FACTOR : VISIBILITY_FACTOR),
      ),
      retentionPeriod: Duration.days(4),
      encryption: QueueEncryption.KMS,
      encryptionMasterKey: foundation.key,
      enforceSSL: true,
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: MAX_RECEIVES },
    });
  }
}

/** A dead-letter queue with its alarm. */
export function deadLetterQueue(
  scope: Construct,
  id: string,
  foundation: Foundation,
  name: string,
  fifo = false,
): Queue {
  const queue = new Queue(scope, id, {
    queueName: `${foundation.prefix}-${name}-dlq${fifo ? '.fifo' : ''}`,
    ...(fifo && { fifo: true }),
    retentionPeriod: DEAD_LETTER_RETENTION,
    encryption: QueueEncryption.KMS,
    encryptionMasterKey: foundation.key,
    enforceSSL: true,
  });
  deadLetterAlarm(scope, foundation, name, queue);
  return queue;
}
