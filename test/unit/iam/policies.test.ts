import { describe, expect, it } from 'vitest';
import { Resolver } from '../../../rehearsal/iam/intrinsics.ts';
import type { Template } from '../../../rehearsal/iam/intrinsics.ts';
import { readTemplate } from '../../../rehearsal/iam/policies.ts';
import { Unresolved } from '../../../rehearsal/iam/statements.ts';
import { KEY_ARN, ROLE_ARN, STACK, template, trust } from './fixtures.ts';

const AT = 'eu-west-1:123456789012';

describe('intrinsic functions', () => {
  const whole: Template = {
    ...template([]),
    Parameters: {
      Stage: { Type: 'String', Default: 'prod' },
      Ami: { Type: 'AWS::SSM::Parameter::Value<String>', Default: '/ami' },
    },
    Conditions: {
      IsProd: { 'Fn::Equals': [{ Ref: 'Stage' }, 'prod'] },
      IsNot: { 'Fn::Not': [{ Condition: 'IsProd' }] },
      Both: { 'Fn::And': [{ Condition: 'IsProd' }, { 'Fn::Or': [{ Condition: 'IsNot' }, { Condition: 'IsProd' }] }] },
    },
    Mappings: { Zones: { 'eu-west-1': { first: 'a' } } },
  };
  const resolver = new Resolver(whole, {
    ...STACK,
    attributes: { 'Table.StreamArn': 'arn:stream' },
    exports: { Vpc: 'vpc-1' },
  });

  it.each<[string, unknown, unknown]>([
    ['Ref of a resource', { Ref: 'Table' }, 'Rejoin-Table-X4'],
    ['Ref of a parameter', { Ref: 'Stage' }, 'prod'],
    ['a pseudo parameter', { Ref: 'AWS::URLSuffix' }, 'amazonaws.com'],
    ['GetAtt of a queue', { 'Fn::GetAtt': ['Queue', 'Arn'] }, `arn:aws:sqs:${AT}:signals`],
    ['GetAtt of a queue name', { 'Fn::GetAtt': 'Queue.QueueName' }, 'signals'],
    ['GetAtt of a table', { 'Fn::GetAtt': ['Table', 'Arn'] }, `arn:aws:dynamodb:${AT}:table/Rejoin-Table-X4`],
    ['GetAtt of a role', { 'Fn::GetAtt': ['Role', 'Arn'] }, ROLE_ARN],
    ['GetAtt of a key', { 'Fn::GetAtt': ['Key', 'Arn'] }, KEY_ARN],
    ['GetAtt that was given', { 'Fn::GetAtt': ['Table', 'StreamArn'] }, 'arn:stream'],
    [
      'Join',
      { 'Fn::Join': ['', [{ 'Fn::GetAtt': ['Table', 'Arn'] }, '/index/*']] },
      `arn:aws:dynamodb:${AT}:table/Rejoin-Table-X4/index/*`,
    ],
    ['Sub', { 'Fn::Sub': 'arn:${AWS::Partition}:x:${Table}:${Queue.QueueName}' }, 'arn:aws:x:Rejoin-Table-X4:signals'],
    [
      'Sub with its own variables',
      { 'Fn::Sub': ['${Who}-${Table}', { Who: { Ref: 'Stage' } }] },
      'prod-Rejoin-Table-X4',
    ],
    ['Sub leaving a policy variable', { 'Fn::Sub': '${!aws:username}' }, '${aws:username}'],
    ['Select of Split', { 'Fn::Select': [5, { 'Fn::Split': [':', { Ref: 'Machine' }] }] }, 'stateMachine'],
    ['ImportValue', { 'Fn::ImportValue': 'Vpc' }, 'vpc-1'],
    ['FindInMap', { 'Fn::FindInMap': ['Zones', { Ref: 'AWS::Region' }, 'first'] }, 'a'],
    ['If', { 'Fn::If': ['Both', 'yes', 'no'] }, 'yes'],
    [
      'If without a value',
      { a: { 'Fn::If': ['IsNot', 1, { Ref: 'AWS::NoValue' }] }, b: [{ Ref: 'AWS::NoValue' }, 2] },
      { b: [2] },
    ],
  ])('%s', (_name, value, expected) => expect(resolver.resolve(value)).toEqual(expected));

  it.each<[string, unknown, RegExp]>([
    ['an unknown resource', { Ref: 'Nobody' }, /Ref Nobody has no value/],
    ['a parameter whose value lies in SSM', { Ref: 'Ami' }, /Ref Ami/],
    ['an unknown attribute', { 'Fn::GetAtt': ['Table', 'Colour'] }, /attribute Colour of a AWS::DynamoDB::Table/],
    ['an import that nobody exports', { 'Fn::ImportValue': 'Nope' }, /no stack exports Nope/],
    ['a function that is not resolved', { 'Fn::Cidr': ['a', 1, 2] }, /does not resolve Fn::Cidr/],
    ['a dynamic reference', '{{resolve:ssm:/x}}', /dynamic reference/],
    ['Select beyond the end', { 'Fn::Select': [3, ['a']] }, /beyond the end/],
    ['something unresolved inside Join', { 'Fn::Join': ['', ['a', { Ref: 'Nobody' }]] }, /Ref Nobody/],
  ])('%s is unresolved, with the reason', (_name, value, reason) => {
    const resolved = resolver.resolve(value);
    expect(resolved).toBeInstanceOf(Unresolved);
    expect((resolved as Unresolved).reason).toMatch(reason);
  });
});

