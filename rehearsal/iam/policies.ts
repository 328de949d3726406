/** The policies of the deployed stacks: what each role may do, what resources and keys say themselves. */
import type { Statement } from './evaluate.ts';
import type { StackFacts, Template, TemplateResource } from './intrinsics.ts';
import { Resolver } from './intrinsics.ts';
import { isAwsManaged, managedPolicy } from './managed.ts';
import { Unresolved, statementsOf } from './statements.ts';

export interface Role {
  readonly arn: string;
  /** Stable across runs: stack and logical id; the name of a role made outside templates. */
  readonly id: string;
  readonly name: string;
  readonly statements: readonly Statement[];
  /** Permissions boundary: what it does not allow, the role cannot do. Null when there is none. */
  readonly boundary: readonly Statement[] | null;
  /** Who may assume it, such as `lambda.amazonaws.com`. */
  readonly trusted: readonly string[];
}

export interface Policies {
  readonly roles: readonly Role[];
  /** Resource and key policies, by the ARN they stand on. */
  readonly onResources: ReadonlyMap<string, readonly Statement[]>;
  /** ARN of the customer-managed key by the ARN of what it encrypts; Unresolved when it cannot be told. */
  readonly keys: ReadonlyMap<string, string | Unresolved>;
  /** Role ARN by state machine ARN: which role an execution calls with. */
  readonly machines: ReadonlyMap<string, string>;
  /** What could not be read and therefore grants nothing. */
  readonly problems: readonly string[];
}

export const NO_POLICIES: Policies = {
  roles: [],
  onResources: new Map(),
  keys: new Map(),
  machines: new Map(),
  problems: [],
};

/** Where each type of resource says which key encrypts it. */
const KEY_PROPERTY: Readonly<Record<string, readonly string[]>> = {
  'AWS::SQS::Queue': ['KmsMasterKeyId'],
  'AWS::SNS::Topic': ['KmsMasterKeyId'],
  'AWS::DynamoDB::Table': ['SSESpecification', 'KMSMasterKeyId'],
  'AWS::SecretsManager::Secret': ['KmsKeyId'],
  'AWS::S3::Bucket': [
    ...['BucketEncryption', 'ServerSideEncryptionConfiguration', '0'],
    ...['ServerSideEncryptionByDefault', 'KMSMasterKeyID'],
  ],
};

/** Attribute (or Ref) that gives a type's ARN. */
const ARN_ATTRIBUTE: Readonly<Record<string, string>> = {
  'AWS::SNS::Topic': 'TopicArn',
  'AWS::SecretsManager::Secret': 'Id',
};

/** Reads one synthesized template. Throws when a role of it was not deployed: its calls could not be attributed. */
export function readTemplate(template: Template, facts: StackFacts): Policies {
  return new Reader(template, facts).read();
}

/** The policies of several stacks together. */
export function combine(...all: readonly Policies[]): Policies {
  return {
    roles: all.flatMap((p) => p.roles),
    onResources: new Map(all.flatMap((p) => [...p.onResources])),
    keys: new Map(all.flatMap((p) => [...p.keys])),
    machines: new Map(all.flatMap((p) => [...p.machines])),
    problems: all.flatMap((p) => p.problems),
  };
}

type Properties = Readonly<Record<string, unknown>>;

const asArray = (value: unknown): readonly unknown[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value];

class Reader {
  private readonly template: Template;
  private readonly facts: StackFacts;
  private readonly resolver: Resolver;
  private readonly problems: string[] = [];
  constructor(template: Template, facts: StackFacts) {
    this.template = template;
    this.facts = facts;
    this.resolver = new Resolver(template, facts);
  }

  read(): Policies {
    const roles = this.ofType('AWS::IAM::Role').map(([logical, properties]) => this.role(logical, properties));
    const onResources = this.onResources();
    for (const statement of [
      ...roles.flatMap((r) => [...r.statements, ...(r.boundary ?? [])]),
      ...[...onResources.values()].flat(),
    ]) {
      if (statement.problem !== null) this.problems.push(`${statement.label}: ${statement.problem}`);
    }
    return { roles, onResources, keys: this.keys(), machines: this.machines(), problems: this.problems };
  }

