/** What the archive must hold, whatever else the template says: nothing is overwritten, removed early, public or in clear. */
import { Duration, Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { Role } from 'aws-cdk-lib/aws-iam';
import { describe, expect, it } from 'vitest';
import { parseSpec } from '../../lambdas/model/spec.ts';
import type { ManageProps } from '../../lib/index.ts';
import { Engine, ManagedCluster } from '../../lib/index.ts';
import { exampleConfig, exampleStack, exampleTemplate, newApp, planeStack, resourcesOf } from './fixture.ts';

interface Statement {
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Principal?: unknown;
  readonly Resource: unknown;
  readonly Condition?: unknown;
}

const template = exampleTemplate();
const listed = <T>(value: T | readonly T[]): readonly T[] => (Array.isArray(value) ? (value as T[]) : [value as T]);

const documentOf = (properties: Readonly<Record<string, unknown>>): readonly Statement[] =>
  (properties['PolicyDocument'] as { Statement: readonly Statement[] }).Statement;

const bucketPolicy = (of: Template = template): readonly Statement[] =>
  documentOf(resourcesOf(of, 'AWS::S3::BucketPolicy')[0]?.[1].Properties ?? {});

const policies = resourcesOf(template, 'AWS::IAM::Policy').map(([id, { Properties }]) => ({
  id,
  statements: documentOf(Properties),
}));
const holders = (action: string): string[] =>
  policies.filter((p) => p.statements.some((s) => listed(s.Action).includes(action))).map((p) => p.id);

const objectPath = (resource: unknown): string => /"\/([^"]+)"\]\]\}$/.exec(JSON.stringify(resource))?.[1] ?? '';
const archive = {
  rpo: Duration.seconds(10),
  retention: Duration.days(35),
  baseBackupEvery: Duration.hours(24),
} as const;
const HOSTS = 'arn:aws:iam::111122223333:role/orders-database';

describe("the archive's bucket", () => {
  it('is versioned, encrypted with the plane’s key, not public, kept, and lets nobody shorten its lock in passing', () => {
    template.resourceCountIs('AWS::S3::Bucket', 1);
    template.hasResource('AWS::S3::Bucket', {
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: {
        BucketName: { 'Fn::Join': ['', ['rejoin-archive-', { Ref: 'AWS::AccountId' }, '-', { Ref: 'AWS::Region' }]] },
        VersioningConfiguration: { Status: 'Enabled' },
        BucketEncryption: {
          ServerSideEncryptionConfiguration: [
            {
              BucketKeyEnabled: true,
              ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: Match.anyValue() },
            },
          ],
        },
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: true,
          BlockPublicPolicy: true,
          IgnorePublicAcls: true,
          RestrictPublicBuckets: true,
        },
        ObjectLockEnabled: true,
        ObjectLockConfiguration: { Rule: { DefaultRetention: { Days: 35, Mode: 'GOVERNANCE' } } },
      },
    });
  });

  it('is kept also by a plane that is thrown away', () => {
    const thrownAway = Template.fromStack(exampleStack(newApp(), { ...exampleConfig(), destroyWithStack: true }));
    thrownAway.hasResource('AWS::S3::Bucket', { DeletionPolicy: 'Retain' });
  });

  it('is locked for as long as is asked for, or not at all', () => {
    const days = Template.fromStack(exampleStack(newApp(), { ...exampleConfig(), archiveLockDays: 7 }));
    days.hasResourceProperties('AWS::S3::Bucket', {
      ObjectLockConfiguration: { Rule: { DefaultRetention: { Days: 7 } } },
    });
    const none = Template.fromStack(planeStack({ archiveLock: Duration.days(0) }).stack);
    none.hasResourceProperties('AWS::S3::Bucket', {
      ObjectLockEnabled: Match.absent(),
      ObjectLockConfiguration: Match.absent(),
    });
  });

  it('ends uploads that nobody finishes after longer than a backup takes, and versions that were let go', () => {
    template.hasResourceProperties('AWS::S3::Bucket', {
      LifecycleConfiguration: {
        Rules: [
          {
            Status: 'Enabled',
            AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 },
            NoncurrentVersionExpiration: { NoncurrentDays: 7 },
          },
        ],
      },
    });
  });

  it('refuses what is not TLS, old TLS, and to overwrite (safety rule 10), to everybody', () => {
    const denied = bucketPolicy().filter((s) => s.Effect === 'Deny' && JSON.stringify(s.Principal) === '{"AWS":"*"}');
    expect(denied.map((s) => [s.Action, s.Condition])).toEqual([
      ['s3:*', { Bool: { 'aws:SecureTransport': 'false' } }],
      ['s3:*', { NumericLessThan: { 's3:TlsVersion': 1.2 } }],
      ['s3:PutObject', { Null: { 's3:if-none-match': 'true' }, Bool: { 's3:ObjectCreationOperation': 'true' } }],
    ]);
  });
});

