import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { context } from '../../../rehearsal/iam/context.ts';
import { decide, decideByResource } from '../../../rehearsal/iam/evaluate.ts';
import type { Check } from '../../../rehearsal/iam/evaluate.ts';
import { Unresolved, statementsOf } from '../../../rehearsal/iam/statements.ts';

const policy = (...statements: readonly object[]) =>
  statementsOf({ Version: '2012-10-17', Statement: statements }, { id: 'p' });
const allow = (Action: unknown, Resource: unknown = '*', more: object = {}) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...more,
});
const deny = (Action: unknown, Resource: unknown = '*', more: object = {}) => ({
  Effect: 'Deny',
  Action,
  Resource,
  ...more,
});

const INSTANCE = 'arn:aws:ec2:eu-west-1:123456789012:instance/i-1';
const check = (action: string, resource: string, values: Record<string, string> = {}): Check => ({
  action,
  resource,
  context: context(values, ['ec2:ResourceTag/']),
});
const stop = check('ec2:StopInstances', INSTANCE, { 'ec2:ResourceTag/rejoin:cluster': 'orders' });
const tagged = (value: string, operator = 'StringEquals') => ({
  Condition: { [operator]: { 'ec2:ResourceTag/rejoin:cluster': value } },
});

describe('deciding over statements', () => {
  it.each<[string, readonly object[], 'allow' | 'explicitDeny' | 'implicitDeny']>([
    ['nothing allows it', [], 'implicitDeny'],
    ['a statement allows it', [allow('ec2:StopInstances', INSTANCE)], 'allow'],
    ['the action is in another case', [allow('EC2:stopinstances')], 'allow'],
    ['another resource', [allow('ec2:StopInstances', `${INSTANCE}2`)], 'implicitDeny'],
    ['the tag is right', [allow('ec2:*', '*', tagged('orders'))], 'allow'],
    ['the tag is wrong', [allow('ec2:*', '*', tagged('billing'))], 'implicitDeny'],
    ['a deny comes later', [allow('*'), deny('ec2:Stop*')], 'explicitDeny'],
    ['a deny for other tags', [allow('*'), deny('*', '*', tagged('orders', 'StringNotEquals'))], 'allow'],
    ['NotAction leaves it out', [{ Effect: 'Allow', NotAction: 'iam:*', Resource: '*' }], 'allow'],
    ['NotAction names it', [{ Effect: 'Allow', NotAction: 'ec2:*', Resource: '*' }], 'implicitDeny'],
    ['NotResource leaves it out', [{ Effect: 'Allow', Action: '*', NotResource: 'arn:aws:s3:::*' }], 'allow'],
    ['NotResource names it', [{ Effect: 'Allow', Action: '*', NotResource: `${INSTANCE}*` }], 'implicitDeny'],
    ['denied but for NotResource', [allow('*'), { Effect: 'Deny', Action: '*', NotResource: INSTANCE }], 'allow'],
  ])('%s', (_name, statements, effect) => expect(decide(policy(...statements), stop).effect).toBe(effect));

  it.each<[string, readonly object[], 'explicitDeny' | 'implicitDeny']>([
    ['an operator that nobody knows', [allow('*', '*', tagged('orders', 'StringMatches'))], 'implicitDeny'],
    ['the same in a deny', [allow('*'), deny('*', '*', tagged('x', 'StringMatches'))], 'explicitDeny'],
    [
      'a key that is not filled in',
      [allow('*', '*', { Condition: { StringNotEquals: { 'aws:SourceVpc': 'v' } } })],
      'implicitDeny',
    ],
    [
      'the same in a deny',
      [allow('*'), deny('*', '*', { Condition: { StringEquals: { 'aws:SourceVpc': 'v' } } })],
      'explicitDeny',
    ],
    ['a variable without a value', [allow('*', '${aws:PrincipalTag/home}*')], 'implicitDeny'],
    ['the same in a deny', [allow('*'), deny('*', '${aws:PrincipalTag/home}*')], 'explicitDeny'],
    ['an unresolved resource', [allow('*', ['*', new Unresolved('Ref X')])], 'implicitDeny'],
    ['the same in a deny', [allow('*'), deny('ec2:StopInstances', new Unresolved('Ref X'))], 'explicitDeny'],
    ['an unresolved action in a deny', [allow('*'), deny(new Unresolved('Ref X'))], 'explicitDeny'],
    ['both Action and NotAction', [allow('*', '*', { NotAction: 'x:*' })], 'implicitDeny'],
    ['no resource at all', [{ Effect: 'Allow', Action: '*' }], 'implicitDeny'],
    ['an Effect in lower case', [{ Effect: 'allow', Action: '*', Resource: '*' }], 'implicitDeny'],
    ['a Deny that cannot be read', [allow('*'), { Effect: 'Deny', Action: [{}] }], 'explicitDeny'],
  ])('fails closed on %s', (_name, statements, effect) =>
    expect(decide(policy(...statements), stop).effect).toBe(effect),
  );

  it('a deny that cannot be read refuses only what its actions name', () => {
    const statements = policy(allow('*'), deny('ec2:StopInstances', new Unresolved('Ref X')));
    expect(decide(statements, check('ec2:StartInstances', INSTANCE)).effect).toBe('allow');
  });

  it('says why a statement that speaks of the call did not allow it', () => {
    const decision = decide(policy(allow('ec2:*', '*', { Sid: 'Own', ...tagged('billing') })), stop);
    expect(decision).toEqual({
      effect: 'implicitDeny',
      doubts: ['p/0 (Own): condition StringEquals ec2:ResourceTag/rejoin:cluster does not hold (it is ["orders"])'],
    });
  });

  it('names every pattern that was needed', () => {
    const decision = decide(policy(allow(['ec2:Start*', 'ec2:Stop*'], ['arn:aws:s3:::b', `${INSTANCE}*`])), stop);
    expect(decision).toMatchObject({ effect: 'allow', grants: [{ actions: [1], resources: [1] }] });
  });

  const verb = fc.constantFrom('ec2:*', 'ec2:Stop*', 'ec2:StopInstances', 'sqs:*', '*');
  const where = fc.constantFrom('*', INSTANCE, 'arn:aws:ec2:*:*:instance/*', 'arn:aws:s3:::*');
  const any = fc.record({ Effect: fc.constantFrom('Allow', 'Deny'), Action: verb, Resource: where });

  it('lets a deny override any number of allows, in any order', () => {
    fc.assert(
      fc.property(fc.array(any), fc.nat(), (statements, at) => {
        const refusing: object = deny('ec2:StopInstances', INSTANCE);
        const all = (statements as object[]).toSpliced(at % (statements.length + 1), 0, refusing);
        expect(decide(policy(...all), stop).effect).toBe('explicitDeny');
      }),
    );
  });

  it('never allows more when a statement that cannot be evaluated is added', () => {
    const unclear = fc.record({
      Effect: fc.constantFrom('Allow', 'Deny'),
      Action: verb,
      Resource: where,
      Condition: fc.constant({ StringEquals: { 'aws:SourceVpce': 'v' } }),
    });
    fc.assert(
      fc.property(fc.array(any), unclear, (statements, extra) => {
        if (decide(policy(...statements), stop).effect !== 'allow') {
          expect(decide(policy(...statements, extra), stop).effect).not.toBe('allow');
        }
      }),
    );
  });
});

