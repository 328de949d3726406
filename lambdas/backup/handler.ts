/** Lambda `backup`: one step of the state machine `backup`. */
import { awsBucket } from '../cloud/aws-bucket.ts';
import { awsLeases } from '../cloud/aws-leases.ts';
import { dynamodb, s3 } from '../cloud/clients.ts';
import { environment } from '../cloud/environment.ts';
import { recoveryAdapters } from '../cloud/recovery-adapters.ts';
import { runStep } from '../recovery/step.ts';
import type { StepEvent } from '../recovery/step.ts';
import { backingUp } from './steps.ts';

const env = environment('LEDGER_TABLE', 'ARCHIVE_BUCKET');
const ports = recoveryAdapters();
const backup = backingUp({
  bucket: awsBucket(s3, env.ARCHIVE_BUCKET, ports.clock),
  bucketName: env.ARCHIVE_BUCKET,
  leases: awsLeases(dynamodb, env.LEDGER_TABLE, ports.clock),
});

export const handler = (event: StepEvent) => runStep(backup, event, ports);