describe('reading a template', () => {
  const send = { Effect: 'Allow', Action: 'sqs:SendMessage', Resource: { 'Fn::GetAtt': ['Queue', 'Arn'] } };

  it('gives each role its statements, its ARN and who may assume it', () => {
    const { roles, problems } = readTemplate(template([send]), STACK);
    const role = roles.find((r) => r.arn === ROLE_ARN)!;
    expect(role).toMatchObject({
      id: 'Rejoin/Role',
      name: 'Rejoin-Role-X1',
      boundary: null,
      trusted: ['lambda.amazonaws.com'],
    });
    expect(role.statements.map((s) => [s.id, s.resources.map((r) => r.source)])).toEqual([
      ['Rejoin/Role/Policy/0', [`arn:aws:sqs:${AT}:signals`]],
    ]);
    expect(problems).toEqual([]);
  });

  it('knows the keys of queues, but not those that AWS manages', () => {
    expect([...readTemplate(template([]), STACK).keys]).toEqual([[`arn:aws:sqs:${AT}:signals`, KEY_ARN]]);
  });

  it('knows the role of each state machine', () => {
    const role = 'arn:aws:iam::123456789012:role/Rejoin-MachineRole-X2';
    expect([...readTemplate(template([]), STACK).machines]).toEqual([
      [`arn:aws:states:${AT}:stateMachine:rejoin-replace`, role],
    ]);
  });

  const roleWith = (properties: object) => ({
    Role: {
      Type: 'AWS::IAM::Role',
      Properties: { AssumeRolePolicyDocument: trust('lambda.amazonaws.com'), ...properties },
    },
  });
  const managed = (name: string) => ({
    'Fn::Join': ['', ['arn:', { Ref: 'AWS::Partition' }, `:iam::aws:policy/${name}`]],
  });
  const roleOf = (properties: object) => {
    const policies = readTemplate(template([], roleWith(properties)), STACK);
    return { role: policies.roles.find((r) => r.arn.endsWith('Rejoin-Role-X1'))!, problems: policies.problems };
  };

  it('reads AWS managed policies from its table', () => {
    const { role } = roleOf({ ManagedPolicyArns: [managed('service-role/AWSLambdaVPCAccessExecutionRole')] });
    expect(role.statements.flatMap((s) => s.actions.map((a) => a.source))).toContain('ec2:CreateNetworkInterface');
  });

  it('reports a managed policy that it does not have, and grants nothing by it', () => {
    const { role, problems } = roleOf({ ManagedPolicyArns: [managed('AdministratorAccess')] });
    expect(problems).toEqual([
      expect.stringContaining('does not have the managed policy arn:aws:iam::aws:policy/AdministratorAccess'),
    ]);
    expect(role.statements[0]!.problem).not.toBeNull();
  });

  it('lets a permissions boundary that it does not have allow nothing', () => {
    const { role } = roleOf({ PermissionsBoundary: 'arn:aws:iam::123456789012:policy/edge' });
    expect(role.boundary!.map((s) => s.problem)).toEqual([expect.stringContaining('policy/edge')]);
  });

  it('reports a statement that cannot be resolved', () => {
    const { problems } = readTemplate(template([{ ...send, Sid: 'Send', Resource: { Ref: 'Nobody' } }]), STACK);
    expect(problems).toEqual([expect.stringMatching(/^Rejoin\/Role\/Policy\/0 \(Send\): Ref Nobody/)]);
  });

  it('refuses a template whose role was not deployed', () => {
    const physicalIds = Object.fromEntries(Object.entries(STACK.physicalIds).filter(([logical]) => logical !== 'Role'));
    expect(() => readTemplate(template([]), { ...STACK, physicalIds })).toThrow(
      /has the role Role, but the deployed stack/,
    );
  });
});
