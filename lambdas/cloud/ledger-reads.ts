/** How the ledger's items are read from DynamoDB where one plain call does not do. */
import type { AttributeValue, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { BatchGetItemCommand, QueryCommand } from '@aws-sdk/client-dynamodb';
import { namesIn, toAttribute } from './attribute-values.ts';
import type { Lazy } from './clients.ts';
import { aws } from './errors.ts';
import type { Key } from './ledger-items.ts';
import { FAILURE, FLEET } from './ledger-items.ts';
import { everyPage } from './pages.ts';
import { CloudUnavailable } from './ports.ts';
import type { Clock } from './ports.ts';

/** How often DynamoDB is asked again for keys that it left unprocessed. */
const READ_ATTEMPTS = 5;

export type Items = readonly Record<string, AttributeValue>[];

/** BatchGetItem may leave keys unprocessed without an error. @throws CloudUnavailable when it does to the end. */
export async function readBoth(
  dynamodb: Lazy<DynamoDBClient>,
  table: string,
  clock: Clock,
  keys: Key[],
): Promise<Items> {
  const found: Record<string, AttributeValue>[] = [];
  let left: Record<string, AttributeValue>[] = keys;
  for (let attempt = 1; attempt <= READ_ATTEMPTS; attempt += 1) {
    const request = { [table]: { Keys: left, ConsistentRead: true } };
    const answer = await aws('dynamodb:BatchGetItem', () =>
      dynamodb().send(new BatchGetItemCommand({ RequestItems: request })),
    );
    found.push(...(answer.Responses?.[table] ?? []));
    left = answer.UnprocessedKeys?.[table]?.Keys ?? [];
    if (left.length === 0) return found;
    if (attempt < READ_ATTEMPTS) await clock.sleep(25 * 2 ** attempt);
  }
  throw new CloudUnavailable(`dynamodb:BatchGetItem left ${left.length} keys unread after ${READ_ATTEMPTS} attempts`);
}

/** Every failure on the fleet's record since then, from every page. */
export const everyFailure = (dynamodb: Lazy<DynamoDBClient>, table: string, sinceMs: number): Promise<Items> =>
  everyPage<Record<string, AttributeValue>>(async (token) => {
    const page = await aws('dynamodb:Query', () =>
      dynamodb().send(
        new QueryCommand({
          TableName: table,
          ConsistentRead: true,
          KeyConditionExpression: '#pk = :fleet AND begins_with(#sk, :failure)',
          FilterExpression: '#atMs >= :since',
          ExpressionAttributeNames: namesIn('#pk #sk #atMs'),
          ExpressionAttributeValues: {
            ':fleet': toAttribute(FLEET),
            ':failure': toAttribute(FAILURE),
            ':since': toAttribute(sinceMs),
          },
          ...(token === undefined ? {} : { ExclusiveStartKey: JSON.parse(token) as Record<string, AttributeValue> }),
        }),
      ),
    );
    return {
      items: page.Items ?? [],
      next: page.LastEvaluatedKey === undefined ? undefined : JSON.stringify(page.LastEvaluatedKey),
    };
  });
