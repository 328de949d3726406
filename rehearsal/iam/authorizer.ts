/**
 * Stands at the gateway as IAM stands at AWS: tells by the access key whose role calls, and lets the call through only
 * when that role's deployed policies allow every permission it needs. Whatever cannot be evaluated is refused.
 */
import type { Authorization, Authorizer, AwsRequest } from '../cloud/contract.ts';
import { needsOf } from './actions.ts';
import { CannotTell, need } from './actions/need.ts';
import type { Need, Place } from './actions/need.ts';
import { context, merge } from './context.ts';
import { decide, decideByResource } from './evaluate.ts';
import type { Check, Grant, Statement } from './evaluate.ts';
import type { Facts } from './facts.ts';
import { NO_POLICIES, combine, keyArn } from './policies.ts';
import type { Policies } from './policies.ts';
import { Refusals, Usage } from './report.ts';
import type { IamReport } from './report.ts';
import { Sessions } from './sessions.ts';
import type { RoleCredentials, Session } from './sessions.ts';
import { Unresolved } from './statements.ts';

export interface Iam extends Authorizer {
  /**
   * Credentials as STS gives to a service that assumes the role; each pair has its own key, so that calls can be told apart.
   * Throws when the role is not known, or when its trust policy does not name `service` (such as `lambda.amazonaws.com`).
   */
  credentialsFor(roleArn: string, sessionName: string, service?: string): RoleCredentials;
  /** Adds what became known; a role known already is replaced. */
  know(policies: Policies): void;
  report(): IamReport;
}

export interface IamOptions {
  readonly place: Place;
  readonly policies?: Policies;
  readonly facts: Facts;
  /** Not refused and not counted: the platform team and the rehearsal itself. */
  readonly adminKeys?: readonly string[];
  /** moto's Step Functions engine signs with this and the state machine's name. */
  readonly engineKeyPrefix?: string;
  readonly nowMs?: () => number;
}

/** Calls that may change tags or attachments. */
const CHANGES_FACTS = /^(Create|Delete|Add|Remove|Attach|Detach|Run|Terminate|Modify)/;

export function createIam(options: IamOptions): Iam {
  return new Enforcement(options);
}

interface Refusal {
  readonly action: string;
  readonly resource: string;
  readonly message: string;
  readonly doubts: readonly string[];
}

class Enforcement implements Iam {
  private readonly options: IamOptions;
  private readonly sessions: Sessions;
  private policies: Policies;
  private readonly refusals = new Refusals();
  private readonly usage = new Usage();
  private readonly byAction = new Map<string, readonly Statement[]>();
  private readonly nowMs: () => number;

  constructor(options: IamOptions) {
    this.options = options;
    this.policies = options.policies ?? NO_POLICIES;
    this.sessions = new Sessions(options.place, () => this.policies, options.engineKeyPrefix);
    this.nowMs = options.nowMs ?? Date.now;
  }

  credentialsFor(roleArn: string, sessionName: string, service?: string): RoleCredentials {
    return this.sessions.issue(roleArn, sessionName, service);
  }

  know(policies: Policies): void {
    const news = new Set(policies.roles.map((role) => role.arn));
    const kept = { ...this.policies, roles: this.policies.roles.filter((role) => !news.has(role.arn)) };
    this.policies = combine(kept, policies);
    this.byAction.clear();
  }

  async authorize(request: AwsRequest): Promise<Authorization> {
    const key = request.accessKeyId;
    if (key !== null && (this.options.adminKeys ?? ['REJOINADMIN']).includes(key))
      return { allowed: true, principal: key };
    const session = key === null ? undefined : this.sessions.of(key);
    if (session === undefined) return this.stranger(request);
    const refusal = await this.examine(session, request);
    if (refusal === null) {
      if (CHANGES_FACTS.test(request.operation)) this.options.facts.forget();
      return { allowed: true, principal: session.sessionArn };
    }
    this.refusals.add({ ...refusal, principal: session.sessionArn, firstAtMs: this.nowMs() }, session.roleArn);
    const { action, resource, message } = refusal;
    return { allowed: false, principal: session.sessionArn, action, resource, message };
  }

  report(): IamReport {
    const { roles, problems } = this.policies;
    return { refused: this.refusals.list(), unused: this.usage.unused(roles), problems };
  }

  private stranger(request: AwsRequest): Authorization {
    const principal = request.accessKeyId ?? 'anonymous';
    const action = `${request.service}:${request.operation}`;
    const message =
      request.accessKeyId === null
        ? 'Request is missing Authentication Token'
        : `The security token included in the request is invalid: the rehearsal gave out no access key ${principal}`;
    this.refusals.add({ principal, action, resource: '*', message, doubts: [], firstAtMs: this.nowMs() }, principal);
    return { allowed: false, principal, action, resource: '*', message };
  }

  private async examine(session: Session, request: AwsRequest): Promise<Refusal | null> {
    const granted: Grant[] = [];
    try {
      for (const one of await needsOf(request, this.options.place, this.options.facts)) {
        for (const part of [one, ...this.keyNeeds(one, request.service)]) {
          const outcome = await this.decideOne(session, part, request.service);
          if ('message' in outcome) return outcome;
          granted.push(...outcome.grants);
        }
      }
    } catch (error) {
      if (!(error instanceof CannotTell)) throw error;
      const action = `${request.service}:${request.operation}`;
      return { action, resource: '*', doubts: [error.message], message: refused(session, action, '*', error.message) };
    }
    // Only now: grants of a call that was refused halfway were not used.
    this.usage.mark(granted);
    return null;
  }

