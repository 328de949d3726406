import { describe, expect, it } from 'vitest';
import { condition } from '../../../rehearsal/iam/conditions.ts';
import { context } from '../../../rehearsal/iam/context.ts';

type Row = readonly [
  operator: string,
  expected: readonly string[],
  actual: string | readonly string[] | undefined,
  holds: boolean | undefined,
];

const test = (operator: string, expected: readonly string[], actual: Row[2]) =>
  condition(operator, 'ec2:ResourceTag/Team', expected, true).test(context({ 'ec2:resourcetag/team': actual }));

// By the rules of reference_policies_elements_condition_operators.html; undefined is "cannot be evaluated".
describe('a condition', () => {
  it.each<Row>([
    ['StringEquals', ['a', 'b'], 'b', true], // several values are an OR
    ['StringEquals', ['a'], 'A', false],
    ['StringEquals', ['a*'], 'ab', false],
    ['StringNotEquals', ['a', 'b'], 'b', false], // and a NOR when negated
    ['StringNotEquals', ['a', 'b'], 'c', true],
    ['StringEqualsIgnoreCase', ['A'], 'a', true],
    ['StringNotEqualsIgnoreCase', ['A'], 'a', false],
    ['StringLike', ['or*', 'x'], 'orders', true],
    ['StringLike', ['order?'], 'orders', true],
    ['StringNotLike', ['or*'], 'orders', false],
    ['NumericLessThan', ['10'], '9', true],
    ['NumericLessThanEquals', ['10'], '10', true],
    ['NumericGreaterThan', ['10'], '9', false],
    ['NumericGreaterThanEquals', ['10'], '10.5', true],
    ['NumericEquals', ['10'], '10.0', true],
    ['NumericNotEquals', ['10'], '11', true],
    ['NumericEquals', ['10'], 'ten', undefined],
    ['DateLessThan', ['2026-01-01T00:00:00Z'], '2025-12-31T23:59:59Z', true],
    ['DateGreaterThan', ['1767225600'], '2026-01-01T00:00:01Z', true],
    ['DateEquals', ['2026-01-01'], 'yesterday', undefined],
    ['Bool', ['true'], 'True', true],
    ['Bool', ['false'], 'true', false],
    ['Bool', ['yes'], 'true', undefined],
    ['BinaryEquals', ['QmluYXJ5'], 'QmluYXJ5', true],
    ['IpAddress', ['203.0.113.0/24', '10.0.0.1'], '203.0.113.9', true],
    ['IpAddress', ['203.0.113.0/24'], '203.0.114.9', false],
    ['NotIpAddress', ['203.0.113.0/24'], '203.0.113.9', false],
    ['IpAddress', ['2001:db8::/32'], '2001:db8::1', true],
    ['IpAddress', ['203.0.113.0/99'], '203.0.113.9', undefined],
    ['ArnEquals', ['arn:aws:iam::123456789012:role/*'], 'arn:aws:iam::123456789012:role/a', true], // as ArnLike
    ['ArnLike', ['arn:aws:*:*:*:role/a'], 'arn:aws:iam::123456789012:role/a', true],
    ['ArnLike', ['arn:aws:*:role/a'], 'arn:aws:iam::123456789012:role/a', undefined], // each of six parts is compared
    ['ArnNotLike', ['arn:aws:iam::*:role/a'], 'arn:aws:iam::123456789012:role/a', false],
    ['Null', ['true'], undefined, true],
    ['Null', ['true'], 'a', false],
    ['Null', ['false'], 'a', true],
    ['StringEquals', ['a'], undefined, false],
    ['StringNotEquals', ['a'], undefined, true], // a negated operator holds for a missing key
    ['ArnNotLike', ['arn:aws:iam::*:role/a'], undefined, true],
    ['NotIpAddress', ['10.0.0.0/8'], undefined, true],
    ['StringEqualsIfExists', ['a'], undefined, true],
    ['StringEqualsIfExists', ['a'], 'b', false],
    ['BoolIfExists', ['true'], undefined, true],
    ['NullIfExists', ['true'], undefined, undefined],
    ['ForAllValues:StringEquals', ['a', 'b'], ['a', 'b'], true],
    ['ForAllValues:StringEquals', ['a', 'b'], ['a', 'c'], false],
    ['ForAllValues:StringEquals', ['a'], undefined, true],
    ['ForAllValues:StringNotEquals', ['a'], ['b', 'a'], false],
    ['ForAnyValue:StringEquals', ['a'], ['b', 'a'], true],
    ['ForAnyValue:StringLike', ['x*'], ['b', 'a'], false],
    ['ForAnyValue:StringEquals', ['a'], undefined, false],
    ['ForAnyValue:StringNotEquals', ['a'], ['b', 'a'], true], // one value that differs is enough
    ['ForAnyValue:StringNotEquals', ['a'], undefined, false],
    ['ForAnyValue:StringEqualsIfExists', ['a'], undefined, undefined],
    ['StringEquals', ['a'], ['a', 'b'], undefined], // many values without a set operator
    ['StringMatches', ['a'], 'a', undefined], // no such operator
    ['ForSomeValues:StringEquals', ['a'], 'a', undefined],
    ['StringEquals', [], 'a', undefined],
  ])('%s %j for %j: %s', (operator, expected, actual, holds) => expect(test(operator, expected, actual)).toBe(holds));

  it('cannot be evaluated on a key that the rehearsal does not fill in', () => {
    const source = condition('StringNotEquals', 'aws:SourceVpce', ['vpce-1'], true);
    expect(source.test(context({}))).toBeUndefined();
    expect(condition('Null', 'aws:SourceVpce', ['true'], true).test(context({}))).toBeUndefined();
  });

  it('knows a tag to be absent when all tags are known', () => {
    const tag = condition('StringNotEquals', 'aws:ResourceTag/other', ['a'], true);
    expect(tag.test(context({}, ['aws:ResourceTag/']))).toBe(true);
  });

  it('fills policy variables into values', () => {
    const team = condition('StringEquals', 'aws:ResourceTag/team', ['${aws:PrincipalTag/team}'], true);
    expect(team.test(context({ 'aws:ResourceTag/team': 'db', 'aws:PrincipalTag/team': 'db' }))).toBe(true);
    expect(team.test(context({ 'aws:ResourceTag/team': 'db' }))).toBeUndefined();
  });
});
