/** S3, CloudWatch, Logs, KMS, STS. Source: their pages of the Service Authorization Reference. */
import { context } from '../context.ts';
import { CannotTell, arn, listOf, need, object, text } from './need.ts';
import type { Call, Mapper, Need } from './need.ts';

const bucketArn = (call: Call): string => `arn:${call.place.partition}:s3:::${text(call, 'Bucket')}`;

const READ_KEY = ['kms:Decrypt'];
const WRITE_KEY = ['kms:GenerateDataKey'];

function onObject(call: Call, action: string, keyActions?: readonly string[]): Need {
  const bucket = bucketArn(call);
  return need(
    `s3:${action}`,
    `${bucket}/${text(call, 'Key')}`,
    keyActions === undefined ? {} : { keyOf: { arn: bucket, actions: keyActions } },
  );
}

const onKeyedObject =
  (action: string, keyActions?: readonly string[]): Mapper =>
  (call) => [onObject(call, action, keyActions)];

/** A version that is named is a permission of its own. */
const versioned =
  (action: string, keyActions?: readonly string[]): Mapper =>
  (call) => [onObject(call, typeof call.params['versionId'] === 'string' ? `${action}Version` : action, keyActions)];

const bucket =
  (action: string): Mapper =>
  (call) => {
    const given = (name: string): string | undefined => {
      const value = call.params[name];
      return typeof value === 'string' ? value : undefined;
    };
    const asked = context({
      's3:prefix': given('prefix'),
      's3:delimiter': given('delimiter'),
      's3:max-keys': given('max-keys'),
    });
    return [need(`s3:${action}`, bucketArn(call), { context: asked })];
  };

export const s3: Readonly<Record<string, Mapper>> = {
  ListBuckets: () => [need('s3:ListAllMyBuckets', '*')],
  AbortMultipartUpload: onKeyedObject('AbortMultipartUpload'),
  CompleteMultipartUpload: onKeyedObject('PutObject', ['kms:Decrypt']),
  // Parts are read back to be put together, so a multipart upload needs to decrypt as well.
  CreateMultipartUpload: onKeyedObject('PutObject', [...WRITE_KEY, 'kms:Decrypt']),
  DeleteObject: versioned('DeleteObject'),
  GetBucketLocation: bucket('GetBucketLocation'),
  GetObject: versioned('GetObject', READ_KEY),
  HeadBucket: bucket('ListBucket'),
  HeadObject: versioned('GetObject', READ_KEY),
  ListMultipartUploads: bucket('ListBucketMultipartUploads'),
  ListObjectVersions: bucket('ListBucketVersions'),
  ListObjects: bucket('ListBucket'),
  ListObjectsV2: bucket('ListBucket'),
  ListParts: onKeyedObject('ListMultipartUploadParts'),
  PutObject: onKeyedObject('PutObject', WRITE_KEY),
  UploadPart: onKeyedObject('PutObject', [...WRITE_KEY, 'kms:Decrypt']),
};

const onLogStream =
  (action: string): Mapper =>
  (call) => {
    const group = text(call, 'logGroupName');
    return [
      need(`logs:${action}`, arn(call.place, 'logs', `log-group:${group}:log-stream:${text(call, 'logStreamName')}`)),
    ];
  };

export const logs: Readonly<Record<string, Mapper>> = {
  CreateLogGroup: (call) => [
    need('logs:CreateLogGroup', arn(call.place, 'logs', `log-group:${text(call, 'logGroupName')}:log-stream:`)),
  ],
  CreateLogStream: onLogStream('CreateLogStream'),
  PutLogEvents: onLogStream('PutLogEvents'),
};

export const cloudwatch: Readonly<Record<string, Mapper>> = {
  PutMetricData: (call) => [
    need('cloudwatch:PutMetricData', '*', { context: context({ 'cloudwatch:namespace': text(call, 'Namespace') }) }),
  ],
};

const onKey =
  (action: string): Mapper =>
  (call) => {
    const key = text(call, 'KeyId');
    if (key.includes('alias/'))
      throw new CannotTell(`kms:${action} names its key by the alias ${key}; give the key's ARN`);
    const pairs = listOf(call.params['EncryptionContext']).flatMap((pair) => Object.entries(object(pair)));
    const asked = context({
      'kms:ViaService': undefined,
      ...Object.fromEntries(pairs.map(([name, value]) => [`kms:EncryptionContext:${name}`, String(value)])),
    });
    return [
      need(`kms:${action}`, key.startsWith('arn:') ? key : arn(call.place, 'kms', `key/${key}`), { context: asked }),
    ];
  };

export const kms: Readonly<Record<string, Mapper>> = {
  Decrypt: onKey('Decrypt'),
  DescribeKey: onKey('DescribeKey'),
  Encrypt: onKey('Encrypt'),
  GenerateDataKey: onKey('GenerateDataKey'),
};

/** AWS asks no permission for it. */
export const sts: Readonly<Record<string, Mapper>> = { GetCallerIdentity: () => [] };
