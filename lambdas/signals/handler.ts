/** Lambda `signals`: started by the queue `signals` in batches, answers which messages failed. */
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { randomUUID } from 'node:crypto';
import { awsInstances } from '../cloud/aws-instances.ts';
import { awsReconcileRequests } from '../cloud/aws-requests.ts';
import { ec2, sqs } from '../cloud/clients.ts';
import { systemClock as clock } from '../cloud/clock.ts';
import { environment } from '../cloud/environment.ts';
import { powertoolsLog } from '../cloud/log.ts';
import { powertoolsMetrics } from '../cloud/metrics.ts';
import { signalsPaceOf } from '../cloud/pace.ts';
import { Memory } from './memory.ts';
import { receive } from './receive.ts';

const { RECONCILE_QUEUE_URL, PACE } = environment('RECONCILE_QUEUE_URL', 'PACE');

const ports = {
  clock,
  pace: signalsPaceOf(clock, PACE),
  instances: awsInstances(ec2),
  requests: awsReconcileRequests(sqs, { reconcile: RECONCILE_QUEUE_URL }, clock),
  log: powertoolsLog(),
  metrics: powertoolsMetrics(),
};

const memory = new Memory(randomUUID());

export const handler = async (event: SQSEvent): Promise<SQSBatchResponse> => {
  const failed = await receive(event.Records, ports, memory);
  return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) };
};
