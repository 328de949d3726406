import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import type { Plain } from './attribute-values.ts';
import { namesIn, toItem } from './attribute-values.ts';
import type { Lazy } from './clients.ts';
import { aws, isCode } from './errors.ts';
import { leaseKey } from './ledger-items.ts';
import type { Clock, Leases } from './ports.ts';

/** An item that nobody has renewed for so long goes by itself. */
const KEPT_SECONDS = 24 * 3600;

/** Leases in the ledger's table: conditional writes, by this machine's clock. Errors as in `errors.ts`. */
export function awsLeases(dynamodb: Lazy<DynamoDBClient>, table: string, clock: Clock): Leases {
  /** False when the condition did not hold. */
  const update = async (
    [cluster, what]: readonly [string, string],
    set: string,
    condition: string,
    values: Readonly<Record<string, Plain>>,
  ): Promise<boolean> => {
    try {
      await aws('dynamodb:UpdateItem', () =>
        dynamodb().send(
          new UpdateItemCommand({
            TableName: table,
            Key: leaseKey(cluster, what),
            UpdateExpression: set,
            ConditionExpression: condition,
            ExpressionAttributeNames: namesIn(set, condition),
            ExpressionAttributeValues: toItem(values),
          }),
        ),
      );
      return true;
    } catch (error) {
      if (isCode(error, 'ConditionalCheckFailedException')) return false;
      throw error;
    }
  };

  return {
    take: (cluster, what, holder, untilMs) =>
      update(
        [cluster, what],
        'SET #holder = :holder, #untilMs = :until, #expiresAt = :gone',
        'attribute_not_exists(#holder) OR #holder = :holder OR #untilMs <= :now',
        {
          ...{ ':holder': holder, ':until': untilMs, ':now': clock.nowMs() },
          ':gone': Math.ceil(untilMs / 1000) + KEPT_SECONDS,
        },
      ),

    async release(cluster, what, holder) {
      // Where it does not hold, the lease is not ours (any more), which is what the caller wants.
      await update([cluster, what], 'REMOVE #holder, #untilMs', '#holder = :holder', { ':holder': holder });
    },
  };
}
