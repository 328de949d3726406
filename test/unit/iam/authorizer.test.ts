import { describe, expect, it } from 'vitest';
import { createIam } from '../../../rehearsal/iam/authorizer.ts';
import type { Iam } from '../../../rehearsal/iam/authorizer.ts';
import { readTemplate } from '../../../rehearsal/iam/policies.ts';
import { mergeUnused } from '../../../rehearsal/iam/report.ts';
import type { UnusedGrant } from '../../../rehearsal/iam/report.ts';
import type { FakeWorld } from './fixtures.ts';
import { KEY_ARN, PLACE, ROLE_ARN, STACK, call, fakeFacts, template } from './fixtures.ts';

const QUEUE_URL = 'http://127.210.0.1/123456789012/signals';
const allow = (Action: unknown, Resource: unknown = '*', more: object = {}) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...more,
});

function setUp(statements: readonly object[], changes: Readonly<Record<string, object>> = {}, world: FakeWorld = {}) {
  const facts = fakeFacts(world);
  const policies = readTemplate(template(statements, changes), STACK);
  const iam = createIam({ place: PLACE, policies, facts, engineKeyPrefix: 'ENGINE-', nowMs: () => 1_000 });
  const { accessKeyId } = iam.credentialsFor(ROLE_ARN, 'watch', 'lambda.amazonaws.com');
  return {
    iam,
    facts,
    key: accessKeyId,
    ask: (service: string, operation: string, params: Record<string, unknown>) =>
      iam.authorize(call(service, operation, params, accessKeyId)),
  };
}

const allowed = async (answer: ReturnType<Iam['authorize']>): Promise<boolean> => (await answer).allowed;

