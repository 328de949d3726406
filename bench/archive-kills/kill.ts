/** What both engines' kills share: a bucket that outlives the shippers, and the moment of a kill. */
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { awsBucket } from '../../lambdas/cloud/aws-bucket.ts';
import { BODY_SETTINGS } from '../../lambdas/cloud/clients.ts';
import { systemClock } from '../../lambdas/cloud/clock.ts';
import type { ArchiveBucket } from '../../lambdas/cloud/ports.ts';
import { startMoto } from '../../test/contract/moto.ts';
import type { Shipper } from './shipper.ts';

export interface KillsOptions {
  readonly kills: number;
  /** The server's; a test's own. */
  readonly address: string;
  /** Is told after each kill. */
  readonly progress?: (line: string) => void;
}

export const BUCKET = 'archive';
export const CLUSTER = 'orders';
/**
 * A shipper is killed when it has done up to so many things (begun to stream, begun or ended a put), and a moment later: counted in
 * what it does and not in time, so that a busy machine kills at the same points as an idle one.
 */
const THINGS = 14;
const MOMENT_MS = 40;
const MOST_MS = 30_000;

export async function killAtRandom(shipper: Shipper): Promise<void> {
  await shipper.did(Math.floor(Math.random() * THINGS), MOST_MS);
  await systemClock.sleep(Math.random() * MOMENT_MS);
  await shipper.kill();
}

export async function motoBucket(): Promise<{
  readonly bucket: ArchiveBucket;
  readonly endpoint: string;
  stop(): Promise<void>;
}> {
  const moto = await startMoto();
  const client = new S3Client({ ...BODY_SETTINGS, ...moto.config });
  const CreateBucketConfiguration = { LocationConstraint: 'eu-west-1' as const };
  await client.send(new CreateBucketCommand({ Bucket: BUCKET, CreateBucketConfiguration }));
  const bucket = awsBucket(() => client, BUCKET, systemClock);
  return { bucket, endpoint: moto.endpoint, stop: async () => void (await moto.stop()) };
}