describe('deciding over a policy that stands on the resource', () => {
  const ROLE = 'arn:aws:iam::123456789012:role/watch';
  const caller = {
    roleArn: ROLE,
    sessionArn: 'arn:aws:sts::123456789012:assumed-role/watch/s',
    account: '123456789012',
  };
  const key = { Action: 'kms:*', Resource: '*' };
  it.each<[string, object, ReturnType<typeof decideByResource>]>([
    ['the role itself', { Effect: 'Allow', Principal: { AWS: ROLE }, ...key }, 'direct'],
    ['anyone', { Effect: 'Allow', Principal: '*', ...key }, 'direct'],
    ['the account', { Effect: 'Allow', Principal: { AWS: 'arn:aws:iam::123456789012:root' }, ...key }, 'account'],
    ['the account by number', { Effect: 'Allow', Principal: { AWS: '123456789012' }, ...key }, 'account'],
    ['another account', { Effect: 'Allow', Principal: { AWS: '210987654321' }, ...key }, 'silent'],
    ['a service', { Effect: 'Allow', Principal: { Service: 'sns.amazonaws.com' }, ...key }, 'silent'],
    ['all but someone', { Effect: 'Allow', NotPrincipal: { AWS: ROLE }, ...key }, 'silent'],
    ['a deny for all but someone', { Effect: 'Deny', NotPrincipal: { AWS: '2' }, ...key }, 'deny'],
    ['a deny for everybody', { Effect: 'Deny', Principal: '*', ...key }, 'deny'],
    ['a deny for a service', { Effect: 'Deny', Principal: { Service: 'sns.amazonaws.com' }, ...key }, 'silent'],
  ])('%s', (_name, statement, expected) => {
    expect(
      decideByResource(policy(statement), caller, check('kms:Decrypt', 'arn:aws:kms:eu-west-1:123456789012:key/k')),
    ).toBe(expected);
  });
});
