/** Where people are told: workflows that gave up, and alarms. */
import { Aws } from 'aws-cdk-lib';
import { Effect, PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Key } from 'aws-cdk-lib/aws-kms';
import { Topic } from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';

/** The plane's own topic, made when the platform team gives none. People subscribe to it. */
export function notificationTopic(scope: Construct, prefix: string, key: Key): Topic {
  const topic = new Topic(scope, 'Notifications', {
    topicName: `${prefix}-notifications`,
    displayName: 'Rejoin',
    masterKey: key,
    enforceSSL: true,
  });
  // A topic policy replaces the default one, which let the account's alarms in.
  topic.addToResourcePolicy(
    new PolicyStatement({
      sid: 'AlarmsOfThisAccount',
      effect: Effect.ALLOW,
      principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
      actions: ['sns:Publish'],
      resources: [topic.topicArn],
      conditions: { StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID } },
    }),
  );
  return topic;
}
