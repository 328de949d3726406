/** What a run showed of the policies: calls they refused, and grants that nothing used. */
import type { Role } from './policies.ts';
import type { Grant, Statement } from './evaluate.ts';

export interface RefusedCall {
  /** arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION of the first such call; later sessions of the role count with it. */
  readonly principal: string;
  readonly action: string;
  readonly resource: string;
  readonly count: number;
  readonly firstAtMs: number;
  readonly message: string;
  /** Statements that might have allowed it, and why they did not. */
  readonly doubts: readonly string[];
}

/** An action, or a resource, that a statement grants and that no call needed. */
export interface UnusedGrant {
  /** The same in every run. */
  readonly key: string;
  readonly role: string;
  readonly statement: string;
  readonly kind: 'action' | 'resource';
  /** As the policy writes it. For an unused resource: all actions of the statement, and the other way round. */
  readonly action: string;
  readonly resource: string;
  /** False for what AWS does itself in the role's name (network interfaces, log streams, most of what the SSM agent does), which the rehearsal does not. */
  readonly emulated: boolean;
}

export interface IamReport {
  readonly refused: readonly RefusedCall[];
  readonly unused: readonly UnusedGrant[];
  /** Policies and keys that could not be read; they grant nothing. */
  readonly problems: readonly string[];
}

/** Carried out by the Lambda service with the function's role, or by parts of the SSM agent that the rehearsal has not. */
const BY_AWS = /^(logs:|xray:|ssmmessages:|ec2messages:|ec2:.*(NetworkInterface|PrivateIpAddresses|DescribeSubnets))/;
/** The agent's own policy, AWS's to narrow and not ours. */
const AGENT_POLICY = /\/AmazonSSMManagedInstanceCore\/\d+$/;

/** Counts refusals of one run. */
export class Refusals {
  private readonly found = new Map<string, RefusedCall>();

  add(call: Omit<RefusedCall, 'count'>, roleArn: string): void {
    const key = [roleArn, call.action, call.resource].join(' ');
    const before = this.found.get(key);
    this.found.set(key, before === undefined ? { ...call, count: 1 } : { ...before, count: before.count + 1 });
  }

  list(): readonly RefusedCall[] {
    return [...this.found.values()].sort((a, b) => a.firstAtMs - b.firstAtMs);
  }
}

interface Use {
  readonly actions: Set<number>;
  readonly resources: Set<number>;
}

/** Remembers what of each statement was needed. Every statement that would have allowed a call counts as used. */
export class Usage {
  private readonly used = new Map<string, Use>();

  mark(grants: readonly Grant[]): void {
    for (const { statement, actions, resources } of grants) {
      let use = this.used.get(statement.id);
      if (use === undefined) this.used.set(statement.id, (use = { actions: new Set(), resources: new Set() }));
      for (const i of actions) use.actions.add(i);
      for (const i of resources) use.resources.add(i);
    }
  }

  unused(roles: readonly Role[]): UnusedGrant[] {
    return roles.flatMap((role) =>
      role.statements
        .filter((statement) => statement.effect === 'Allow' && statement.problem === null)
        .flatMap((statement) => this.unusedOf(role, statement)),
    );
  }

  private unusedOf(role: Role, statement: Statement): UnusedGrant[] {
    const use = this.used.get(statement.id);
    const prefix = (except: boolean, sources: readonly { readonly source: string }[]): string =>
      `${except ? 'all but ' : ''}${sources.map((p) => p.source).join(', ')}`;
    const actions = prefix(statement.exceptActions, statement.actions);
    const resources = prefix(statement.exceptResources, statement.resources);
    const entry = (kind: 'action' | 'resource', mark: string, action: string, resource: string): UnusedGrant => ({
      key: `${statement.id}#${kind}:${mark}`,
      role: role.id,
      statement: statement.label,
      kind,
      action,
      resource,
      emulated: !AGENT_POLICY.test(statement.id) && !action.split(', ').every((a) => BY_AWS.test(a)),
    });
    const byAction = statement.exceptActions
      ? use === undefined
        ? [entry('action', 'except', actions, resources)]
        : []
      : statement.actions.flatMap((a, i) =>
          use?.actions.has(i) === true ? [] : [entry('action', a.source, a.source, resources)],
        );
    // A single resource is unused exactly when all actions are.
    const byResource =
      statement.exceptResources || statement.resources.length < 2
        ? []
        : statement.resources.flatMap((r, i) =>
            use?.resources.has(i) === true ? [] : [entry('resource', String(i), actions, r.source)],
          );
    return [...byAction, ...byResource];
  }
}

function isUnusedGrant(value: unknown): value is UnusedGrant {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as UnusedGrant).key === 'string' &&
    typeof (value as UnusedGrant).action === 'string'
  );
}

/**
 * What none of several runs used: the intersection of their `unused`. Takes them as read back from report files; throws
 * on an entry that is none.
 */
export function mergeUnused(runs: readonly (readonly unknown[])[]): UnusedGrant[] {
  const checked = runs.map((run) =>
    run.map((entry) => {
      if (isUnusedGrant(entry)) return entry;
      throw new Error(
        `iam.unused holds ${JSON.stringify(entry)}, expected an entry with key and action; write the report again`,
      );
    }),
  );
  const [first = [], ...others] = checked;
  const keys = others.map((run) => new Set(run.map((entry) => entry.key)));
  return first.filter((entry) => keys.every((set) => set.has(entry.key)));
}
