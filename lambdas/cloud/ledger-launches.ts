/**
 * The turns of launches: one token bucket for the whole account, as one number in the ledger (docs/decisions/0029-launches-take-turns-in-the-ledger.md).
 * That number is when all of the burst is there again; each launch moves it on by the time after which one more may begin.
 */
import type { AttributeValue, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import type { LaunchTurn } from '../model/launch-turn.ts';
import { everyMs, farMs, latestMs, waitMs } from '../model/launch-turn.ts';
import { toAttribute } from './attribute-values.ts';
import type { Lazy } from './clients.ts';
import { aws, isCode } from './errors.ts';
import { launchesKey } from './ledger-items.ts';
import { CloudUnavailable } from './ports.ts';

/** Between two tries others have taken their turns; so often in a row is no chance. */
const TRIES = 5;

/** As `Ledger.takeLaunch`. @throws CloudUnavailable when DynamoDB does not answer, or others are before it again and again. */
export async function takeLaunch(
  dynamodb: Lazy<DynamoDBClient>,
  table: string,
  turn: LaunchTurn,
): Promise<number | null> {
  const { nowMs } = turn;
  const [latest, far] = [latestMs(turn), farMs(turn)];
  for (let tries = 0, seenMs: number | null = null; tries < TRIES; tries += 1) {
    const answer: Answer =
      seenMs !== null && seenMs >= nowMs && seenMs <= far
        ? await move(dynamodb, table, {
            set: 'SET #fullAtMs = #fullAtMs + :every',
            condition: '#fullAtMs BETWEEN :now AND :latest',
            values: { ':every': everyMs(turn), ':now': nowMs, ':latest': latest },
          })
        : await move(dynamodb, table, {
            set: 'SET #fullAtMs = :next',
            condition: 'attribute_not_exists(#fullAtMs) OR #fullAtMs < :now OR #fullAtMs > :far',
            values: { ':next': nowMs + everyMs(turn), ':now': nowMs, ':far': far },
          });
    if (answer.isMoved) return waitMs(turn, answer.fullAtMs);
    if (answer.fullAtMs > latest && answer.fullAtMs <= far) return null;
    seenMs = answer.fullAtMs;
  }
  throw new CloudUnavailable('dynamodb:UpdateItem: other launches took their turns meanwhile, each time');
}

interface Answer {
  readonly isMoved: boolean;
  /** As it is now. */
  readonly fullAtMs: number;
}

interface Move {
  readonly set: string;
  readonly condition: string;
  readonly values: Readonly<Record<string, number>>;
}

async function move(dynamodb: Lazy<DynamoDBClient>, table: string, { set, condition, values }: Move): Promise<Answer> {
  const input = {
    ...{ TableName: table, Key: launchesKey, UpdateExpression: set, ConditionExpression: condition },
    ExpressionAttributeNames: { '#fullAtMs': 'fullAtMs' },
    ExpressionAttributeValues: Object.fromEntries(Object.entries(values).map(([k, v]) => [k, toAttribute(v)])),
    ReturnValues: 'ALL_NEW',
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
  } as const;
  try {
    const answer = await aws('dynamodb:UpdateItem', () => dynamodb().send(new UpdateItemCommand(input)));
    return { isMoved: true, fullAtMs: fullAtMs(answer.Attributes) };
  } catch (error) {
    if (!isCode(error, 'ConditionalCheckFailedException')) throw error;
    return { isMoved: false, fullAtMs: fullAtMs((error as { Item?: Record<string, AttributeValue> }).Item) };
  }
}

const fullAtMs = (item: Record<string, AttributeValue> | undefined): number => Number(item?.['fullAtMs']?.N ?? 0);
