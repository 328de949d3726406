/**
 * Condition operators. Sources, AWS IAM User Guide: reference_policies_elements_condition_operators.html,
 * reference_policies_condition-single-vs-multi-valued-context-keys.html, reference_policies_multi-value-conditions.html.
 */
import { BlockList, isIP } from 'node:net';
import type { Context } from './context.ts';
import { knows, variablesOf } from './context.ts';
import type { Truth } from './truth.ts';
import { every, not, some } from './truth.ts';
import type { Variables } from './wildcard.ts';
import { pattern } from './wildcard.ts';

export interface Condition {
  /** As written, for messages: `StringEquals ec2:ResourceTag/x`. */
  readonly label: string;
  /** Lower case. */
  readonly key: string;
  test(context: Context): Truth;
}

/** Compares one value of the request with one of the policy; undefined when either cannot be read as the operator's type. */
type Matcher = (actual: string, variables: Variables) => Truth;
type Compile = (expected: string, variables: boolean) => Matcher;

const strings =
  (options: { readonly glob: boolean; readonly caseless?: boolean }): Compile =>
  (expected, variables) => {
    const compiled = pattern(expected, { ...options, reach: 'wide', variables });
    return (actual, values) => compiled.matches(actual, values);
  };

const compared =
  (read: (text: string) => number, holds: (actual: number, expected: number) => boolean): Compile =>
  (expected) => {
    const wanted = read(expected);
    return (text) => {
      const actual = read(text);
      return Number.isNaN(actual) || Number.isNaN(wanted) ? undefined : holds(actual, wanted);
    };
  };

const number = (text: string): number => (text.trim() === '' ? Number.NaN : Number(text));
/** ISO 8601, or seconds since 1970. */
const date = (text: string): number => (/^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text));

/** Splits into ARN's six parts; the sixth may hold colons. */
function arnParts(arn: string): string[] {
  const parts = arn.split(':');
  return parts.length <= 6 ? parts : [...parts.slice(0, 5), parts.slice(5).join(':')];
}

/** "Each of the six colon-delimited components of the ARN is checked separately and each can include * or ?". */
const arns: Compile = (expected, variables) => {
  const wanted = arnParts(expected).map((part) => pattern(part, { reach: 'wide', variables }));
  return (actual, values) => {
    const parts = arnParts(actual);
    // A variable with a whole ARN as its value would be split wrongly: not known, rather than a mismatch.
    if (parts.length !== 6 || wanted.length !== 6) return undefined;
    return every(wanted.entries(), ([i, part]) => part.matches(parts[i]!, values));
  };
};

const bool: Compile = (expected) => (actual) =>
  /^(true|false)$/i.test(actual) && /^(true|false)$/i.test(expected)
    ? actual.toLowerCase() === expected.toLowerCase()
    : undefined;

const ip: Compile = (expected) => {
  const [address = '', bits] = expected.split('/');
  const version = isIP(address);
  const length = bits === undefined ? (version === 4 ? 32 : 128) : Number(bits);
  const valid = version !== 0 && Number.isInteger(length) && length >= 0 && length <= (version === 4 ? 32 : 128);
  if (!valid) return () => undefined;
  const family = version === 4 ? 'ipv4' : 'ipv6';
  const range = new BlockList();
  range.addSubnet(address, length, family);
  return (actual) => (isIP(actual) === 0 ? undefined : isIP(actual) === version && range.check(actual, family));
};

const equal = strings({ glob: false });
const like = strings({ glob: true });
const caselessly = strings({ glob: false, caseless: true });

/** By operator: how it matches, and whether it asks for the opposite. */
const OPERATORS: Readonly<Record<string, { readonly compile: Compile; readonly negated?: true }>> = {
  StringEquals: { compile: equal },
  StringNotEquals: { compile: equal, negated: true },
  StringEqualsIgnoreCase: { compile: caselessly },
  StringNotEqualsIgnoreCase: { compile: caselessly, negated: true },
  StringLike: { compile: like },
  StringNotLike: { compile: like, negated: true },
  NumericEquals: { compile: compared(number, (a, b) => a === b) },
  NumericNotEquals: { compile: compared(number, (a, b) => a === b), negated: true },
  NumericLessThan: { compile: compared(number, (a, b) => a < b) },
  NumericLessThanEquals: { compile: compared(number, (a, b) => a <= b) },
  NumericGreaterThan: { compile: compared(number, (a, b) => a > b) },
  NumericGreaterThanEquals: { compile: compared(number, (a, b) => a >= b) },
  DateEquals: { compile: compared(date, (a, b) => a === b) },
  DateNotEquals: { compile: compared(date, (a, b) => a === b), negated: true },
  DateLessThan: { compile: compared(date, (a, b) => a < b) },
  DateLessThanEquals: { compile: compared(date, (a, b) => a <= b) },
  DateGreaterThan: { compile: compared(date, (a, b) => a > b) },
  DateGreaterThanEquals: { compile: compared(date, (a, b) => a >= b) },
  Bool: { compile: bool },
  BinaryEquals: { compile: (expected) => (actual) => actual === expected },
  IpAddress: { compile: ip },
  NotIpAddress: { compile: ip, negated: true },
  ArnEquals: { compile: arns },
  ArnLike: { compile: arns },
  ArnNotEquals: { compile: arns, negated: true },
  ArnNotLike: { compile: arns, negated: true },
};

const OPERATOR = /^(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?$/;

/**
 * Compiles one key of a Condition block. An operator that IAM does not have, and one that the rehearsal does not know,
 * are the same here: the test answers undefined.
 */
export function condition(operator: string, key: string, expected: readonly string[], variables: boolean): Condition {
  const label = `${operator} ${key}`;
  const name = key.toLowerCase();
  const [, set, base, ifExists] = OPERATOR.exec(operator) ?? [];
  if (base === 'Null' && set === undefined && ifExists === undefined)
    return { label, key: name, test: absence(name, expected) };
  const known = base === undefined ? undefined : OPERATORS[base];
  if (known === undefined || expected.length === 0) return { label, key: name, test: () => undefined };
  const matchers = expected.map((value) => known.compile(value, variables));
  const holds = (actual: string, values: Variables): Truth => {
    const any = some(matchers, (matches) => matches(actual, values));
    return known.negated === true ? not(any) : any;
  };
  return {
    label,
    key: name,
    test(context) {
      if (!knows(context, name)) return undefined;
      const actual = context.values.get(name) ?? [];
      if (actual.length === 0) return whenMissing(set, ifExists !== undefined, known.negated === true);
      const values = variablesOf(context);
      if (set === 'ForAllValues') return every(actual, (value) => holds(value, values));
      if (set === 'ForAnyValue') return some(actual, (value) => holds(value, values));
      // AWS says not to do this and does not say what happens.
      return actual.length === 1 ? holds(actual[0]!, values) : undefined;
    },
  };
}

function whenMissing(set: string | undefined, ifExists: boolean, negated: boolean): Truth {
  if (set === 'ForAllValues') return true;
  // What IfExists does to ForAnyValue is not documented.
  if (set === 'ForAnyValue') return ifExists ? undefined : false;
  return ifExists || negated;
}

/** `"Null": {key: "true"}` asks that the key be missing. */
function absence(key: string, expected: readonly string[]): (context: Context) => Truth {
  const wanted = expected.map((value) => value.toLowerCase());
  if (wanted.length === 0 || wanted.some((value) => value !== 'true' && value !== 'false')) return () => undefined;
  return (context) => {
    if (!knows(context, key)) return undefined;
    const missing = (context.values.get(key) ?? []).length === 0;
    return wanted.includes(String(missing));
  };
}