  /** Encrypted with a customer-managed key: the caller needs the key too, through the service. */
  private keyNeeds({ keyOf }: Need, service: string): readonly Need[] {
    if (keyOf === null) return [];
    const { place } = this.options;
    const key =
      keyOf.keyId === undefined
        ? this.policies.keys.get(keyOf.arn)
        : keyOf.keyId === null
          ? null
          : keyArn(keyOf.keyId, place, () => undefined);
    if (key === undefined || key === null) return [];
    if (key instanceof Unresolved)
      throw new CannotTell(`${keyOf.arn} is encrypted with a key that cannot be told: ${key.reason}`);
    const via = context({
      'kms:ViaService': `${service}.${place.region}.amazonaws.com`,
      'kms:CallerAccount': place.account,
      // With a bucket key the bucket itself is what S3 encrypts for.
      ...(service === 's3' && { 'kms:EncryptionContext:aws:s3:arn': keyOf.arn }),
    });
    return keyOf.actions.map((action) => need(action, key, { context: via }));
  }

  private async decideOne(
    session: Session,
    one: Need,
    service: string,
  ): Promise<Refusal | { readonly grants: readonly Grant[] }> {
    const { role } = session;
    const { action, resource } = one;
    const concerned = this.statementsFor(role.id, role.statements, action);
    const onResource =
      this.policies.onResources.get(resource) ?? this.policies.onResources.get(bucketOf(resource)) ?? [];
    const lazy =
      one.lazy !== null && asksFor([...concerned, ...onResource], one.lazy.prefixes) ? await one.lazy.read() : null;
    const check: Check = {
      action,
      resource,
      context: merge(this.globals(session, service, resource), one.context, ...(lazy === null ? [] : [lazy])),
    };

    const byIdentity = decide(concerned, check);
    if (byIdentity.effect === 'explicitDeny')
      return this.refusal(session, check, 'with an explicit deny in an identity-based policy', [
        byIdentity.statement.label,
      ]);
    const byResource = decideByResource(onResource, session, check);
    if (byResource === 'deny')
      return this.refusal(session, check, 'with an explicit deny in a resource-based policy', []);
    if (role.boundary !== null && decide(role.boundary, check).effect !== 'allow') {
      return this.refusal(session, check, `because no permissions boundary allows the ${action} action`, []);
    }
    if (byIdentity.effect === 'implicitDeny' && byResource !== 'direct') {
      return this.refusal(
        session,
        check,
        `because no identity-based policy allows the ${action} action`,
        byIdentity.doubts,
      );
    }
    // A key answers to its key policy alone; identity policies count only where that policy lets the account decide.
    if (action.startsWith('kms:') && onResource.length > 0 && byResource === 'silent') {
      return this.refusal(session, check, `because no resource-based policy allows the ${action} action`, []);
    }
    return { grants: byIdentity.effect === 'allow' ? byIdentity.grants : [] };
  }

  private refusal(session: Session, check: Check, because: string, doubts: readonly string[]): Refusal {
    const { action, resource } = check;
    return { action, resource, doubts, message: refused(session, action, resource, because) };
  }

  /** Statements that speak of the action at all: few, and the same ones at every call. */
  private statementsFor(id: string, statements: readonly Statement[], action: string): readonly Statement[] {
    const key = `${id} ${action}`;
    let found = this.byAction.get(key);
    if (found === undefined) {
      found = statements.filter(
        (s) => s.actions.some((a) => a.matches(action, () => undefined) === true) !== s.exceptActions,
      );
      this.byAction.set(key, found);
    }
    return found;
  }

  /** Keys of every request. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html */
  private globals(session: Session, service: string, resource: string): Check['context'] {
    const owner = resource.split(':')[4];
    return context({
      'aws:PrincipalArn': session.roleArn,
      'aws:PrincipalAccount': session.account,
      'aws:PrincipalType': 'AssumedRole',
      'aws:PrincipalIsAWSService': 'false',
      'aws:RequestedRegion': service === 'route53' || service === 'iam' ? 'us-east-1' : this.options.place.region,
      // The SDK speaks TLS to AWS; that it does not to the rehearsal's gateway is the rehearsal's own doing.
      'aws:SecureTransport': 'true',
      'aws:ViaAWSService': 'false',
      'aws:CalledVia': undefined,
      'aws:MultiFactorAuthPresent': undefined,
      'aws:username': undefined,
      'aws:CurrentTime': new Date(this.nowMs()).toISOString(),
      'aws:EpochTime': String(Math.floor(this.nowMs() / 1000)),
      ...(owner === undefined || owner === '' ? {} : { 'aws:ResourceAccount': owner }),
    });
  }
}

/** Objects answer to their bucket's policy. */
const bucketOf = (resource: string): string =>
  /^arn:[a-z-]+:s3:::/.test(resource) ? resource.split('/')[0]! : resource;

const asksFor = (statements: readonly Statement[], prefixes: readonly string[]): boolean =>
  statements.some(
    (s) =>
      s.conditions.some((c) => prefixes.some((prefix) => c.key.startsWith(prefix))) ||
      // A tag may also stand in a resource or a value, as a policy variable.
      s.resources.some((r) => prefixes.some((prefix) => r.source.toLowerCase().includes(prefix))),
  );

function refused(session: Session, action: string, resource: string, because: string): string {
  const words = `User: ${session.sessionArn} is not authorized to perform: ${action} on resource: ${resource} ${because}`;
  return action.startsWith('ec2:') ? `You are not authorized to perform this operation. ${words}` : words;
}
