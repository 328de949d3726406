/** The deployed ledger, read with the adapter that the functions use and the platform team's credentials. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { awsLedger } from '../lambdas/cloud/aws-ledger.ts';
import { systemClock } from '../lambdas/cloud/clock.ts';
import type { Ledger } from '../lambdas/cloud/ports.ts';
import type { DeployedStack } from './cloud/stack.ts';
import type { AdminConfig } from './cloud/cloud.ts';

/** Throws when the stack has no table, or more than one. */
export function ledgerOf(config: AdminConfig, stack: DeployedStack): Ledger {
  const client = new DynamoDBClient(config);
  return awsLedger(() => client, tableOf(stack), systemClock);
}

/** Name of the deployed ledger's table. Throws when the stack has no table, or more than one. */
export function tableOf(stack: DeployedStack): string {
  const tables = [...stack.resources.values()].filter((r) => r.type === 'AWS::DynamoDB::Table');
  const table = tables[0]?.physicalId;
  if (tables.length !== 1 || table === null || table === undefined) {
    throw new Error(`expected one DynamoDB table in the stack ${stack.stackName}, found ${tables.length}`);
  }
  return table;
}