  private ofType(...types: readonly string[]): [string, Properties, TemplateResource][] {
    return Object.entries(this.template.Resources)
      .filter(([, resource]) => types.includes(resource.Type) && this.resolver.deployed(resource))
      .map(([logical, resource]) => [logical, resource.Properties ?? {}, resource]);
  }

  private role(logical: string, properties: Properties): Role {
    const name = this.facts.physicalIds[logical];
    if (name === undefined) {
      throw new Error(
        `the template of ${this.facts.stackName} has the role ${logical}, but the deployed stack has no such resource; ` +
          `deploy the same template that is read`,
      );
    }
    const id = `${this.facts.stackName}/${logical}`;
    const inline = asArray(properties['Policies']).flatMap((policy, i) =>
      statementsOf(this.resolver.resolve((policy as Properties)['PolicyDocument']), { id: `${id}/Policies${i}` }),
    );
    const attached = this.ofType('AWS::IAM::Policy', 'AWS::IAM::ManagedPolicy', 'AWS::IAM::RolePolicy')
      .filter(([, p]) =>
        [...asArray(p['Roles']), p['RoleName']].some((r) => r !== undefined && this.resolver.resolve(r) === name),
      )
      .flatMap(([policy, p]) => statementsOf(this.resolver.resolve(p['PolicyDocument']), { id: `${id}/${policy}` }));
    const managed = asArray(properties['ManagedPolicyArns']).flatMap((arn) => this.managed(arn, id));
    const boundary = properties['PermissionsBoundary'];
    return {
      id,
      name,
      arn: this.resolver.roleArn(logical, name),
      statements: [...inline, ...attached, ...managed],
      boundary: boundary === undefined ? null : this.managed(boundary, `${id}/boundary`),
      trusted: trustedServices(this.resolver.resolve(properties['AssumeRolePolicyDocument'])),
    };
  }

  /** A managed policy by ARN: AWS's, or one of this template. */
  private managed(reference: unknown, id: string): Statement[] {
    const arn = this.resolver.text(reference);
    if (arn instanceof Unresolved) return statementsOf(arn, { id: `${id}/managed` });
    const own = this.ofType('AWS::IAM::ManagedPolicy').find(([logical]) => this.facts.physicalIds[logical] === arn);
    if (own !== undefined)
      return statementsOf(this.resolver.resolve(own[1]['PolicyDocument']), { id: `${id}/${own[0]}` });
    return managedStatements(arn, id);
  }

  private arnOf(logical: string, type: string): string | Unresolved {
    return this.resolver.text({ 'Fn::GetAtt': [logical, ARN_ATTRIBUTE[type] ?? 'Arn'] });
  }

  private onResources(): Map<string, Statement[]> {
    const found = new Map<string, Statement[]>();
    const add = (arn: string | Unresolved, document: unknown, id: string): void => {
      if (arn instanceof Unresolved) this.problems.push(`${id}: what its policy stands on is unclear: ${arn.reason}`);
      else
        found.set(arn, [...(found.get(arn) ?? []), ...statementsOf(this.resolver.resolve(document), { id, on: arn })]);
    };
    const id = (logical: string): string => `${this.facts.stackName}/${logical}`;
    for (const [logical, p, { Type }] of this.ofType('AWS::KMS::Key'))
      add(this.arnOf(logical, Type), p['KeyPolicy'], id(logical));
    for (const [logical, p] of this.ofType('AWS::SQS::QueuePolicy')) {
      for (const queue of asArray(p['Queues'])) add(this.queueArn(queue), p['PolicyDocument'], id(logical));
    }
    for (const [logical, p] of this.ofType('AWS::SNS::TopicPolicy')) {
      for (const topic of asArray(p['Topics'])) add(this.resolver.text(topic), p['PolicyDocument'], id(logical));
    }
    for (const [logical, p] of this.ofType('AWS::S3::BucketPolicy')) {
      const bucket = this.resolver.text(p['Bucket']);
      const arn = bucket instanceof Unresolved ? bucket : `arn:${this.facts.partition}:s3:::${bucket}`;
      add(arn, p['PolicyDocument'], id(logical));
    }
    for (const [logical, p] of this.ofType('AWS::SecretsManager::ResourcePolicy')) {
      add(this.resolver.text(p['SecretId']), p['ResourcePolicy'], id(logical));
    }
    return found;
  }

