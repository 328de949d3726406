/** The adapters behind the steps of every workflow, from the environment that their functions have. */
import { postgresAdmin } from '../engines/postgres/admin.ts';
import { databaseProber } from '../engines/prober.ts';
import { awsHostCommands } from './aws-host-commands.ts';
import { awsInstances } from './aws-instances.ts';
import { awsLedger } from './aws-ledger.ts';
import { awsNotifications } from './aws-notifications.ts';
import { awsReconcileRequests } from './aws-requests.ts';
import { awsSecrets } from './aws-secrets.ts';
import { awsSpecs } from './aws-specs.ts';
import { awsTargetGroups } from './aws-target-groups.ts';
import { awsVolumes } from './aws-volumes.ts';
import * as clients from './clients.ts';
import { systemClock as clock } from './clock.ts';
import { environment } from './environment.ts';
import { powertoolsLog } from './log.ts';
import { powertoolsMetrics } from './metrics.ts';

/** Throws naming every environment variable that is missing. */
export function recoveryAdapters() {
  const env = environment('LEDGER_TABLE', 'RECONCILE_QUEUE_URL', 'NOTIFY_TOPIC_ARN', 'DOCUMENT_PREFIX');
  return {
    clock,
    specs: awsSpecs(clients.ssm),
    instances: awsInstances(clients.ec2),
    volumes: awsVolumes(clients.ec2),
    targetGroups: awsTargetGroups(clients.elb),
    ledger: awsLedger(clients.dynamodb, env.LEDGER_TABLE, clock),
    requests: awsReconcileRequests(clients.sqs, { reconcile: env.RECONCILE_QUEUE_URL }, clock),
    hosts: awsHostCommands(clients.ssm, env.DOCUMENT_PREFIX),
    secrets: awsSecrets(clients.secretsManager, clock),
    prober: databaseProber(),
    admin: postgresAdmin(),
    notifications: awsNotifications(clients.sns, env.NOTIFY_TOPIC_ARN),
    log: powertoolsLog(),
    metrics: powertoolsMetrics(),
  };
}
