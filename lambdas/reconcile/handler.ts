/** Lambda `reconcile`: started by `reconcile.fifo` (message group = cluster), answers which messages failed. */
import type { SQSHandler } from 'aws-lambda';
import { awsDnsZones } from '../cloud/aws-dns.ts';
import { awsInstances } from '../cloud/aws-instances.ts';
import { awsLedger } from '../cloud/aws-ledger.ts';
import { awsNotifications } from '../cloud/aws-notifications.ts';
import { awsReconcileRequests } from '../cloud/aws-requests.ts';
import { awsSecrets } from '../cloud/aws-secrets.ts';
import { awsSpecs } from '../cloud/aws-specs.ts';
import { awsTargetGroups } from '../cloud/aws-target-groups.ts';
import { awsVolumes } from '../cloud/aws-volumes.ts';
import { awsWorkflows } from '../cloud/aws-workflows.ts';
import { dynamodb, ec2, elb, route53, secretsManager, sfn, sns, sqs, ssm } from '../cloud/clients.ts';
import { systemClock as clock } from '../cloud/clock.ts';
import { environment } from '../cloud/environment.ts';
import { powertoolsLog } from '../cloud/log.ts';
import { powertoolsMetrics } from '../cloud/metrics.ts';
import { paceOf } from '../cloud/pace.ts';
import { postgresAdmin } from '../engines/postgres/admin.ts';
import { databaseProber } from '../engines/prober.ts';
import { reconcileBatch } from './batch.ts';

const env = environment(
  ...(['LEDGER_TABLE', 'NOTIFY_TOPIC_ARN', 'SIGNALS_QUEUE_URL', 'RECONCILE_QUEUE_URL', 'PACE'] as const),
  ...(['REPLACE_STATE_MACHINE_ARN', 'BOOTSTRAP_STATE_MACHINE_ARN', 'FAILOVER_STATE_MACHINE_ARN'] as const),
);
const { REPLACE_STATE_MACHINE_ARN: replace, BOOTSTRAP_STATE_MACHINE_ARN: bootstrap } = env;
const ports = {
  ...{ clock, specs: awsSpecs(ssm), instances: awsInstances(ec2), volumes: awsVolumes(ec2), dns: awsDnsZones(route53) },
  ...{ pace: paceOf(clock, env.PACE), targetGroups: awsTargetGroups(elb), secrets: awsSecrets(secretsManager, clock) },
  ...{ ledger: awsLedger(dynamodb, env.LEDGER_TABLE, clock), prober: databaseProber(), admin: postgresAdmin() },
  workflows: awsWorkflows(sfn, { replace, bootstrap, failover: env.FAILOVER_STATE_MACHINE_ARN }),
  requests: awsReconcileRequests(sqs, { reconcile: env.RECONCILE_QUEUE_URL, signals: env.SIGNALS_QUEUE_URL }, clock),
  ...{ log: powertoolsLog(), metrics: powertoolsMetrics(), notifications: awsNotifications(sns, env.NOTIFY_TOPIC_ARN) },
};
const [looks, putOffs] = [new Map<string, number>(), new Map<string, number>()];
export const handler: SQSHandler = async ({ Records }) => ({
  batchItemFailures: (await reconcileBatch(Records, ports, looks, putOffs)).map((id) => ({ itemIdentifier: id })),
});
