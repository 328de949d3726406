/** Lambda `replace`: one step of the state machine `replace`. */
import { awsBucket } from '../cloud/aws-bucket.ts';
import { s3Listing } from '../cloud/clients.ts';
import { optional } from '../cloud/environment.ts';
import { recoveryAdapters } from '../cloud/recovery-adapters.ts';
import { runStep } from '../recovery/step.ts';
import type { StepEvent } from '../recovery/step.ts';
import { replacing } from './steps.ts';

const ports = recoveryAdapters();
const bucketName = optional('ARCHIVE_BUCKET');
const replacement = replacing(
  bucketName === null ? null : { bucket: awsBucket(s3Listing, bucketName, ports.clock), bucketName },
);

export const handler = (event: StepEvent) => runStep(replacement, event, ports);
