/** Safety rules 5 and 7 in one transaction: nobody else holds the claim, no maintenance, no brake, and no window between. */
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { GetItemCommand, TransactWriteItemsCommand, TransactionCanceledException } from '@aws-sdk/client-dynamodb';
import type { Claim, ClusterLedger } from '../model/ledger.ts';
import { namesIn, toAttribute, toItem } from './attribute-values.ts';
import type { Lazy } from './clients.ts';
import { aws } from './errors.ts';
import { brakeKey, stateKey, toBrake, toLedger } from './ledger-items.ts';
import { CloudUnavailable, Conflict } from './ports.ts';

/**
 * Takes the claim and raises the epoch; answers the epoch. Held by this execution already, nothing is written and the
 * epoch stays, so a retried step neither loses nor doubles anything.
 * @throws Conflict saying which condition refused: the brake, maintenance, or another execution.
 */
export async function takeClaim(
  dynamodb: Lazy<DynamoDBClient>,
  table: string,
  cluster: string,
  claim: Claim,
): Promise<number> {
  try {
    await aws('dynamodb:TransactWriteItems', () => dynamodb().send(transaction(table, cluster, claim)));
  } catch (error) {
    if (!(error instanceof TransactionCanceledException)) throw error;
    return afterRefusal(cluster, claim, error);
  }
  // A transaction answers no values, and the epoch is DynamoDB's own count.
  const answer = await aws('dynamodb:GetItem', () =>
    dynamodb().send(new GetItemCommand({ TableName: table, Key: stateKey(cluster), ConsistentRead: true })),
  );
  const now = toLedger(cluster, answer.Item);
  if (now.claim?.execution === claim.execution) return now.epoch;
  throw new Conflict(`the claim on ${cluster} was taken and is held by ${now.claim?.execution ?? 'nobody'} now: stop`);
}

function transaction(table: string, cluster: string, claim: Claim): TransactWriteItemsCommand {
  const set = 'SET #claim = :claim, #epoch = if_not_exists(#epoch, :zero) + :one';
  const inMaintenance = '(attribute_not_exists(#maintenance) OR #maintenance.#node <> :node)';
  const condition = `attribute_not_exists(#claim)${claim.node === null ? '' : ` AND ${inMaintenance}`}`;
  const noBrake = 'attribute_not_exists(#engaged) OR #engaged <> :yes';
  return new TransactWriteItemsCommand({
    TransactItems: [
      {
        Update: {
          TableName: table,
          Key: stateKey(cluster),
          UpdateExpression: set,
          ConditionExpression: condition,
          ExpressionAttributeNames: namesIn(set, condition),
          ExpressionAttributeValues: {
            ...toItem({ ':claim': { ...claim, launch: claim.launch && { ...claim.launch } }, ':zero': 0, ':one': 1 }),
            ...(claim.node === null ? {} : { ':node': toAttribute(claim.node) }),
          },
          ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
        },
      },
      {
        ConditionCheck: {
          TableName: table,
          Key: brakeKey,
          ConditionExpression: noBrake,
          ExpressionAttributeNames: namesIn(noBrake),
          ExpressionAttributeValues: toItem({ ':yes': true }),
          ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
        },
      },
    ],
  });
}

/** One reason per item of the transaction, in its order: the state, then the brake. */
function afterRefusal(cluster: string, claim: Claim, error: TransactionCanceledException): number {
  const [ofState, ofBrake] = error.CancellationReasons ?? [];
  if (ofBrake?.Code === 'ConditionalCheckFailed') {
    const reason = toBrake(ofBrake.Item).reason ?? 'no reason recorded';
    throw new Conflict(`claim on ${cluster} refused: the fleet brake is engaged (${reason}); a person releases it`);
  }
  if (ofState?.Code === 'ConditionalCheckFailed') {
    const now = toLedger(cluster, ofState.Item);
    if (now.claim?.execution === claim.execution && !inMaintenance(now, claim)) return now.epoch;
    throw new Conflict(refusal(cluster, claim, now));
  }
  // TransactionConflict, ThrottlingError and the like: others write the same items at this moment.
  const codes = (error.CancellationReasons ?? []).map((r) => r.Code ?? 'None').join(', ');
  throw new CloudUnavailable(`dynamodb:TransactWriteItems was cancelled (${codes}): try again`, { cause: error });
}

const inMaintenance = (now: ClusterLedger, claim: Claim): boolean =>
  claim.node !== null && now.maintenance?.node === claim.node;

function refusal(cluster: string, claim: Claim, now: ClusterLedger): string {
  if (inMaintenance(now, claim)) {
    return `claim on ${cluster} refused: node ${claim.node} is in maintenance by ${now.maintenance?.by ?? 'nobody'}`;
  }
  return `claim on ${cluster} refused: it is held by ${now.claim?.execution ?? 'nobody'}, not by ${claim.execution}`;
}
