/** Lambda `watch`: started every minute, watches for it. */
import { randomUUID } from 'node:crypto';
import type { Context } from 'aws-lambda';
import { awsInstances } from '../cloud/aws-instances.ts';
import { awsLedger } from '../cloud/aws-ledger.ts';
import { awsReconcileRequests } from '../cloud/aws-requests.ts';
import { awsSecrets } from '../cloud/aws-secrets.ts';
import { awsSpecs } from '../cloud/aws-specs.ts';
import { dynamodb, ec2, secretsManager, sqs, ssm } from '../cloud/clients.ts';
import { systemClock as clock } from '../cloud/clock.ts';
import { environment } from '../cloud/environment.ts';
import { powertoolsLog } from '../cloud/log.ts';
import { powertoolsMetrics } from '../cloud/metrics.ts';
import { databaseProber } from '../engines/prober.ts';
import { runUntilMs, watchConfig } from './config.ts';
import { Watch } from './watch.ts';

const env = environment('LEDGER_TABLE', 'RECONCILE_QUEUE_URL', 'PROBE_INTERVAL_MS', 'SWEEP_SECONDS');

const ports = {
  ...{
    clock,
    specs: awsSpecs(ssm),
    instances: awsInstances(ec2),
    ledger: awsLedger(dynamodb, env.LEDGER_TABLE, clock),
  },
  ...{ secrets: awsSecrets(secretsManager, clock), prober: databaseProber() },
  requests: awsReconcileRequests(sqs, { reconcile: env.RECONCILE_QUEUE_URL }, clock),
  ...{ log: powertoolsLog(), metrics: powertoolsMetrics() },
};

const watch = new Watch(ports, watchConfig(env, randomUUID()));

export const handler = (_event: unknown, context: Context): Promise<void> =>
  watch.run(runUntilMs(clock.nowMs(), context.getRemainingTimeInMillis()));
