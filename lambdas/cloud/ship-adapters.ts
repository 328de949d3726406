/** The ports that both shippers need, over AWS. A part of their handlers' wiring. */
import { InvokeCommand } from '@aws-sdk/client-lambda';
import { awsBucket } from './aws-bucket.ts';
import { awsInstances } from './aws-instances.ts';
import { awsLeases } from './aws-leases.ts';
import { awsLedger } from './aws-ledger.ts';
import { awsSecrets } from './aws-secrets.ts';
import { awsSpecs } from './aws-specs.ts';
import * as clients from './clients.ts';
import { systemClock as clock } from './clock.ts';
import { environment } from './environment.ts';
import { aws } from './errors.ts';
import { powertoolsLog } from './log.ts';
import { powertoolsMetrics } from './metrics.ts';

/** @throws Error when the environment lacks a variable that they need. */
export function shipAdapters() {
  const env = environment('LEDGER_TABLE', 'ARCHIVE_BUCKET', 'AWS_LAMBDA_FUNCTION_NAME');
  return {
    clock,
    specs: awsSpecs(clients.ssm),
    instances: awsInstances(clients.ec2),
    ledger: awsLedger(clients.dynamodb, env.LEDGER_TABLE, clock),
    leases: awsLeases(clients.dynamodb, env.LEDGER_TABLE, clock),
    secrets: awsSecrets(clients.secretsManager, clock),
    bucket: awsBucket(clients.s3, env.ARCHIVE_BUCKET, clock),
    log: powertoolsLog(),
    metrics: powertoolsMetrics(),
    /** Asynchronous: answered when Lambda has taken it. */
    handOver: async (cluster: string): Promise<void> => {
      await aws('lambda:InvokeFunction', () =>
        clients.lambda().send(
          new InvokeCommand({
            ...{ FunctionName: env.AWS_LAMBDA_FUNCTION_NAME, InvocationType: 'Event' },
            Payload: Buffer.from(JSON.stringify({ cluster })),
          }),
        ),
      );
    },
  };
}
