/** S3 as the archive's policies use it: conditions of writes, parts apart from objects, deletions one by one, the key behind. */
import { describe, expect, it } from 'vitest';
import { createIam } from '../../../rehearsal/iam/authorizer.ts';
import { readTemplate } from '../../../rehearsal/iam/policies.ts';
import { KEY_ARN, PLACE, ROLE_ARN, STACK, call, fakeFacts, template, trust } from './fixtures.ts';

const ARN = 'arn:aws:s3:::archive';
const HOST_ARN = 'arn:aws:iam::123456789012:role/Rejoin-Host-X9';
const objects = (path: string): string => `${ARN}/${path}`;
const encryption = { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: { 'Fn::GetAtt': ['Key', 'Arn'] } };

const hosts = (Action: string, Resource: string, Condition?: object): object => ({
  ...{ Effect: 'Allow', Principal: { AWS: HOST_ARN }, Action, Resource },
  ...(Condition && { Condition }),
});
const BUCKET_POLICY = [
  {
    Effect: 'Deny',
    Principal: { AWS: '*' },
    Action: 's3:*',
    Resource: [ARN, objects('*')],
    Condition: { Bool: { 'aws:SecureTransport': 'false' } },
  },
  {
    Effect: 'Deny',
    Principal: { AWS: '*' },
    Action: 's3:*',
    Resource: [ARN, objects('*')],
    Condition: { NumericLessThan: { 's3:TlsVersion': 1.2 } },
  },
  {
    ...{ Effect: 'Deny', Principal: { AWS: '*' }, Action: 's3:PutObject', Resource: objects('*') },
    Condition: { Null: { 's3:if-none-match': 'true' }, Bool: { 's3:ObjectCreationOperation': 'true' } },
  },
  hosts('s3:PutObject', objects('orders/*/base/*/data.zst'), { Bool: { 's3:ObjectCreationOperation': 'false' } }),
  hosts('s3:GetObject', objects('orders/*')),
];
const ROOT = { AWS: 'arn:aws:iam::123456789012:root' };
const KEY_POLICY = [
  { Effect: 'Allow', Action: 'kms:*', Principal: ROOT, Resource: '*' },
  {
    ...{ Effect: 'Allow', Action: ['kms:Decrypt', 'kms:GenerateDataKey'], Principal: { AWS: HOST_ARN }, Resource: '*' },
    Condition: {
      StringEquals: { 'kms:ViaService': 's3.eu-west-1.amazonaws.com' },
      StringLike: { 'kms:EncryptionContext:aws:s3:arn': ARN },
    },
  },
];

const policy = (Statement: readonly object[]): object => ({ Version: '2012-10-17', Statement });
const SHIPPER = [
  { Effect: 'Allow', Action: ['s3:PutObject', 's3:AbortMultipartUpload'], Resource: objects('*/*/wal/*') },
  { Effect: 'Allow', Action: 's3:ListBucket', Resource: ARN },
];
const WITH_KEY = { Effect: 'Allow', Action: ['kms:Decrypt', 'kms:GenerateDataKey'], Resource: KEY_ARN };

function asking(statements: readonly object[], roleArn: string) {
  const changes = {
    Host: { Type: 'AWS::IAM::Role', Properties: { AssumeRolePolicyDocument: trust('ec2.amazonaws.com') } },
    Bucket: {
      Type: 'AWS::S3::Bucket',
      Properties: {
        BucketEncryption: { ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: encryption }] },
      },
    },
    BucketPolicy: {
      Type: 'AWS::S3::BucketPolicy',
      Properties: { Bucket: { Ref: 'Bucket' }, PolicyDocument: policy(BUCKET_POLICY) },
    },
    Key: { Type: 'AWS::KMS::Key', Properties: { KeyPolicy: policy(KEY_POLICY) } },
  };
  const physicalIds = { ...STACK.physicalIds, Host: 'Rejoin-Host-X9', Bucket: 'archive', BucketPolicy: 'archive' };
  const policies = readTemplate(template(statements, changes), { ...STACK, physicalIds });
  expect(policies.problems).toEqual([]);
  const iam = createIam({ place: PLACE, policies, facts: fakeFacts() });
  const { accessKeyId } = iam.credentialsFor(roleArn, 'x');
  return async (operation: string, Key: string, headers: Record<string, string> = {}, body = '') => {
    const params = { Bucket: 'archive', ...(Key !== '' && { Key }) };
    const request = { ...call('s3', operation, params, accessKeyId), headers, body: Buffer.from(body) };
    const answer = await iam.authorize(request);
    return answer.allowed ? 'allowed' : `${answer.action}: ${answer.message.replace(/^.* (?=because|with)/, '')}`;
  };
}

