/** Lambda `operate`: a person's request, from the console or `aws lambda invoke`; answers whether it was accepted. */
import { randomUUID } from 'node:crypto';
import { awsHostCommands } from '../cloud/aws-host-commands.ts';
import { awsInstances } from '../cloud/aws-instances.ts';
import { awsLedger } from '../cloud/aws-ledger.ts';
import { awsReconcileRequests } from '../cloud/aws-requests.ts';
import { awsSpecs } from '../cloud/aws-specs.ts';
import { dynamodb, ec2, sqs, ssm } from '../cloud/clients.ts';
import { systemClock as clock } from '../cloud/clock.ts';
import { environment } from '../cloud/environment.ts';
import { powertoolsLog } from '../cloud/log.ts';
import { operate } from './operate.ts';
import type { OperateAnswer } from './operate.ts';

const env = environment('LEDGER_TABLE', 'RECONCILE_QUEUE_URL', 'SIGNALS_QUEUE_URL', 'DOCUMENT_PREFIX');

const ports = {
  clock,
  specs: awsSpecs(ssm),
  instances: awsInstances(ec2),
  ledger: awsLedger(dynamodb, env.LEDGER_TABLE, clock),
  requests: awsReconcileRequests(sqs, { reconcile: env.RECONCILE_QUEUE_URL, signals: env.SIGNALS_QUEUE_URL }, clock),
  hosts: awsHostCommands(ssm, env.DOCUMENT_PREFIX),
  log: powertoolsLog(),
  unique: randomUUID,
};

export const handler = (event: unknown): Promise<OperateAnswer> => operate(event, ports);
