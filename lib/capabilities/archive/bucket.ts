/** The archive's bucket: everything of every cluster, kept whatever happens to the stack. */
import type { Duration } from 'aws-cdk-lib';
import { Duration as Time, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { BlockPublicAccess, Bucket, BucketEncryption, ObjectLockRetention, ObjectOwnership } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import { nothingIsOverwritten } from '../../permissions-archive.ts';
import { archiveBucketName } from '../../spec/draft.ts';
import type { Foundation } from '../foundation.ts';

/** Longer than any base backup takes: parts of one under way must not be taken away under it. */
const UPLOAD_DAYS = 7;
/** After the retention has let go of an object, and its lock has ended: time to notice a mistake. */
const GRACE_DAYS = 7;

/**
 * Versioned, encrypted with the plane's key, TLS only, nothing public, each version locked (governance) for `lock`.
 * Not in one piece with the stack: a stack that is deleted leaves it, and its name is taken until it is deleted by hand.
 */
export function archiveBucket(scope: Construct, { prefix, key }: Foundation, lock: Duration): Bucket {
  const bucket = new Bucket(scope, 'Bucket', {
    bucketName: archiveBucketName(prefix),
    versioned: true,
    encryption: BucketEncryption.KMS,
    encryptionKey: key,
    bucketKeyEnabled: true,
    blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
    objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
    enforceSSL: true,
    minimumTLSVersion: 1.2,
    ...(lock.toDays() > 0 && {
      objectLockEnabled: true,
      objectLockDefaultRetention: ObjectLockRetention.governance(lock),
    }),
    lifecycleRules: [
      {
        id: 'what-is-left-over',
        abortIncompleteMultipartUploadAfter: Time.days(UPLOAD_DAYS),
        // A version that is locked still is left alone by S3, and goes when its lock has ended.
        noncurrentVersionExpiration: Time.days(GRACE_DAYS),
        expiredObjectDeleteMarker: true,
      },
    ],
    removalPolicy: RemovalPolicy.RETAIN,
  });
  bucket.addToResourcePolicy(nothingIsOverwritten(bucket));
  return bucket;
}

/** By name, for the key's policy: the bucket itself depends on the key. */
export const archiveBucketArn = (scope: Construct, prefix: string): string =>
  Stack.of(scope).formatArn({ service: 's3', region: '', account: '', resource: archiveBucketName(prefix) });