describe('who ships', () => {
  const shippers = ['RejoinArchiveShipPostgres', 'RejoinArchiveShipGalera'] as const;
  const of = (shipper: string): readonly Statement[] =>
    policies.find((p) => p.id.startsWith(shipper))?.statements ?? [];

  it.each([
    ['RejoinArchiveShipPostgres', ['*/*/history/*', '*/*/wal/*']],
    ['RejoinArchiveShipGalera', ['*/*/binlog/*']],
  ])('%s adds log, reads and lists, and nothing else', (shipper, folders) => {
    const granted = of(shipper).filter((s) => listed(s.Action).some((a) => a.startsWith('s3:')));
    expect([...new Set(granted.flatMap((s) => listed(s.Action)))].sort()).toEqual([
      ...['s3:AbortMultipartUpload', 's3:GetObject', 's3:ListBucket', 's3:ListMultipartUploadParts', 's3:PutObject'],
    ]);
    const puts = granted.filter((s) => listed(s.Action).includes('s3:PutObject')).flatMap((s) => listed(s.Resource));
    expect(puts.map(objectPath).sort()).toEqual(folders);
  });

  it.each(shippers)('%s is refused every removal by the bucket, whatever its role is given', (shipper) => {
    const denied = bucketPolicy().filter((s) => s.Effect === 'Deny' && JSON.stringify(s.Principal).includes(shipper));
    expect(denied.flatMap((s) => listed(s.Action)).sort()).toEqual([
      ...['s3:BypassGovernanceRetention', 's3:DeleteObject', 's3:DeleteObjectVersion'],
      ...['s3:PutObjectLegalHold', 's3:PutObjectRetention'],
    ]);
  });

  it.each([
    ['postgres', 'RejoinArchiveShipPostgres'],
    ['galera', 'RejoinArchiveShipGalera'],
  ])('of %s starts itself again and no other function', (engine, shipper) => {
    const starts = of(shipper).filter((s) => listed(s.Action).includes('lambda:InvokeFunction'));
    expect(JSON.stringify(starts.map((s) => s.Resource))).toMatch(new RegExp(`:function:rejoin-ship-${engine}"`));
    expect(starts).toHaveLength(1);
  });

  it('removes nothing: the keeper alone does, by delete markers below clusters’ names', () => {
    expect(holders('s3:DeleteObject').map((id) => id.slice(0, 20))).toEqual(['RejoinArchiveKeeperF']);
    const keeper = policies.find((p) => p.id.startsWith('RejoinArchiveKeeper'))?.statements ?? [];
    const removals = keeper.filter((s) => listed(s.Action).includes('s3:DeleteObject'));
    expect(removals.flatMap((s) => listed(s.Resource)).map(objectPath)).toEqual(['*/*']);
  });

  it('is nobody that may remove a version, end a lock, or set the bucket', () => {
    for (const action of ['s3:DeleteObjectVersion', 's3:BypassGovernanceRetention', 's3:PutBucketPolicy'])
      expect(holders(action), action).toEqual([]);
  });
});

describe('who seeds a replacement from the archive', () => {
  const granted = (policies.find((p) => p.id.startsWith('RejoinReplaceFunction'))?.statements ?? []).filter((s) =>
    listed(s.Action).some((a) => a.startsWith('s3:')),
  );

  it('reads and lists, adds plans of restores and nothing else', () => {
    expect([...new Set(granted.flatMap((s) => listed(s.Action)))].sort()).toEqual([
      ...['s3:AbortMultipartUpload', 's3:GetObject', 's3:ListBucket', 's3:ListMultipartUploadParts', 's3:PutObject'],
    ]);
    const puts = granted.filter((s) => listed(s.Action).includes('s3:PutObject')).flatMap((s) => listed(s.Resource));
    expect(puts.map(objectPath)).toEqual(['*/restore/*']);
  });

  it('is refused every removal by the bucket, whatever its role is given', () => {
    const denied = bucketPolicy().filter(
      (s) => s.Effect === 'Deny' && JSON.stringify(s.Principal).includes('RejoinReplaceFunction'),
    );
    expect(denied.flatMap((s) => listed(s.Action))).toContain('s3:DeleteObject');
  });
});