describe('the authorizer', () => {
  it('lets a call through that the policies allow', async () => {
    const { ask } = setUp([allow('states:StartExecution', { Ref: 'Machine' })]);
    expect(await ask('states', 'StartExecution', { stateMachineArn: STACK.physicalIds['Machine'] })).toEqual({
      allowed: true,
      principal: 'arn:aws:sts::123456789012:assumed-role/Rejoin-Role-X1/watch',
    });
  });

  it('refuses with the words of AWS', async () => {
    const { ask } = setUp([]);
    expect(await ask('ec2', 'StopInstances', { InstanceId: ['i-1'] })).toEqual({
      allowed: false,
      principal: 'arn:aws:sts::123456789012:assumed-role/Rejoin-Role-X1/watch',
      action: 'ec2:StopInstances',
      resource: 'arn:aws:ec2:eu-west-1:123456789012:instance/i-1',
      message:
        'You are not authorized to perform this operation. User: arn:aws:sts::123456789012:assumed-role/Rejoin-Role-X1/watch is not ' +
        'authorized to perform: ec2:StopInstances on resource: arn:aws:ec2:eu-west-1:123456789012:instance/i-1 because no ' +
        'identity-based policy allows the ec2:StopInstances action',
    });
  });

  it.each([
    ['a call that is not in the tables', 'ec2', 'CreateVpc', /does not know which permission ec2:CreateVpc needs/],
    ['an explicit deny', 'sns', 'Publish', /with an explicit deny in an identity-based policy/],
  ])('refuses %s even to a role that may do anything', async (_name, service, operation, message) => {
    const { ask } = setUp([allow('*'), { Effect: 'Deny', Action: 'sns:*', Resource: '*' }]);
    expect(await ask(service, operation, { TopicArn: 'arn:aws:sns:eu-west-1:123456789012:ops' })).toMatchObject({
      allowed: false,
      message: expect.stringMatching(message) as string,
    });
  });

  it('knows administrators, and refuses strangers and the unsigned', async () => {
    const { iam } = setUp([]);
    expect(await allowed(iam.authorize(call('ec2', 'CreateVpc', {}, 'REJOINADMIN')))).toBe(true);
    expect(await iam.authorize(call('ec2', 'DescribeVpcs', {}, 'AKIASTRANGER'))).toMatchObject({
      allowed: false,
      principal: 'AKIASTRANGER',
    });
    expect(await iam.authorize(call('ec2', 'DescribeVpcs', {}, null))).toMatchObject({
      allowed: false,
      principal: 'anonymous',
    });
    expect(iam.report().refused.map((r) => r.principal)).toEqual(['AKIASTRANGER', 'anonymous']);
  });

  it('calls with the role of the state machine that the engine runs', async () => {
    const { iam } = setUp([]);
    const invoke = (name: string, key: string) =>
      allowed(iam.authorize(call('lambda', 'Invoke', { FunctionName: name }, key)));
    expect(await invoke('replace', 'ENGINE-rejoin-replace')).toBe(true);
    expect(await invoke('bootstrap', 'ENGINE-rejoin-replace')).toBe(false);
    expect(await invoke('replace', 'ENGINE-other')).toBe(false);
  });

  it('gives no credentials for an unknown role, nor to a service that its trust policy does not name', () => {
    const { iam } = setUp([]);
    expect(() => iam.credentialsFor('arn:aws:iam::123456789012:role/x', 's')).toThrow(
      /no policies are known for the role .*x; known are/,
    );
    expect(() => iam.credentialsFor(ROLE_ARN, 's', 'ec2.amazonaws.com')).toThrow(
      /ec2.amazonaws.com cannot assume .*names lambda.amazonaws.com/,
    );
    const one = iam.credentialsFor(ROLE_ARN, 's').accessKeyId;
    expect(one).toMatch(/^ASIA[A-Z2-7]{16}$/);
    expect(iam.credentialsFor(ROLE_ARN, 's').accessKeyId).not.toBe(one);
  });

  describe('conditions on tags', () => {
    const own = { Condition: { StringEquals: { 'ec2:ResourceTag/rejoin:cluster': 'orders' } } };
    const world = { tags: { 'i-1': { 'rejoin:cluster': 'orders' }, 'i-2': {} } };
    const stop = (ids: readonly string[]) => ({ InstanceId: ids });

    it('look at the tags of each instance', async () => {
      const { ask } = setUp([allow('ec2:StopInstances', '*', own)], {}, world);
      expect(await allowed(ask('ec2', 'StopInstances', stop(['i-1'])))).toBe(true);
      expect(await allowed(ask('ec2', 'StopInstances', stop(['i-1', 'i-2'])))).toBe(false);
    });

    it('cost a look-up only when a policy asks', async () => {
      const { ask, facts } = setUp([allow('ec2:StopInstances'), allow('ec2:StartInstances', '*', own)], {}, world);
      await ask('ec2', 'StopInstances', stop(['i-1']));
      expect(facts.lookups).toBe(0);
      await ask('ec2', 'StartInstances', stop(['i-1']));
      expect(facts.lookups).toBe(1);
    });

    it('are looked up again after a call that may change them', async () => {
      const { ask, facts } = setUp([allow('ec2:*')], {}, world);
      await ask('ec2', 'CreateTags', { ResourceId: ['i-1'], Tag: [{ Key: 'a', Value: 'b' }] });
      expect(facts.forgotten).toBe(1);
    });
  });

  describe('RunInstances', () => {
    const world = { template: { ImageId: 'ami-1', SecurityGroupIds: ['sg-1'], IamInstanceProfile: { Name: 'host' } } };
    const at = 'arn:aws:ec2:eu-west-1:123456789012';
    const marked = { Condition: { StringEquals: { 'aws:RequestTag/rejoin:cluster': 'orders' } } };
    const statements: readonly object[] = [
      allow('ec2:RunInstances', [`${at}:instance/*`, `${at}:volume/*`], marked),
      allow('ec2:RunInstances', [
        `${at}:subnet/subnet-1`,
        `${at}:security-group/sg-1`,
        `${at}:network-interface/*`,
        'arn:aws:ec2:eu-west-1::image/*',
        `${at}:launch-template/lt-1`,
      ]),
      allow('ec2:CreateTags', [`${at}:instance/*`, `${at}:volume/*`], {
        Condition: {
          StringEquals: { 'ec2:CreateAction': 'RunInstances' },
          'ForAllValues:StringEquals': { 'aws:TagKeys': ['rejoin:cluster'] },
        },
      }),
      allow('iam:PassRole', 'arn:aws:iam::123456789012:role/host', {
        Condition: { StringEquals: { 'iam:PassedToService': 'ec2.amazonaws.com' } },
      }),
    ];
    const params = (cluster: string, subnet = 'subnet-1', key = 'rejoin:cluster') => ({
      LaunchTemplate: { LaunchTemplateId: 'lt-1' },
      SubnetId: subnet,
      TagSpecification: ['instance', 'volume'].map((ResourceType) => ({
        ResourceType,
        Tag: [{ Key: key, Value: cluster }],
      })),
    });

    it('goes through when every part is allowed', async () => {
      const { ask, iam } = setUp(statements, {}, world);
      expect(await ask('ec2', 'RunInstances', params('orders'))).toMatchObject({ allowed: true });
      expect(iam.report().unused.filter((u) => u.role === 'Rejoin/Role')).toEqual([]);
    });

    it.each<[string, ReturnType<typeof params>, string, string]>([
      ['the wrong tag', params('billing'), 'ec2:RunInstances', `${at}:instance/*`],
      ['another subnet', params('orders', 'subnet-2'), 'ec2:RunInstances', `${at}:subnet/subnet-2`],
    ])('is refused by name for %s', async (_name, request, action, resource) => {
      const { ask } = setUp(statements, {}, world);
      expect(await ask('ec2', 'RunInstances', request)).toMatchObject({ allowed: false, action, resource });
    });

    it.each([
      [2, 'ec2:CreateTags'],
      [3, 'iam:PassRole'],
    ])('is refused without statement %i, %s', async (without, action) => {
      const { ask } = setUp(statements.toSpliced(without, 1), {}, world);
      expect(await ask('ec2', 'RunInstances', params('orders'))).toMatchObject({ allowed: false, action });
    });
  });

  describe('a queue with a customer-managed key', () => {
    const send = allow('sqs:SendMessage', { 'Fn::GetAtt': ['Queue', 'Arn'] });
    const useKey = allow(['kms:GenerateDataKey*', 'kms:Decrypt'], { 'Fn::GetAtt': ['Key', 'Arn'] });
    const keyPolicy = (statement: object) => ({
      Key: { Type: 'AWS::KMS::Key', Properties: { KeyPolicy: { Version: '2012-10-17', Statement: [statement] } } },
    });
    const role = { AWS: { 'Fn::GetAtt': ['Role', 'Arn'] } };
    it.each<[string, readonly object[], Readonly<Record<string, object>>, boolean]>([
      ['needs the key as well', [send], {}, false],
      ['is served with the key', [send, useKey], {}, true],
      ['is served to whom the key policy names', [send], keyPolicy(allow('kms:*', '*', { Principal: role })), true],
      [
        'is not, when the key policy leaves the account out',
        [send, useKey],
        keyPolicy(allow('kms:*', '*', { Principal: { Service: 'x' } })),
        false,
      ],
      [
        'is not, when the key policy denies',
        [send, useKey],
        keyPolicy({ ...allow('kms:*', '*', { Principal: '*' }), Effect: 'Deny' }),
        false,
      ],
      [
        'is served through SQS only',
        [send, { ...useKey, Condition: { StringEquals: { 'kms:ViaService': 'sqs.eu-west-1.amazonaws.com' } } }],
        {},
        true,
      ],
      [
        'is not, through another service',
        [send, { ...useKey, Condition: { StringEquals: { 'kms:ViaService': 'sns.eu-west-1.amazonaws.com' } } }],
        {},
        false,
      ],
      [
        'is not, when the key cannot be told',
        [send, allow('kms:*')],
        { Queue: { Type: 'AWS::SQS::Queue', Properties: { KmsMasterKeyId: { Ref: 'Nobody' } } } },
        false,
      ],
    ])('%s', async (_name, statements, changes, expected) => {
      const { ask } = setUp(statements, changes);
      expect(await allowed(ask('sqs', 'SendMessage', { QueueUrl: QUEUE_URL }))).toBe(expected);
    });

    it('names the key in the refusal', async () => {
      const { ask } = setUp([send]);
      expect(await ask('sqs', 'SendMessage', { QueueUrl: QUEUE_URL })).toMatchObject({
        action: 'kms:GenerateDataKey',
        resource: KEY_ARN,
      });
    });
  });

  it('heeds a queue policy that denies, and one that grants to the role', async () => {
    const withPolicy = (Effect: string, Principal: unknown) => ({
      Queue: { Type: 'AWS::SQS::Queue' },
      QueuePolicy: {
        Type: 'AWS::SQS::QueuePolicy',
        Properties: {
          Queues: [{ Ref: 'Queue' }],
          PolicyDocument: { Version: '2012-10-17', Statement: [{ Effect, Principal, Action: 'sqs:*' }] },
        },
      },
    });
    const ask = (statements: readonly object[], changes: Readonly<Record<string, object>>) =>
      allowed(setUp(statements, changes).ask('sqs', 'SendMessage', { QueueUrl: QUEUE_URL }));
    expect(await ask([allow('*')], withPolicy('Deny', '*'))).toBe(false);
    expect(await ask([], withPolicy('Allow', { AWS: ROLE_ARN }))).toBe(true);
    expect(await ask([], withPolicy('Allow', { AWS: '123456789012' }))).toBe(false);
  });

  it('keeps a role within its permissions boundary', async () => {
    const edge = {
      Edge: {
        Type: 'AWS::IAM::ManagedPolicy',
        Properties: { PolicyDocument: { Version: '2012-10-17', Statement: [allow('sns:*')] } },
      },
      Role: {
        Type: 'AWS::IAM::Role',
        Properties: {
          AssumeRolePolicyDocument: {
            Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: 'lambda.amazonaws.com' } }],
          },
          PermissionsBoundary: { Ref: 'Edge' },
        },
      },
    };
    const physicalIds = { ...STACK.physicalIds, Edge: 'arn:aws:iam::123456789012:policy/edge' };
    const policies = readTemplate(template([allow('*')], edge), { ...STACK, physicalIds });
    const iam = createIam({ place: PLACE, policies, facts: fakeFacts() });
    const key = iam.credentialsFor(ROLE_ARN, 's').accessKeyId;
    expect(await allowed(iam.authorize(call('sns', 'Publish', { TopicArn: 'arn:aws:sns:eu-west-1:1:t' }, key)))).toBe(
      true,
    );
    expect(await allowed(iam.authorize(call('ec2', 'DescribeInstances', {}, key)))).toBe(false);
  });

  it('takes far less than a millisecond a call', async () => {
    const many = Array.from({ length: 30 }, (_, i) => allow(['ec2:Describe*', `sqs:Send${i}*`], '*'));
    const { ask } = setUp([...many, allow('states:StartExecution', { Ref: 'Machine' })]);
    const params = { stateMachineArn: STACK.physicalIds['Machine'] };
    const took: number[] = [];
    for (let i = 0; i < 2000; i += 1) {
      const start = performance.now();
      await ask('states', 'StartExecution', params);
      took.push(performance.now() - start);
    }
    const median = took.sort((a, b) => a - b)[1000]!;
    expect(median).toBeLessThan(0.2); // measured: about 0.01 ms
  });
});