  private queueArn(queue: unknown): string | Unresolved {
    const url = this.resolver.text(queue);
    if (url instanceof Unresolved) return url;
    const { partition, region, account } = this.facts;
    return `arn:${partition}:sqs:${region}:${account}:${url.slice(url.lastIndexOf('/') + 1)}`;
  }

  private keys(): Map<string, string | Unresolved> {
    const found = new Map<string, string | Unresolved>();
    for (const [logical, properties, { Type }] of this.ofType(...Object.keys(KEY_PROPERTY))) {
      const value = KEY_PROPERTY[Type]!.reduce<unknown>(
        (at, step) => (at as Properties | undefined)?.[step],
        properties,
      );
      if (value === undefined) continue;
      const arn = this.physical(logical, Type);
      const key = arn instanceof Unresolved ? arn : this.key(value);
      if (arn instanceof Unresolved) this.problems.push(`${logical}: its key cannot be attributed: ${arn.reason}`);
      else if (key !== null) found.set(arn, key);
    }
    return found;
  }

  /** A secret is skipped by moto's CloudFormation: made through the API, it is found by its own key instead. */
  private physical(logical: string, type: string): string | Unresolved {
    return this.facts.physicalIds[logical] === undefined
      ? new Unresolved(`${logical} (${type}) is not among the deployed stack's resources`)
      : this.arnOf(logical, type);
  }

  /** Null for AWS's own keys, which everybody of the account may use through the service. */
  private key(value: unknown): string | Unresolved | null {
    const reference = this.resolver.text(value);
    if (reference instanceof Unresolved) return reference;
    return keyArn(reference, this.facts, (alias) => {
      const named = this.ofType('AWS::KMS::Alias').find(([, p]) => this.resolver.resolve(p['AliasName']) === alias);
      return named === undefined ? undefined : this.resolver.text(named[1]['TargetKeyId']);
    });
  }

  private machines(): Map<string, string> {
    const found = new Map<string, string>();
    for (const [logical, properties] of this.ofType('AWS::StepFunctions::StateMachine')) {
      const role = this.resolver.text(properties['RoleArn']);
      const arn = this.facts.physicalIds[logical];
      if (role instanceof Unresolved || arn === undefined) {
        this.problems.push(
          `${logical}: the state machine's role cannot be told${role instanceof Unresolved ? `: ${role.reason}` : ''}`,
        );
      } else found.set(arn, role);
    }
    return found;
  }
}

/** Statements of one of AWS's managed policies; one that is not known grants nothing, and says so. */
export function managedStatements(arn: string, id: string): Statement[] {
  const document = isAwsManaged(arn) ? managedPolicy(arn) : undefined;
  const unknown = `the rehearsal does not have the managed policy ${arn}; add it to rehearsal/iam/managed.ts`;
  return statementsOf(document ?? new Unresolved(unknown), { id: `${id}/${arn.slice(arn.lastIndexOf('/') + 1)}` });
}

/** A key's ARN from any way to name it; null for AWS's own (`alias/aws/…`). */
export function keyArn(
  reference: string,
  place: { readonly partition: string; readonly region: string; readonly account: string },
  aliasTarget: (alias: string) => string | Unresolved | undefined,
): string | Unresolved | null {
  const [, alias] = /^(?:arn:[^:]+:kms:[^:]+:[^:]+:)?(alias\/.+)$/.exec(reference) ?? [];
  if (alias?.startsWith('alias/aws/') === true) return null;
  if (alias !== undefined) {
    const target = aliasTarget(alias) ?? new Unresolved(`nobody declares the key alias ${alias}`);
    return target instanceof Unresolved ? target : keyArn(target, place, () => undefined);
  }
  if (reference.startsWith('arn:')) return reference;
  return `arn:${place.partition}:kms:${place.region}:${place.account}:key/${reference}`;
}

/** Services that a trust policy lets assume the role; what cannot be read trusts nobody. */
export function trustedServices(document: unknown): readonly string[] {
  const statements = asArray((document as Properties | undefined)?.['Statement']) as readonly Properties[];
  return statements
    .filter((s) => s['Effect'] === 'Allow' && asArray(s['Action']).includes('sts:AssumeRole'))
    .flatMap((s) => asArray((s['Principal'] as Properties | undefined)?.['Service']))
    .filter((service): service is string => typeof service === 'string');
}
