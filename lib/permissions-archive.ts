/**
 * What may be done to the archive's bucket, one builder a part. Nobody overwrites (the bucket's own policy, for every
 * principal), and nothing but the retention removes. Sources: Service Authorization Reference, "Actions … for Amazon S3";
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html.
 */
import { ArnFormat, Stack } from 'aws-cdk-lib';
import { AnyPrincipal, ArnPrincipal, Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { IConstruct } from 'constructs';
import { allow } from './permissions.ts';

/** Below every cluster's name: what is added there (docs/archive.md); the last two belong to no history. */
const FOLDERS = {
  wal: '*/*/wal/*',
  history: '*/*/history/*',
  binlog: '*/*/binlog/*',
  base: '*/*/base/*',
  manifest: '*/*/manifest/*',
  point: '*/*/point/*',
  restore: '*/restore/*',
  retention: '*/retention/*',
} as const;

export type ArchiveFolder = keyof typeof FOLDERS;

/** What is there, by name: all that is asked of a listing. A key that is not there is told from one that may not be read. */
export const listArchive = (bucket: Bucket): PolicyStatement => allow(['s3:ListBucket'], [bucket.bucketArn]);

export const readArchive = (bucket: Bucket): PolicyStatement => allow(['s3:GetObject'], [bucket.arnForObjects('*')]);

/** New objects in these folders, whole or in parts; an upload of one's own may be given up. */
export const addToArchive = (bucket: Bucket, ...folders: readonly ArchiveFolder[]): PolicyStatement =>
  allow(
    ['s3:PutObject', 's3:AbortMultipartUpload', 's3:ListMultipartUploadParts'],
    folders.map((folder) => bucket.arnForObjects(FOLDERS[folder])),
  );

/** The retention's delete markers, below clusters' names. Versions are left to their lock and the lifecycle rule. */
export const removeFromArchive = (bucket: Bucket): PolicyStatement =>
  allow(['s3:DeleteObject'], [bucket.arnForObjects('*/*')]);

/** A function starts itself again. By name: its policy must not depend on it. */
export const startAgain = (scope: IConstruct, functionName: string): PolicyStatement =>
  allow(['lambda:InvokeFunction'], [functionArn(scope, functionName)]);

/** Of a function known by name. */
export const functionArn = (scope: IConstruct, functionName: string): string =>
  Stack.of(scope).formatArn({
    service: 'lambda',
    resource: 'function',
    resourceName: functionName,
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  });

/** On the bucket: an object is only ever made where there was none. Parts carry no condition, the upload's end does. */
export const nothingIsOverwritten = (bucket: Bucket): PolicyStatement =>
  new PolicyStatement({
    sid: 'NothingIsOverwritten',
    effect: Effect.DENY,
    principals: [new AnyPrincipal()],
    actions: ['s3:PutObject'],
    resources: [bucket.arnForObjects('*')],
    conditions: { Null: { 's3:if-none-match': 'true' }, Bool: { 's3:ObjectCreationOperation': 'true' } },
  });

/** On the bucket, for who adds and reads: whatever else their roles are given one day, they destroy nothing and shorten no lock. */
export const removesNothing = (bucket: Bucket, roleArn: string): PolicyStatement =>
  new PolicyStatement({
    effect: Effect.DENY,
    principals: [new ArnPrincipal(roleArn)],
    actions: [
      's3:DeleteObject',
      's3:DeleteObjectVersion',
      's3:BypassGovernanceRetention',
      's3:PutObjectRetention',
      's3:PutObjectLegalHold',
    ],
    resources: [bucket.arnForObjects('*')],
  });

/**
 * On the bucket, since a host's role may be one that this app cannot change: its hosts send parts of base backups that
 * the plane has begun (`s3:ObjectCreationOperation` is false for them: they make no object) and the list of what they sent,
 * and read their cluster's archive.
 */
export const hostsArchive = (bucket: Bucket, cluster: string, roleArn: string): readonly PolicyStatement[] => [
  new PolicyStatement({
    principals: [new ArnPrincipal(roleArn)],
    actions: ['s3:PutObject'],
    resources: [bucket.arnForObjects(`${cluster}/*/base/*/data.zst`)],
    conditions: { Bool: { 's3:ObjectCreationOperation': 'false' } },
  }),
  new PolicyStatement({
    principals: [new ArnPrincipal(roleArn)],
    actions: ['s3:PutObject'],
    resources: [bucket.arnForObjects(`${cluster}/*/base/*/parts`)],
  }),
  new PolicyStatement({
    principals: [new ArnPrincipal(roleArn)],
    actions: ['s3:GetObject'],
    resources: [bucket.arnForObjects(`${cluster}/*`)],
  }),
];

/** On the key: a host's role, through S3, for the objects of this bucket. */
export const hostsKey = (scope: IConstruct, key: IKey, bucketArn: string, roleArn: string): void => {
  key.addToResourcePolicy(
    new PolicyStatement({
      principals: [new ArnPrincipal(roleArn)],
      actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
      resources: ['*'],
      conditions: {
        StringEquals: { 'kms:ViaService': `s3.${Stack.of(scope).region}.amazonaws.com` },
        // With a bucket key the encryption context is the bucket (User Guide, "Reducing the cost of SSE-KMS with … Bucket Keys").
        StringLike: { 'kms:EncryptionContext:aws:s3:arn': [bucketArn, `${bucketArn}/*`] },
      },
    }),
  );
};
