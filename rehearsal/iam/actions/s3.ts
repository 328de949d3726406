/** S3. Source: its page of the Service Authorization Reference; "Bucket policy examples using condition keys". */
import { XMLParser } from 'fast-xml-parser';
import { headerOf } from '../../cloud/wire-headers.ts';
import { context, merge } from '../context.ts';
import type { Context } from '../context.ts';
import { CannotTell, need, object, text } from './need.ts';
import type { Call, Mapper, Need } from './need.ts';

const bucketArn = (call: Call): string => `arn:${call.place.partition}:s3:::${text(call, 'Bucket')}`;

const READ_KEY = ['kms:Decrypt'];
const WRITE_KEY = ['kms:GenerateDataKey'];
// Parts are read back to be put together, so a multipart upload needs to decrypt as well.
const PART_KEY = [...WRITE_KEY, ...READ_KEY];

/** Of every call. The SDKs and curl speak TLS to AWS; that they do not to the gateway is the rehearsal's own doing. */
const common = (): Context => context({ 's3:TlsVersion': '1.3' });

interface ObjectCall {
  readonly keyActions?: readonly string[];
  /** Does the call make an object, or a part of one at most; null: it writes nothing. */
  readonly creates?: boolean;
}

function onObject(call: Call, action: string, { keyActions, creates }: ObjectCall = {}): Need {
  const bucket = bucketArn(call);
  const written = context({
    's3:ObjectCreationOperation': creates === undefined ? undefined : String(creates),
    's3:if-none-match': headerOf(call.request.headers, 'if-none-match') ?? undefined,
    's3:if-match': headerOf(call.request.headers, 'if-match') ?? undefined,
  });
  return need(`s3:${action}`, `${bucket}/${text(call, 'Key')}`, {
    context: merge(common(), written),
    ...(keyActions === undefined ? {} : { keyOf: { arn: bucket, actions: keyActions } }),
  });
}

const onKeyedObject =
  (action: string, options?: ObjectCall): Mapper =>
  (call) => [onObject(call, action, options)];

/** A version that is named is a permission of its own. */
const versioned =
  (action: string, options?: ObjectCall): Mapper =>
  (call) => [onObject(call, typeof call.params['versionId'] === 'string' ? `${action}Version` : action, options)];

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
    return [need(`s3:${action}`, bucketArn(call), { context: merge(common(), asked) })];
  };

const xml = new XMLParser({ ignoreAttributes: true, parseTagValue: false, isArray: (name) => name === 'Object' });

/** One permission an object, as S3 decides: DeleteObject, and DeleteObjectVersion for a version. */
const deleteObjects: Mapper = (call) => {
  const { Delete: given } = xml.parse(call.request.body.toString('utf8')) as { Delete?: { Object?: unknown } };
  const named = Array.isArray(given?.Object) ? (given.Object as unknown[]) : [];
  return named.map((item) => {
    const { Key: key, VersionId: version } = object(item);
    if (typeof key !== 'string') throw new CannotTell(`s3:DeleteObjects names an object without a key`);
    const action = typeof version === 'string' ? 's3:DeleteObjectVersion' : 's3:DeleteObject';
    return need(action, `${bucketArn(call)}/${key}`, { context: common() });
  });
};

export const s3: Readonly<Record<string, Mapper>> = {
  ListBuckets: () => [need('s3:ListAllMyBuckets', '*')],
  AbortMultipartUpload: onKeyedObject('AbortMultipartUpload'),
  CompleteMultipartUpload: onKeyedObject('PutObject', { keyActions: READ_KEY, creates: true }),
  CreateMultipartUpload: onKeyedObject('PutObject', { keyActions: PART_KEY, creates: false }),
  DeleteObject: versioned('DeleteObject'),
  DeleteObjects: deleteObjects,
  GetBucketLocation: bucket('GetBucketLocation'),
  GetObject: versioned('GetObject', { keyActions: READ_KEY }),
  HeadBucket: bucket('ListBucket'),
  HeadObject: versioned('GetObject', { keyActions: READ_KEY }),
  ListMultipartUploads: bucket('ListBucketMultipartUploads'),
  ListObjectVersions: bucket('ListBucketVersions'),
  ListObjects: bucket('ListBucket'),
  ListObjectsV2: bucket('ListBucket'),
  ListParts: onKeyedObject('ListMultipartUploadParts'),
  PutObject: onKeyedObject('PutObject', { keyActions: WRITE_KEY, creates: true }),
  UploadPart: onKeyedObject('PutObject', { keyActions: PART_KEY, creates: false }),
};
