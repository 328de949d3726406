import { describe, expect, it } from 'vitest';
import { needsOf } from '../../../rehearsal/iam/actions.ts';
import { normalizedRecordName } from '../../../rehearsal/iam/actions/routing.ts';
import { PLACE, call, fakeFacts } from './fixtures.ts';

const AT = 'eu-west-1:123456789012';
const group = `arn:aws:elasticloadbalancing:${AT}:targetgroup/orders/1`;
const needs = async (service: string, operation: string, params: Record<string, unknown>) =>
  (await needsOf(call(service, operation, params), PLACE, fakeFacts())).map((n) => `${n.action} ${n.resource}`);

describe('the permissions that a call needs', () => {
  it.each<[string, string, Record<string, unknown>, readonly string[]]>([
    ['ec2', 'DescribeInstances', {}, ['ec2:DescribeInstances *']],
    ['ec2', 'DescribeLaunchTemplateVersions', { LaunchTemplateId: 'lt-1' }, ['ec2:DescribeLaunchTemplateVersions *']],
    [
      'ec2',
      'StopInstances',
      { InstanceId: ['i-1', 'i-2'] },
      [`ec2:StopInstances arn:aws:ec2:${AT}:instance/i-1`, `ec2:StopInstances arn:aws:ec2:${AT}:instance/i-2`],
    ],
    [
      'ec2',
      'AttachVolume',
      { InstanceId: 'i-1', VolumeId: 'vol-1' },
      [`ec2:AttachVolume arn:aws:ec2:${AT}:instance/i-1`, `ec2:AttachVolume arn:aws:ec2:${AT}:volume/vol-1`],
    ],
    [
      'ec2',
      'DetachVolume',
      { VolumeId: 'vol-1' },
      [`ec2:DetachVolume arn:aws:ec2:${AT}:volume/vol-1`, `ec2:DetachVolume arn:aws:ec2:${AT}:instance/i-1`],
    ],
    [
      'ec2',
      'CreateTags',
      { ResourceId: ['vol-1'], Tag: [{ Key: 'a', Value: 'b' }] },
      [`ec2:CreateTags arn:aws:ec2:${AT}:volume/vol-1`],
    ],
    [
      'elasticloadbalancing',
      'RegisterTargets',
      { TargetGroupArn: group, Targets: [{ Id: 'i-1' }] },
      [`elasticloadbalancing:RegisterTargets ${group}`],
    ],
    [
      'elasticloadbalancing',
      'DescribeTargetHealth',
      { TargetGroupArn: group },
      ['elasticloadbalancing:DescribeTargetHealth *'],
    ],
    [
      'route53',
      'ListResourceRecordSets',
      { HostedZoneId: '/hostedzone/Z1' },
      ['route53:ListResourceRecordSets arn:aws:route53:::hostedzone/Z1'],
    ],
    [
      'sqs',
      'SendMessageBatch',
      { QueueUrl: 'http://x/123456789012/q.fifo' },
      [`sqs:SendMessage arn:aws:sqs:${AT}:q.fifo`],
    ],
    ['sqs', 'DeleteMessageBatch', { QueueUrl: 'http://x/123456789012/q' }, [`sqs:DeleteMessage arn:aws:sqs:${AT}:q`]],
    [
      'ssm',
      'GetParameter',
      { Name: '/rejoin/clusters/orders:3' },
      [`ssm:GetParameter arn:aws:ssm:${AT}:parameter/rejoin/clusters/orders`],
    ],
    [
      'ssm',
      'GetParametersByPath',
      { Path: '/rejoin/clusters/' },
      [`ssm:GetParametersByPath arn:aws:ssm:${AT}:parameter/rejoin/clusters/`],
    ],
    [
      'ssm',
      'SendCommand',
      { DocumentName: 'Rejoin-join', InstanceIds: ['i-1'] },
      [`ssm:SendCommand arn:aws:ssm:${AT}:document/Rejoin-join`, `ssm:SendCommand arn:aws:ec2:${AT}:instance/i-1`],
    ],
    [
      'ssm',
      'SendCommand',
      { DocumentName: 'AWS-RunShellScript', InstanceIds: ['mi-1'] },
      [
        'ssm:SendCommand arn:aws:ssm:eu-west-1::document/AWS-RunShellScript',
        `ssm:SendCommand arn:aws:ssm:${AT}:managed-instance/mi-1`,
      ],
    ],
    [
      'dynamodb',
      'Query',
      { TableName: 't', IndexName: 'i' },
      [`dynamodb:Query arn:aws:dynamodb:${AT}:table/t/index/i`],
    ],
    [
      'dynamodb',
      'BatchGetItem',
      { RequestItems: { a: {}, b: {} } },
      [`dynamodb:BatchGetItem arn:aws:dynamodb:${AT}:table/a`, `dynamodb:BatchGetItem arn:aws:dynamodb:${AT}:table/b`],
    ],
    [
      'dynamodb',
      'TransactWriteItems',
      {
        TransactItems: [
          { Update: { TableName: 't' } },
          { ConditionCheck: { TableName: 't' } },
          { Put: { TableName: 't' } },
          { Delete: { TableName: 't' } },
        ],
      },
      ['UpdateItem', 'ConditionCheckItem', 'PutItem', 'DeleteItem'].map(
        (a) => `dynamodb:${a} arn:aws:dynamodb:${AT}:table/t`,
      ),
    ],
    ['states', 'StartExecution', { stateMachineArn: 'arn:m' }, ['states:StartExecution arn:m']],
    ['states', 'DescribeExecution', { executionArn: 'arn:e' }, ['states:DescribeExecution arn:e']],
    [
      'lambda',
      'Invoke',
      { FunctionName: 'f', Qualifier: 'live' },
      [`lambda:InvokeFunction arn:aws:lambda:${AT}:function:f:live`],
    ],
    [
      'events',
      'PutEvents',
      { Entries: [{ Source: 's' }] },
      [`events:PutEvents arn:aws:events:${AT}:event-bus/default`],
    ],
    ['s3', 'PutObject', { Bucket: 'b', Key: 'a/b' }, ['s3:PutObject arn:aws:s3:::b/a/b']],
    ['s3', 'ListObjectsV2', { Bucket: 'b', prefix: 'a/' }, ['s3:ListBucket arn:aws:s3:::b']],
    ['sts', 'GetCallerIdentity', {}, []],
  ])('%s:%s', async (service, operation, params, expected) => {
    expect(await needs(service, operation, params)).toEqual(expected);
  });

  it.each<[string, string, Record<string, unknown>, RegExp]>([
    ['ec2', 'CreateVpc', {}, /does not know which permission ec2:CreateVpc needs/],
    ['teleport', 'Beam', {}, /does not know which permission teleport:Beam needs/],
    ['ec2', 'TerminateInstances', {}, /without InstanceId/],
    ['ec2', 'CreateTags', { ResourceId: ['pg-1'] }, /what kind of EC2 resource pg-1 is/],
    ['sqs', 'SendMessage', { QueueUrl: 'q' }, /does not end in \/ACCOUNT\/NAME/],
    ['dynamodb', 'BatchGetItem', {}, /names no resource/],
    ['dynamodb', 'TransactWriteItems', { TransactItems: [{ Upsert: {} }] }, /a part of a transaction/],
    [
      'ssm',
      'SendCommand',
      { DocumentName: 'd', Targets: [{ Key: 'tag:a', Values: ['b'] }] },
      /checks only InstanceIds/,
    ],
    ['route53', 'ChangeResourceRecordSets', { HostedZoneId: 'Z1' }, /without changes/],
    ['sns', 'Publish', { PhoneNumber: '+1' }, /without TopicArn/],
  ])('%s:%s cannot be told and so is refused', async (service, operation, params, reason) => {
    await expect(needs(service, operation, params)).rejects.toThrow(reason);
  });

  it('a change of records is seen by name, type and action', async () => {
    const set = (Name: string, Type: string) => ({ Action: 'UPSERT', ResourceRecordSet: [{ Name, Type }] });
    const params = {
      HostedZoneId: 'Z1',
      ChangeBatch: { Changes: { Change: [set('Orders.x.', 'A'), set('_rejoin.orders.x.', 'TXT')] } },
    };
    const [one] = await needsOf(call('route53', 'ChangeResourceRecordSets', params), PLACE, fakeFacts());
    expect(Object.fromEntries(one!.context.values)).toEqual({
      'route53:changeresourcerecordsetsnormalizedrecordnames': ['orders.x', '_rejoin.orders.x'],
      'route53:changeresourcerecordsetsrecordtypes': ['A', 'TXT'],
      'route53:changeresourcerecordsetsactions': ['UPSERT'],
    });
    expect(normalizedRecordName('*.Orders.X.')).toBe('\\052.orders.x');
  });
});

