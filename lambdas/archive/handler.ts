/** Lambda `archive`: each minute, what can be restored and what is due. */
import { awsBucket } from '../cloud/aws-bucket.ts';
import { awsInstances } from '../cloud/aws-instances.ts';
import { awsSecrets } from '../cloud/aws-secrets.ts';
import { awsSpecs } from '../cloud/aws-specs.ts';
import { awsArchiveStarts } from '../cloud/aws-workflows.ts';
import { ec2, s3, secretsManager, sfn, ssm } from '../cloud/clients.ts';
import { systemClock as clock } from '../cloud/clock.ts';
import { environment } from '../cloud/environment.ts';
import { powertoolsLog } from '../cloud/log.ts';
import { powertoolsMetrics } from '../cloud/metrics.ts';
import { postgresProber } from '../engines/postgres/prober.ts';
import { archiveMinute } from './archive.ts';
import { retainedBytes } from './slots.ts';

const env = environment('ARCHIVE_BUCKET', 'BACKUP_STATE_MACHINE_ARN', 'DRILL_STATE_MACHINE_ARN');
const ports = {
  clock,
  specs: awsSpecs(ssm),
  bucket: awsBucket(s3, env.ARCHIVE_BUCKET, clock),
  starts: awsArchiveStarts(sfn, { backup: env.BACKUP_STATE_MACHINE_ARN, drill: env.DRILL_STATE_MACHINE_ARN }),
  log: powertoolsLog(),
  metrics: powertoolsMetrics(),
  retainedBytes: retainedBytes({
    ...{ instances: awsInstances(ec2), secrets: awsSecrets(secretsManager, clock), prober: postgresProber() },
  }),
};

export const handler = () => archiveMinute(ports);
