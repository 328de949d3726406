/** Lambda `replace`: one step of the state machine `replace`. */
import { awsHostCommands } from '../cloud/aws-host-commands.ts';
import { awsInstances } from '../cloud/aws-instances.ts';
import { awsLedger } from '../cloud/aws-ledger.ts';
import { awsNotifications } from '../cloud/aws-notifications.ts';
import { awsReconcileRequests } from '../cloud/aws-requests.ts';
import { awsSecrets } from '../cloud/aws-secrets.ts';
import { awsSpecs } from '../cloud/aws-specs.ts';
import { awsTargetGroups } from '../cloud/aws-target-groups.ts';
import { awsVolumes } from '../cloud/aws-volumes.ts';
import * as clients from '../cloud/clients.ts';
import { systemClock as clock } from '../cloud/clock.ts';
import { environment } from '../cloud/environment.ts';
import { powertoolsLog } from '../cloud/log.ts';
import { powertoolsMetrics } from '../cloud/metrics.ts';
import { galeraProber } from '../engines/galera/prober.ts';
import { runStep } from '../recovery/step.ts';
import type { StepEvent } from '../recovery/step.ts';
import { replacement } from './steps.ts';

const env = environment(
  'LEDGER_TABLE',
  'SIGNALS_QUEUE_URL',
  'RECONCILE_QUEUE_URL',
  'NOTIFY_TOPIC_ARN',
  'DOCUMENT_PREFIX',
);
const queues = { reconcile: env.RECONCILE_QUEUE_URL, signals: env.SIGNALS_QUEUE_URL };
const ports = {
  clock,
  specs: awsSpecs(clients.ssm),
  instances: awsInstances(clients.ec2),
  volumes: awsVolumes(clients.ec2),
  targetGroups: awsTargetGroups(clients.elb),
  ledger: awsLedger(clients.dynamodb, env.LEDGER_TABLE, clock),
  requests: awsReconcileRequests(clients.sqs, queues, clock),
  hosts: awsHostCommands(clients.ssm, env.DOCUMENT_PREFIX),
  secrets: awsSecrets(clients.secretsManager, clock),
  prober: galeraProber({ deadlineMs: 2000 }),
  notifications: awsNotifications(clients.sns, env.NOTIFY_TOPIC_ARN),
  log: powertoolsLog(),
  metrics: powertoolsMetrics(),
};

export const handler = (event: StepEvent) => runStep(replacement, event, ports);