describe('RunInstances', () => {
  const facts = fakeFacts({
    template: {
      ImageId: 'ami-1',
      SecurityGroupIds: ['sg-1'],
      KeyName: 'ops',
      IamInstanceProfile: { Name: 'host' },
      TagSpecifications: [{ ResourceType: 'volume', Tags: [{ Key: 'team', Value: 'db' }] }],
    },
  });
  const params = {
    LaunchTemplate: { LaunchTemplateId: 'lt-1', Version: '$Latest' },
    SubnetId: 'subnet-1',
    TagSpecification: ['instance', 'volume'].map((ResourceType) => ({
      ResourceType,
      Tag: [{ Key: 'rejoin:cluster', Value: 'orders' }],
    })),
  };
  const asked = () => needsOf(call('ec2', 'RunInstances', params), PLACE, facts);

  it('asks for everything that takes part, the tagging and the role', async () => {
    expect((await asked()).map((n) => `${n.action} ${n.resource}`)).toEqual([
      `ec2:RunInstances arn:aws:ec2:${AT}:instance/*`,
      'ec2:RunInstances arn:aws:ec2:eu-west-1::image/ami-1',
      `ec2:RunInstances arn:aws:ec2:${AT}:subnet/subnet-1`,
      `ec2:RunInstances arn:aws:ec2:${AT}:security-group/sg-1`,
      `ec2:RunInstances arn:aws:ec2:${AT}:network-interface/*`,
      `ec2:RunInstances arn:aws:ec2:${AT}:volume/*`,
      `ec2:RunInstances arn:aws:ec2:${AT}:launch-template/lt-1`,
      `ec2:RunInstances arn:aws:ec2:${AT}:key-pair/ops`,
      `ec2:CreateTags arn:aws:ec2:${AT}:volume/*`,
      `ec2:CreateTags arn:aws:ec2:${AT}:instance/*`,
      'iam:PassRole arn:aws:iam::123456789012:role/host',
    ]);
  });

  it('shows the tags only on what they are for, and which template was used', async () => {
    const found = new Map((await asked()).map((n) => [`${n.action} ${n.resource.split(':')[5]}`, n.context.values]));
    const instance = found.get('ec2:RunInstances instance/*')!;
    expect(instance.get('aws:requesttag/rejoin:cluster')).toEqual(['orders']);
    expect(instance.get('ec2:launchtemplate')).toEqual([`arn:aws:ec2:${AT}:launch-template/lt-1`]);
    expect(instance.get('ec2:islaunchtemplateresource')).toEqual(['true']);
    expect(found.get('ec2:RunInstances subnet/subnet-1')!.get('aws:requesttag/rejoin:cluster')).toBeUndefined();
    expect(found.get('ec2:RunInstances subnet/subnet-1')!.get('ec2:islaunchtemplateresource')).toEqual(['false']);
    expect(found.get('ec2:CreateTags volume/*')!.get('aws:tagkeys')).toEqual(['team', 'rejoin:cluster']);
    expect(found.get('ec2:CreateTags volume/*')!.get('ec2:createaction')).toEqual(['RunInstances']);
    expect(found.get('iam:PassRole role/host')!.get('iam:passedtoservice')).toEqual(['ec2.amazonaws.com']);
  });
});