describe('a cluster with an archive', () => {
  it('has its declaration in the specification, with the bucket by name', () => {
    const { stack, plane, valid } = planeStack();
    plane.manage('orders', { ...valid, archive: { ...archive, drillEvery: Duration.days(7) } });
    const [, parameter] = resourcesOf(Template.fromStack(stack), 'AWS::SSM::Parameter')[0] ?? [];
    const text = (parameter?.Properties['Value'] as { 'Fn::Join': [string, unknown[]] })['Fn::Join'][1]
      .map((part) => (typeof part === 'string' ? part : 'x'))
      .join('');
    const spec = JSON.parse(text) as { archive: unknown };
    expect(spec.archive).toEqual({
      bucket: 'rejoin-archive-x-x',
      rpoSeconds: 10,
      retentionDays: 35,
      baseBackupSeconds: 86_400,
      drillSeconds: 604_800,
    });
    expect(parseSpec(spec)).toMatchObject({ ok: true });
  });

  it.each([
    ['orders', 'galera'],
    ['accounts', 'postgres'],
  ])('%s is shipped by a rule of its own, each minute', (cluster, engine) => {
    template.hasResourceProperties('AWS::Events::Rule', {
      Name: `rejoin-ship-${cluster}`,
      ScheduleExpression: 'rate(1 minute)',
      State: 'ENABLED',
      Targets: [
        {
          Arn: { 'Fn::Join': ['', Match.arrayWith([`:function:rejoin-ship-${engine}`])] },
          Input: JSON.stringify({ cluster }),
        },
      ],
    });
  });

  it('of any stack may start its shipper: the function lets rules of such names in', () => {
    const permissions = resourcesOf(template, 'AWS::Lambda::Permission').filter(([, p]) =>
      JSON.stringify(p.Properties['SourceArn']).includes(':rule/rejoin-ship-*'),
    );
    expect(permissions.map(([, p]) => p.Properties['Principal'])).toEqual([
      'events.amazonaws.com',
      'events.amazonaws.com',
    ]);
  });

  it('may live in another stack, with the names of a plane of another prefix', () => {
    const { stack, plane, valid } = planeStack({ prefix: 'dbs' });
    const other = new Stack(stack.node.root, 'Other');
    const props: ManageProps = { ...valid, engine: Engine.postgres({ durability: 'quorum' }), archive };
    const cluster = new ManagedCluster(other, 'Orders', {
      ...{ ...props, name: 'orders', plane: { prefix: 'dbs', topic: plane.topic } },
    });
    plane.allow(cluster.access);
    const made = Template.fromStack(other);
    made.hasResourceProperties('AWS::Events::Rule', { Name: 'dbs-ship-orders' });
    made.hasResourceProperties('AWS::CloudWatch::Alarm', { AlarmName: 'dbs-archive-lag-of-orders' });
    expect(JSON.stringify(resourcesOf(made, 'AWS::SSM::Parameter'))).toContain('dbs-archive-');
  });

  it('warns when nobody would be told that it lags', () => {
    const { stack, valid } = planeStack();
    new ManagedCluster(stack, 'Orders', { ...valid, archive, name: 'orders' });
    Annotations.fromStack(stack).hasWarning('*', Match.stringLikeRegexp('nobody is told when its archive lags'));
  });
});

describe("a cluster's hosts", () => {
  const hostGrants = (of: Template, role: string) =>
    bucketPolicy(of)
      .filter((s) => s.Effect === 'Allow' && JSON.stringify(s.Principal).includes(role))
      .flatMap((s) =>
        listed(s.Resource).map((r) => ({ action: s.Action, path: objectPath(r), condition: s.Condition })),
      );

  it('send parts of a base backup, which make no object, and read their archive; the key lets them, through S3', () => {
    const parts = { Bool: { 's3:ObjectCreationOperation': 'false' } };
    expect(hostGrants(template, HOSTS)).toEqual([
      ...['accounts', 'orders'].map((c) => ({
        action: 's3:PutObject',
        path: `${c}/*/base/*/data.zst`,
        condition: parts,
      })),
      ...['accounts', 'orders'].map((c) => ({
        action: 's3:PutObject',
        path: `${c}/*/base/*/parts`,
        condition: undefined,
      })),
      ...['accounts', 'orders'].map((c) => ({ action: 's3:GetObject', path: `${c}/*`, condition: undefined })),
    ]);
    const key = JSON.stringify(resourcesOf(template, 'AWS::KMS::Key')[0]?.[1].Properties['KeyPolicy']);
    expect(key).toMatch(/"kms:ViaService":\{"Fn::Join":\["",\["s3\."/);
    expect(key).toContain(HOSTS);
  });

  it('are refused every removal, whatever else their role is given', () => {
    const denied = bucketPolicy().filter((s) => s.Effect === 'Deny' && JSON.stringify(s.Principal).includes(HOSTS));
    expect(denied.flatMap((s) => listed(s.Action))).toContain('s3:DeleteObjectVersion');
    expect(denied).toHaveLength(1);
  });

  it('of a cluster whose role is known are let into that cluster’s archive alone', () => {
    const { stack, plane, valid } = planeStack({ instanceRoles: [] });
    const role = (name: string) => Role.fromRoleArn(stack, name, `arn:aws:iam::111122223333:role/${name}`);
    plane.manage('orders', { ...valid, archive, instanceRole: role('orders') });
    plane.manage('plain', { ...valid, instanceRole: role('plain') });
    plane.manage('stock', { ...valid, archive });
    plane.allow({ instanceRoles: [role('any')] });
    const made = Template.fromStack(stack);
    expect(hostGrants(made, 'role/orders').map((g) => g.path)).toEqual([
      'orders/*/base/*/data.zst',
      'orders/*/base/*/parts',
      'orders/*',
    ]);
    expect(hostGrants(made, 'role/plain')).toEqual([]);
    expect(hostGrants(made, 'role/any').map((g) => g.path)).toEqual([
      'stock/*/base/*/data.zst',
      'stock/*/base/*/parts',
      'stock/*',
    ]);
  });
});
