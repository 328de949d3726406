import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pattern } from '../../../rehearsal/iam/wildcard.ts';
import type { PatternOptions } from '../../../rehearsal/iam/wildcard.ts';

const matches = (source: string, text: string, options: PatternOptions = {}, values: Record<string, string> = {}) =>
  pattern(source, options).matches(text, (name) => values[name]);

const QUEUE = 'arn:aws:sqs:eu-west-1:123456789012:rejoin-signals';

describe('a pattern of a policy', () => {
  it.each<[string, string, boolean]>([
    ['*', QUEUE, true],
    ['arn:aws:sqs:*:*:*', QUEUE, true],
    ['arn:aws:sqs:*', QUEUE, true], // a last * of a segment goes beyond the colon
    ['arn:aws:sqs:eu-*:123456789012:rejoin-?ignals', QUEUE, true],
    ['arn:aws:sqs:eu-west-1:123456789012:rejoin-signal?', `${QUEUE}x`, false],
    ['arn:aws:sqs:eu-west-1:123456789012:Rejoin-*', QUEUE, false], // resources are case-sensitive
    ['arn:aws:sqs:eu-west-1:123456789012:rejoin', QUEUE, false],
    [
      'arn:aws:logs:*:*:log-group:/aws/lambda/*:*',
      'arn:aws:logs:eu-west-1:1:log-group:/aws/lambda/a:log-stream:b',
      true,
    ],
    ['arn:aws:ec2:*:*:instance/*', '*', false], // an action without finer resources needs "*" itself
    ['arn:aws:s3:::b/(a|c)+', 'arn:aws:s3:::b/a', false], // no regular expressions
  ])('%s against %s: %s', (source, text, expected) => expect(matches(source, text)).toBe(expected));

  it('reads a wildcard inside a segment narrowly where it grants and widely where it refuses', () => {
    const source = 'arn:aws:sqs:eu*rejoin';
    const text = 'arn:aws:sqs:eu-west-1:123456789012:rejoin';
    expect(matches(source, text, { reach: 'narrow' })).toBe(false);
    expect(matches(source, text, { reach: 'wide' })).toBe(true);
  });

  it('compares actions without regard to case', () => {
    expect(matches('EC2:describe*', 'ec2:DescribeInstances', { caseless: true })).toBe(true);
  });

  it('takes wildcards as themselves in an equality', () => {
    expect(matches('a*', 'ab', { glob: false })).toBe(false);
    expect(matches('a*', 'a*', { glob: false })).toBe(true);
  });

  it('fills in policy variables, and says neither yes nor no without a value', () => {
    const options = { variables: true };
    expect(
      matches('arn:aws:s3:::b/${aws:username}/*', 'arn:aws:s3:::b/ann/x', options, { 'aws:username': 'ann' }),
    ).toBe(true);
    expect(matches('arn:aws:s3:::b/${aws:username}/*', 'arn:aws:s3:::b/ann/x', options)).toBeUndefined();
    expect(matches("b/${aws:username, 'team'}", 'b/team', options)).toBe(true);
    expect(matches('b/${*}', 'b/x', options)).toBe(false);
    expect(matches('b/${*}', 'b/*', options)).toBe(true);
    expect(matches('b/${aws:username}', 'b/ann', options, { 'aws:username': '*' })).toBe(false); // a value is no pattern
  });

  it('leaves variables alone in policies of the old version', () => {
    expect(matches('b/${aws:username}', 'b/${aws:username}', { variables: false })).toBe(true);
  });

  const plain = fc.string({ unit: fc.constantFrom('a', 'b', ':', '/', '.', '-') });

  it('matches itself, and everything that a * or ? was put in the place of', () => {
    fc.assert(
      fc.property(plain, plain, plain, (head, middle, tail) => {
        const wide: PatternOptions = { reach: 'wide' };
        expect(matches(head + middle + tail, head + middle + tail)).toBe(true);
        expect(matches(`${head}*${tail}`, head + middle + tail, wide)).toBe(true);
        expect(matches(`${head}${'?'.repeat(middle.length)}${tail}`, head + middle + tail, wide)).toBe(true);
      }),
    );
  });

  it('never matches narrowly what it would not match widely', () => {
    const source = fc.string({ unit: fc.constantFrom('a', 'b', ':', '*', '?') });
    fc.assert(
      fc.property(source, plain, (s, text) => {
        if (matches(s, text) === true) expect(matches(s, text, { reach: 'wide' })).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it('agrees with a naive matcher', () => {
    const naive = (p: string, t: string): boolean =>
      p === ''
        ? t === ''
        : p[0] === '*'
          ? naive(p.slice(1), t) || (t !== '' && naive(p, t.slice(1)))
          : t !== '' && (p[0] === '?' || p[0] === t[0]) && naive(p.slice(1), t.slice(1));
    const source = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 8 });
    const text = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 8 });
    fc.assert(
      fc.property(source, text, (p, t) => {
        expect(matches(p, t, { reach: 'wide' })).toBe(naive(p, t));
      }),
      { numRuns: 2000 },
    );
  });
});
