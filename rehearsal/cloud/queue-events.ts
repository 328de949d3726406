/** What Lambda's SQS mappings hand to a function, and how they read its answer. Pure. */
import type { Message } from '@aws-sdk/client-sqs';

/** The event of a batch. Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html */
export function sqsEvent(messages: readonly Message[], queueArn: string, region: string): unknown {
  return {
    Records: messages.map((message) => ({
      messageId: message.MessageId,
      receiptHandle: message.ReceiptHandle,
      body: message.Body,
      attributes: message.Attributes ?? {},
      messageAttributes: Object.fromEntries(
        Object.entries(message.MessageAttributes ?? {}).map(([name, value]) => [
          name,
          {
            stringValue: value.StringValue,
            binaryValue: value.BinaryValue,
            dataType: value.DataType,
            stringListValues: [],
            binaryListValues: [],
          },
        ]),
      ),
      md5OfBody: message.MD5OfBody,
      eventSource: 'aws:sqs',
      eventSourceARN: queueArn,
      awsRegion: region,
    })),
  };
}

interface BatchAnswer {
  readonly batchItemFailures?: readonly { readonly itemIdentifier?: unknown }[] | null;
}

/**
 * The ids of the messages that failed. An answer that names a message which was not in the batch, or none, fails the
 * whole batch. Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
 */
export function failedIds(payload: string, batch: readonly string[]): ReadonlySet<string> {
  const all = new Set(batch);
  const answer = JSON.parse(payload) as BatchAnswer | null;
  if (typeof answer !== 'object' || answer === null) return new Set();
  const failures = answer.batchItemFailures ?? [];
  if (!Array.isArray(failures)) return all;
  const failed = new Set<string>();
  for (const failure of failures as readonly { itemIdentifier?: unknown }[]) {
    const id = failure.itemIdentifier;
    if (typeof id !== 'string' || !all.has(id)) return all;
    failed.add(id);
  }
  return failed;
}
