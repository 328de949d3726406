/** Lambda `restore`: one step of the state machine `restore` or `drill`, by which of them asks. */
import { awsBucket } from '../cloud/aws-bucket.ts';
import { s3 } from '../cloud/clients.ts';
import { environment } from '../cloud/environment.ts';
import { recoveryAdapters } from '../cloud/recovery-adapters.ts';
import { runStep } from '../recovery/step.ts';
import type { StepEvent } from '../recovery/step.ts';
import { isDrill } from './machine.ts';
import { drilling } from './drill.ts';
import { restoring } from './steps.ts';

const env = environment('ARCHIVE_BUCKET');
const ports = recoveryAdapters();
const archive = { bucket: awsBucket(s3, env.ARCHIVE_BUCKET, ports.clock), bucketName: env.ARCHIVE_BUCKET };
const [restore, drill] = [restoring(archive), drilling(archive)];

export const handler = (event: StepEvent) =>
  isDrill(event.execution) ? runStep(drill, event, ports) : runStep(restore, event, ports);
