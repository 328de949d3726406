/** What a shipper in a process of its own needs, which is killed: S3 as it can be, and words on standard output. */
import { S3Client } from '@aws-sdk/client-s3';
import { awsBucket } from '../../lambdas/cloud/aws-bucket.ts';
import { BODY_SETTINGS } from '../../lambdas/cloud/clients.ts';
import { systemClock } from '../../lambdas/cloud/clock.ts';
import type { ArchiveBucket, Log } from '../../lambdas/cloud/ports.ts';
import { CloudUnavailable } from '../../lambdas/cloud/ports.ts';

export interface ChildFacts {
  readonly servers: readonly { readonly id: string; readonly address: string }[];
  readonly endpoint: string;
  readonly bucket: string;
  readonly rpoSeconds: number;
  /** Share of the puts that fail, half of them after S3 has the object; and the most that one is held up. */
  readonly faults: number;
  readonly delayMs: number;
  /** MariaDB's pieces. */
  readonly pieceBytes?: number;
}

/** S3 that is slow, away, or away just after it has done what it was asked for. Says `put` and `stored` of each object. */
export function faultyBucket({ endpoint, bucket: name, faults, delayMs }: ChildFacts): ArchiveBucket {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const client = new S3Client({ ...BODY_SETTINGS, endpoint, region: 'eu-west-1', credentials });
  const bucket = awsBucket(() => client, name, systemClock);
  const put: ArchiveBucket['put'] = async (key, body) => {
    process.stdout.write('put\n');
    await systemClock.sleep(Math.random() * delayMs);
    const chance = Math.random();
    if (chance < faults / 2) throw new CloudUnavailable('s3:PutObject failed: SlowDown (injected)');
    const answer = await bucket.put(key, body);
    process.stdout.write('stored\n');
    if (chance < faults) throw new CloudUnavailable('s3:PutObject failed: the answer was lost (injected)');
    return answer;
  };
  return { ...bucket, put };
}

const say =
  (level: string) =>
  (message: string, extra: Record<string, unknown> = {}): void => {
    const detail = Object.entries(extra).map(([k, v]) => `${k}=${String(v)}`);
    process.stdout.write(`${message}\n`);
    if (level !== 'info') process.stderr.write(`${level}: ${message} ${detail.join(' ')}\n`);
  };

/** Each message is a line on standard output; complaints, with their details, on standard error too. */
export const spokenLog: Log = { info: say('info'), warn: say('warn'), error: say('error') };
