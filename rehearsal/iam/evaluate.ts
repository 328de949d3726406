/**
 * IAM's evaluation of one action on one resource, as pure functions of values.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
 */
import type { Condition } from './conditions.ts';
import type { Context } from './context.ts';
import { variablesOf } from './context.ts';
import type { Truth } from './truth.ts';
import { every, not, some } from './truth.ts';
import type { Pattern } from './wildcard.ts';

/** A statement of a policy, compiled by `statements.ts`. */
export interface Statement {
  /** The same in every run: by logical ids and positions, not by physical names. */
  readonly id: string;
  /** For people: the Sid, or the place in the policy. */
  readonly label: string;
  readonly effect: 'Allow' | 'Deny';
  readonly actions: readonly Pattern[];
  readonly exceptActions: boolean;
  readonly resources: readonly Pattern[];
  readonly exceptResources: boolean;
  readonly conditions: readonly Condition[];
  /** Only in resource policies. */
  readonly principal: Principal | null;
  /** Why the statement could not be read; it then grants nothing, and refuses whatever its actions name. */
  readonly problem: string | null;
}

export type Principal =
  | { readonly kind: 'anyone' }
  | { readonly kind: 'aws'; readonly names: readonly string[] }
  /** Services and federations only: none of our callers. */
  | { readonly kind: 'others' }
  /** NotPrincipal and forms that the rehearsal does not know. */
  | { readonly kind: 'unclear' };

export interface Check {
  /** `ec2:StopInstances`. */
  readonly action: string;
  /** An ARN, or `*` for an action without finer resources. */
  readonly resource: string;
  readonly context: Context;
}

/** What an Allow statement contributed: positions of the patterns that matched; null for NotAction and NotResource. */
export interface Grant {
  readonly statement: Statement;
  readonly actions: readonly number[];
  readonly resources: readonly number[];
}

export type Decision =
  | { readonly effect: 'allow'; readonly grants: readonly Grant[] }
  | { readonly effect: 'explicitDeny'; readonly statement: Statement }
  /** `doubts`: statements that might have granted it, and what could not be evaluated. */
  | { readonly effect: 'implicitDeny'; readonly doubts: readonly string[] };

const actionApplies = (statement: Statement, check: Check): Truth => {
  const named = some(statement.actions, (action) => action.matches(check.action, () => undefined));
  return statement.exceptActions ? not(named) : named;
};

function resourceApplies(statement: Statement, check: Check): Truth {
  const variables = variablesOf(check.context);
  const named = some(statement.resources, (resource) => resource.matches(check.resource, variables));
  return statement.exceptResources ? not(named) : named;
}

const positions = (patterns: readonly Pattern[], text: string, check: Check): number[] =>
  patterns.flatMap((p, i) => (p.matches(text, variablesOf(check.context)) === true ? [i] : []));

/** Decides over the statements that concern this caller. An explicit Deny wins; without an Allow the answer is no. */
export function decide(statements: readonly Statement[], check: Check): Decision {
  const grants: Grant[] = [];
  const doubts: string[] = [];
  for (const statement of statements) {
    if (actionApplies(statement, check) === false) continue;
    if (statement.effect === 'Deny') {
      // What cannot be evaluated refuses.
      const applies =
        statement.problem !== null
          ? undefined
          : every([resourceApplies, conditionsHold], (part) => part(statement, check));
      if (applies !== false) return { effect: 'explicitDeny', statement };
      continue;
    }
    if (statement.problem !== null) {
      doubts.push(`${statement.label}: ${statement.problem}`);
      continue;
    }
    const there = resourceApplies(statement, check);
    if (there === false) continue;
    const holds = conditionsHold(statement, check);
    if (there === true && holds === true) {
      grants.push({
        statement,
        actions: positions(statement.actions, check.action, check),
        resources: positions(statement.resources, check.resource, check),
      });
    } else doubts.push(doubt(statement, check, there));
  }
  return grants.length > 0 ? { effect: 'allow', grants } : { effect: 'implicitDeny', doubts };
}

const conditionsHold = (statement: Statement, check: Check): Truth =>
  every(statement.conditions, (condition) => condition.test(check.context));

function doubt(statement: Statement, check: Check, resource: Truth): string {
  if (resource === undefined) return `${statement.label}: its resource has a policy variable without a value`;
  const failing = statement.conditions.map((condition) => {
    const truth = condition.test(check.context);
    const actual = check.context.values.get(condition.key);
    const seen = actual === undefined ? 'absent' : JSON.stringify(actual);
    if (truth === true) return [];
    return truth === false
      ? [`condition ${condition.label} does not hold (it is ${seen})`]
      : [`condition ${condition.label} cannot be evaluated in the rehearsal (it is ${seen})`];
  });
  return `${statement.label}: ${failing.flat().join(', ')}`;
}

/** Who calls, as principals name it. */
export interface Caller {
  readonly roleArn: string;
  /** arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION */
  readonly sessionArn: string;
  readonly account: string;
}

/**
 * `direct`: the policy speaks of this caller. `account`: it speaks of the whole account, which only lets the account's own
 * policies decide. https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
 */
export function concerns(statement: Statement, caller: Caller): 'direct' | 'account' | 'no' | 'unclear' {
  const principal = statement.principal;
  if (principal === null) return 'unclear';
  switch (principal.kind) {
    case 'anyone':
      return 'direct';
    case 'others':
      return 'no';
    case 'unclear':
      return 'unclear';
    case 'aws': {
      if (principal.names.some((n) => n === '*' || n === caller.roleArn || n === caller.sessionArn)) return 'direct';
      const root = new RegExp(`^(${caller.account}|arn:[a-z-]+:iam::${caller.account}:root)$`);
      return principal.names.some((n) => root.test(n)) ? 'account' : 'no';
    }
    default: {
      const never: never = principal;
      throw new Error(`a principal of kind ${JSON.stringify(never)}, expected anyone, aws, others or unclear`);
    }
  }
}

/** A policy on the resource: its refusals, and whether its grants are to the caller or to the caller's whole account. */
export function decideByResource(
  statements: readonly Statement[],
  caller: Caller,
  check: Check,
): 'deny' | 'direct' | 'account' | 'silent' {
  let result: 'direct' | 'account' | 'silent' = 'silent';
  for (const statement of statements) {
    const who = concerns(statement, caller);
    if (who === 'no' || (who === 'unclear' && statement.effect === 'Allow')) continue;
    const decision = decide([statement], check);
    if (decision.effect === 'explicitDeny') return 'deny';
    if (decision.effect === 'allow' && result !== 'direct') result = who === 'direct' ? 'direct' : 'account';
  }
  return result;
}
