/** DynamoDB. https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html */
import { CannotTell, arn, listOf, need, object, onEverything, text } from './need.ts';
import type { Call, Mapper, Need } from './need.ts';

/** A table by name or ARN. DynamoDB opens the table's own key in the caller's name. */
function onTable(call: Call, action: string, table: string, index?: string): Need {
  const whole = table.startsWith('arn:') ? table : arn(call.place, 'dynamodb', `table/${table}`);
  const resource = index === undefined ? whole : `${whole}/index/${index}`;
  return need(`dynamodb:${action}`, resource, { keyOf: { arn: whole, actions: ['kms:Decrypt'] } });
}

const one =
  (action: string): Mapper =>
  (call) => {
    const index = call.params['IndexName'];
    return [onTable(call, action, text(call, 'TableName'), typeof index === 'string' ? index : undefined)];
  };

/** BatchGetItem and BatchWriteItem are permissions of their own, per table. */
const batch =
  (action: string): Mapper =>
  (call) =>
    Object.keys(object(call.params['RequestItems'])).map((table) => onTable(call, action, table));

const PARTS: Readonly<Record<string, string>> = {
  ConditionCheck: 'ConditionCheckItem',
  Delete: 'DeleteItem',
  Get: 'GetItem',
  Put: 'PutItem',
  Update: 'UpdateItem',
};

/** A transaction needs what each of its parts needs. */
const transaction: Mapper = (call) =>
  listOf(call.params['TransactItems']).map((item) => {
    const [[kind, part] = ['', undefined]] = Object.entries(object(item));
    const action = PARTS[kind];
    const table = object(part)['TableName'];
    if (action === undefined || typeof table !== 'string') {
      throw new CannotTell(
        `a part of a transaction is ${JSON.stringify(item)}, expected one of ${Object.keys(PARTS).join(', ')}`,
      );
    }
    return onTable(call, action, table);
  });

export const dynamodb: Readonly<Record<string, Mapper>> = {
  ...onEverything('dynamodb', 'DescribeEndpoints', 'ListTables'),
  BatchGetItem: batch('BatchGetItem'),
  BatchWriteItem: batch('BatchWriteItem'),
  DeleteItem: one('DeleteItem'),
  DescribeTable: one('DescribeTable'),
  GetItem: one('GetItem'),
  PutItem: one('PutItem'),
  Query: one('Query'),
  Scan: one('Scan'),
  TransactGetItems: transaction,
  TransactWriteItems: transaction,
  UpdateItem: one('UpdateItem'),
};