const WAL = 'orders/7301/wal/00000001/x.zst';
const BASE = 'orders/7301/base/one/data.zst';
const IF_NEW = { 'if-none-match': '*' };
const denied = 'with an explicit deny in a resource-based policy';

describe('who ships, at S3', () => {
  const ask = asking([...SHIPPER, WITH_KEY], ROLE_ARN);

  it.each([
    ['puts what is new', 'PutObject', IF_NEW, 'allowed'],
    ['cannot put without the condition', 'PutObject', {}, `s3:PutObject: ${denied}`],
    ['begins an upload, which has no condition', 'CreateMultipartUpload', {}, 'allowed'],
    ['sends a part, which has none either', 'UploadPart', {}, 'allowed'],
    ['ends an upload of what is new', 'CompleteMultipartUpload', IF_NEW, 'allowed'],
    ['cannot end one without the condition', 'CompleteMultipartUpload', {}, `s3:PutObject: ${denied}`],
    ['gives up an upload', 'AbortMultipartUpload', {}, 'allowed'],
    [
      'cannot delete',
      'DeleteObject',
      {},
      's3:DeleteObject: because no identity-based policy allows the s3:DeleteObject action',
    ],
  ])('%s', async (_what, operation, headers, answer) => {
    expect(await ask(operation, WAL, headers)).toBe(answer);
  });

  it('cannot put elsewhere', async () => {
    expect(await ask('PutObject', BASE, IF_NEW)).toMatch(/^s3:PutObject: because no identity-based policy allows/);
  });

  it('cannot do any of it without the key', async () => {
    const without = asking(SHIPPER, ROLE_ARN);
    expect(await without('PutObject', WAL, IF_NEW)).toMatch(/^kms:GenerateDataKey: because no identity-based/);
  });
});

describe('deletions of many', () => {
  const all = '<Delete><Object><Key>a/1</Key></Object><Object><Key>b/2</Key></Object></Delete>';
  const versions = '<Delete><Object><Key>a/1</Key><VersionId>v</VersionId></Object></Delete>';
  const may = (path: string): object => ({ Effect: 'Allow', Action: 's3:DeleteObject', Resource: objects(path) });

  it('need leave for each object, and another for versions', async () => {
    expect(await asking([may('*')], ROLE_ARN)('DeleteObjects', '', {}, all)).toBe('allowed');
    expect(await asking([may('a/*')], ROLE_ARN)('DeleteObjects', '', {}, all)).toMatch(/^s3:DeleteObject: because no/);
    expect(await asking([may('*')], ROLE_ARN)('DeleteObjects', '', {}, versions)).toMatch(
      /^s3:DeleteObjectVersion: because no/,
    );
  });
});

describe('a host, by the policies of bucket and key alone', () => {
  const ask = asking([], HOST_ARN);

  it.each([
    ['sends a part of a base backup', 'UploadPart', BASE, {}, 'allowed'],
    ['reads its archive', 'GetObject', WAL, {}, 'allowed'],
  ])('%s', async (_what, operation, key, headers, answer) => {
    expect(await ask(operation, key, headers)).toBe(answer);
  });

  it.each([
    ['makes no object, not even of its own parts', 'CompleteMultipartUpload', BASE],
    ['puts no object', 'PutObject', BASE],
    ['sends no part of log', 'UploadPart', WAL],
    ["reads no other cluster's archive", 'GetObject', 'accounts/1/wal/x'],
  ])('%s', async (_what, operation, key) => {
    expect(await ask(operation, key, IF_NEW)).toMatch(/because no identity-based policy allows/);
  });
});
