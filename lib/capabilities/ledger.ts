/** The ledger: what Rejoin must remember between runs, and nothing that can be read again from AWS. */
import { AttributeType, BillingMode, Table, TableEncryption } from 'aws-cdk-lib/aws-dynamodb';
import type { Construct } from 'constructs';
import type { Foundation } from './foundation.ts';

/** On demand, because a night's incident is a burst; recoverable to any second, because claims and writers are in it. */
export const ledgerTable = (scope: Construct, foundation: Foundation): Table =>
  new Table(scope, 'Ledger', {
    tableName: `${foundation.prefix}-ledger`,
    partitionKey: { name: 'pk', type: AttributeType.STRING },
    sortKey: { name: 'sk', type: AttributeType.STRING },
    billingMode: BillingMode.PAY_PER_REQUEST,
    timeToLiveAttribute: 'expiresAt',
    encryption: TableEncryption.CUSTOMER_MANAGED,
    encryptionKey: foundation.key,
    pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
    removalPolicy: foundation.removalPolicy,
  });
