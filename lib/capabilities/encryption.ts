/** The plane's one customer-managed key: queues, topic, ledger and logs. */
import type { RemovalPolicy } from 'aws-cdk-lib';
import { ArnFormat, Aws, Duration, Stack } from 'aws-cdk-lib';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Key } from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';

/** Actions with data keys, for services that encrypt with the key on our behalf. */
const DATA_KEY_ACTIONS = ['kms:Decrypt', 'kms:GenerateDataKey', 'kms:GenerateDataKeyWithoutPlaintext'];

/**
 * The key's policy lets IAM decide for the account's own principals, and services in, each bound to this account:
 * CloudWatch Logs to our log groups (its documented encryption context) and CloudWatch to the encrypted topic; EventBridge,
 * for the encrypted queues, is let in by CDK with the rules' targets. Without, alarms and events are dropped without a trace.
 */
export function planeKey(scope: Construct, prefix: string, removalPolicy: RemovalPolicy): Key {
  const key = new Key(scope, 'Key', {
    alias: `alias/${prefix}`,
    description: 'Rejoin: queues, notifications, ledger and logs',
    enableKeyRotation: true,
    rotationPeriod: Duration.days(365),
    removalPolicy,
  });
  const logGroups = (name: string): string =>
    Stack.of(scope).formatArn({
      service: 'logs',
      resource: 'log-group',
      resourceName: `${name}*`,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    });
  key.addToResourcePolicy(
    new PolicyStatement({
      sid: 'LogsOfThePlane',
      // CloudWatch Logs comes as the Region's principal (User Guide, "Encrypt log data … using AWS KMS").
      principals: [new ServicePrincipal(`logs.${Stack.of(scope).region}.amazonaws.com`)],
      actions: ['kms:Encrypt', 'kms:ReEncryptFrom', 'kms:ReEncryptTo', 'kms:DescribeKey', ...DATA_KEY_ACTIONS],
      resources: ['*'],
      conditions: {
        ArnLike: {
          'kms:EncryptionContext:aws:logs:arn': [
            logGroups(`/aws/lambda/${prefix}-`),
            logGroups(`/aws/vendedlogs/states/${prefix}-`),
          ],
        },
      },
    }),
  );
  key.addToResourcePolicy(
    new PolicyStatement({
      sid: 'AlarmsOfThisAccount',
      principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
      actions: DATA_KEY_ACTIONS,
      resources: ['*'],
      conditions: { StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID } },
    }),
  );
  return key;
}