describe('the report', () => {
  const statements = [
    { ...allow(['sqs:SendMessage', 'sqs:Purge*'], ['arn:aws:sqs:*:*:a', 'arn:aws:sqs:*:*:b']), Sid: 'Send' },
    allow('ec2:CreateNetworkInterface'),
  ];
  const run = async (...queues: readonly string[]) => {
    const { iam, ask } = setUp(statements);
    for (const queue of queues) await ask('sqs', 'SendMessage', { QueueUrl: `http://x/123456789012/${queue}` });
    return iam.report();
  };
  const brief = (unused: readonly UnusedGrant[]) =>
    unused
      .filter((u) => u.role === 'Rejoin/Role' && u.emulated)
      .map((u) => `${u.kind} ${u.kind === 'action' ? u.action : u.resource}`);

  it('lists refused calls once, with a count and why', async () => {
    const { refused } = await run('c', 'c', 'b');
    expect(refused).toEqual([
      expect.objectContaining({
        action: 'sqs:SendMessage',
        resource: 'arn:aws:sqs:eu-west-1:123456789012:c',
        count: 2,
        firstAtMs: 1_000,
      }),
    ]);
  });

  it('lists granted actions and resources that nothing needed', async () => {
    expect(brief((await run('a')).unused)).toEqual(['action sqs:Purge*', 'resource arn:aws:sqs:*:*:b']);
  });

  it('does not count what a refused call would have used', async () => {
    expect(brief((await run('c')).unused)).toContain('action sqs:SendMessage');
  });

  it('sets apart what AWS does in the role’s name', async () => {
    expect((await run()).unused.filter((u) => !u.emulated).map((u) => u.action)).toEqual([
      'ec2:CreateNetworkInterface',
    ]);
  });

  it('over several runs, keeps what none of them used', async () => {
    const runs = [(await run('a')).unused, (await run('b')).unused];
    expect(brief(mergeUnused(runs))).toEqual(['action sqs:Purge*']);
    expect(mergeUnused([])).toEqual([]);
    expect(() => mergeUnused([[{ action: 'x' }]])).toThrow(/expected an entry with key and action/);
  });
});
