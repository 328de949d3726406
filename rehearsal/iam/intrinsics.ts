/**
 * Resolves CloudFormation's intrinsic functions in a template, given what was deployed.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
 */
import { Unresolved } from './statements.ts';

export interface TemplateResource {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
  readonly Condition?: string;
}

export interface Template {
  readonly Resources: Readonly<Record<string, TemplateResource>>;
  readonly Parameters?: Readonly<Record<string, { readonly Type?: string; readonly Default?: unknown }>>;
  readonly Conditions?: Readonly<Record<string, unknown>>;
  readonly Mappings?: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, unknown>>>>>>;
  readonly Outputs?: Readonly<Record<string, unknown>>;
}

/** What is known of a deployed stack. */
export interface StackFacts {
  readonly stackName: string;
  readonly partition: string;
  readonly region: string;
  readonly account: string;
  /** Physical id by logical id, from DescribeStackResources. */
  readonly physicalIds: Readonly<Record<string, string>>;
  /** Values of `Logical.Attribute`, where they cannot be told from type and physical id. */
  readonly attributes?: Readonly<Record<string, string>>;
  readonly parameters?: Readonly<Record<string, string>>;
  /** Values that other stacks export, for Fn::ImportValue. */
  readonly exports?: Readonly<Record<string, string>>;
}

/** AWS::NoValue: the property or item is left out. */
const NO_VALUE = Symbol('AWS::NoValue');

/** Thrown inside, answered as a value: see `resolve`. */
class CannotResolve extends Error {
  override readonly name = 'CannotResolve';
}

/** Builds ARNs from physical ids as `!GetAtt X.Arn` gives them. `AWS::SQS::Queue`'s physical id is its URL. */
const ARN_OF: Readonly<Record<string, (id: string, at: string) => string>> = {
  'AWS::SQS::Queue': (id, at) => `sqs:${at}:${id.slice(id.lastIndexOf('/') + 1)}`,
  'AWS::DynamoDB::Table': (id, at) => `dynamodb:${at}:table/${id}`,
  'AWS::Lambda::Function': (id, at) => `lambda:${at}:function:${id}`,
  'AWS::KMS::Key': (id, at) => `kms:${at}:key/${id}`,
  'AWS::Logs::LogGroup': (id, at) => `logs:${at}:log-group:${id}:*`,
  'AWS::S3::Bucket': (id) => `s3:::${id}`,
  'AWS::Events::Rule': (id, at) => `events:${at}:rule/${id.slice(id.lastIndexOf('/') + 1)}`,
  'AWS::Events::EventBus': (id, at) => `events:${at}:event-bus/${id}`,
  'AWS::CloudWatch::Alarm': (id, at) => `cloudwatch:${at}:alarm:${id}`,
};

/** Types whose physical id is the ARN already, under one of these attributes. */
const ARN_IS_ID: Readonly<Record<string, readonly string[]>> = {
  'AWS::SNS::Topic': ['TopicArn'],
  'AWS::StepFunctions::StateMachine': ['Arn'],
  'AWS::SecretsManager::Secret': ['Id'],
  'AWS::ElasticLoadBalancingV2::TargetGroup': ['TargetGroupArn'],
  'AWS::IAM::ManagedPolicy': ['PolicyArn'],
};

export class Resolver {
  private readonly template: Template;
  private readonly facts: StackFacts;
  constructor(template: Template, facts: StackFacts) {
    this.template = template;
    this.facts = facts;
  }

  /**
   * The value without intrinsics. A part that cannot be resolved is an `Unresolved` in its place, with the reason;
   * never throws for what a template may hold.
   */
  resolve(value: unknown): unknown {
    try {
      return this.walk(value);
    } catch (error) {
      if (error instanceof CannotResolve) return new Unresolved(error.message);
      throw error;
    }
  }

  /** The text, or Unresolved when it is anything else. */
  text(value: unknown): string | Unresolved {
    const resolved = this.resolve(value);
    if (typeof resolved === 'string' || resolved instanceof Unresolved) return resolved;
    return new Unresolved(`${JSON.stringify(value)} resolves to ${JSON.stringify(resolved)}, expected a string`);
  }

  /** Whether a resource's Condition lets it be deployed. */
  deployed(resource: TemplateResource): boolean {
    return resource.Condition === undefined || this.holds({ Condition: resource.Condition });
  }

  private walk(value: unknown): unknown {
    if (typeof value === 'string' && value.includes('{{resolve:')) {
      throw new CannotResolve(`${value} is a dynamic reference, which only CloudFormation resolves`);
    }
    if (Array.isArray(value)) return value.map((item) => this.resolve(item)).filter((item) => item !== NO_VALUE);
    if (typeof value !== 'object' || value === null) return value;
    const entries: [string, unknown][] = Object.entries(value);
    const [name, argument] = entries[0] ?? ['', undefined];
    if (entries.length === 1 && (name === 'Ref' || name.startsWith('Fn::'))) return this.call(name, argument);
    const resolved = entries.map(([key, item]) => [key, this.resolve(item)] as const);
    return Object.fromEntries(resolved.filter(([, item]) => item !== NO_VALUE));
  }

  private call(name: string, argument: unknown): unknown {
    switch (name) {
      case 'Ref':
        return this.ref(String(argument));
      case 'Fn::GetAtt':
        return this.attribute(argument);
      case 'Fn::Join': {
        const [separator, items] = this.pair(name, argument);
        return this.strings(items, name).join(this.string(separator, name));
      }
      case 'Fn::Sub':
        return this.substitute(argument);
      case 'Fn::Select': {
        const [index, items] = this.pair(name, argument);
        const picked = this.strings(items, name)[Number(this.walk(index))];
        if (picked === undefined) throw new CannotResolve(`${name} ${JSON.stringify(argument)} picks beyond the end`);
        return picked;
      }
      case 'Fn::Split': {
        const [separator, text] = this.pair(name, argument);
        return this.string(text, name).split(this.string(separator, name));
      }
      case 'Fn::If': {
        const [condition, yes, no] = this.items(name, argument);
        return this.walk(this.holds({ Condition: condition }) ? yes : no);
      }
      case 'Fn::ImportValue': {
        const exported = this.string(argument, name);
        const value = this.facts.exports?.[exported];
        if (value === undefined) throw new CannotResolve(`no stack exports ${exported}; give it in \`exports\``);
        return value;
      }
      case 'Fn::FindInMap': {
        const [map, first, second] = this.strings(argument, name);
        const value = this.template.Mappings?.[map ?? '']?.[first ?? '']?.[second ?? ''];
        if (value === undefined) throw new CannotResolve(`the template has no mapping ${JSON.stringify(argument)}`);
        return value;
      }
      default:
        throw new CannotResolve(`the rehearsal does not resolve ${name}`);
    }
  }

  private ref(name: string): unknown {
    const { stackName, partition, region, account, physicalIds, parameters } = this.facts;
    const pseudo: Readonly<Record<string, unknown>> = {
      'AWS::Partition': partition,
      'AWS::Region': region,
      'AWS::AccountId': account,
      'AWS::StackName': stackName,
      'AWS::URLSuffix': partition === 'aws-cn' ? 'amazonaws.com.cn' : 'amazonaws.com',
      'AWS::NoValue': NO_VALUE,
    };
    if (name in pseudo) return pseudo[name];
    const declared = this.template.Parameters?.[name];
    const found = declared === undefined ? physicalIds[name] : (parameters?.[name] ?? declared.Default);
    // A parameter of an SSM type has the parameter's name as its default, not the value.
    const indirect = declared?.Type?.startsWith('AWS::SSM::') === true && parameters?.[name] === undefined;
    if (found === undefined || indirect) {
      throw new CannotResolve(`Ref ${name} has no value: not in the deployed stack's resources or parameters`);
    }
    return found;
  }

  private attribute(argument: unknown): string {
    const [logical = '', ...rest] =
      typeof argument === 'string' ? argument.split('.') : this.strings(argument, 'Fn::GetAtt');
    const name = rest.join('.');
    const given = this.facts.attributes?.[`${logical}.${name}`];
    if (given !== undefined) return given;
    const type = this.template.Resources[logical]?.Type;
    const id = this.facts.physicalIds[logical];
    if (type === undefined || id === undefined) {
      throw new CannotResolve(`${logical}.${name}: ${logical} is not among the deployed stack's resources`);
    }
    const { partition, region, account } = this.facts;
    if (ARN_IS_ID[type]?.includes(name) === true) return id;
    if (name === 'Arn' && type === 'AWS::IAM::Role') return this.roleArn(logical, id);
    const build = name === 'Arn' ? ARN_OF[type] : undefined;
    if (build !== undefined)
      return `arn:${partition}:${build(id, type === 'AWS::S3::Bucket' ? '' : `${region}:${account}`)}`;
    if (type === 'AWS::SQS::Queue' && name === 'QueueName') return id.slice(id.lastIndexOf('/') + 1);
    if (type === 'AWS::StepFunctions::StateMachine' && name === 'Name') return id.slice(id.lastIndexOf(':') + 1);
    throw new CannotResolve(
      `the rehearsal does not know attribute ${name} of a ${type}; give ${logical}.${name} in \`attributes\``,
    );
  }

  /** ARN of a role of this template; its path is part of it. */
  roleArn(logical: string, physicalId: string): string {
    const path = this.text(this.template.Resources[logical]?.Properties?.['Path'] ?? '/');
    if (path instanceof Unresolved)
      throw new CannotResolve(`${logical}.Arn: its Path cannot be resolved: ${path.reason}`);
    return `arn:${this.facts.partition}:iam::${this.facts.account}:role${path}${physicalId}`;
  }

  private substitute(argument: unknown): string {
    const [text, own] = Array.isArray(argument) ? (argument as [unknown, unknown]) : [argument, {}];
    const variables = (own ?? {}) as Readonly<Record<string, unknown>>;
    // `${!Literal}` is how a template writes `${Literal}`: a policy variable, for instance.
    return this.string(text, 'Fn::Sub').replace(/\$\{(!?)([^}]+)\}/g, (_whole, literal: string, name: string) => {
      if (literal === '!') return `\${${name}}`;
      if (name in variables) return this.string(variables[name], 'Fn::Sub');
      return name.includes('.') ? this.attribute(name) : String(this.ref(name));
    });
  }

  private holds(condition: unknown): boolean {
    if (typeof condition !== 'object' || condition === null)
      throw new CannotResolve(`condition ${JSON.stringify(condition)} is none`);
    const [[name, argument] = ['', undefined]] = Object.entries(condition);
    switch (name) {
      case 'Condition': {
        const named = this.template.Conditions?.[String(argument)];
        if (named === undefined) throw new CannotResolve(`the template has no condition ${String(argument)}`);
        return this.holds(named);
      }
      case 'Fn::Equals': {
        const [left, right] = this.pair(name, argument);
        return JSON.stringify(this.walk(left)) === JSON.stringify(this.walk(right));
      }
      case 'Fn::Not':
        return !this.holds(this.items(name, argument)[0]);
      case 'Fn::And':
        return this.items(name, argument).every((item) => this.holds(item));
      case 'Fn::Or':
        return this.items(name, argument).some((item) => this.holds(item));
      default:
        throw new CannotResolve(`the rehearsal does not evaluate the condition function ${name}`);
    }
  }

  private items(name: string, argument: unknown): readonly unknown[] {
    if (!Array.isArray(argument)) throw new CannotResolve(`${name} has ${JSON.stringify(argument)}, expected a list`);
    return argument;
  }

  private pair(name: string, argument: unknown): readonly [unknown, unknown] {
    const items = this.items(name, argument);
    if (items.length !== 2) throw new CannotResolve(`${name} has ${items.length} arguments, expected 2`);
    return [items[0], items[1]];
  }

  private string(value: unknown, where: string): string {
    const text = this.walk(value);
    if (text instanceof Unresolved) throw new CannotResolve(text.reason);
    if (typeof text !== 'string' && typeof text !== 'number') {
      throw new CannotResolve(`${where} has ${JSON.stringify(text)}, expected a string`);
    }
    return String(text);
  }

  private strings(value: unknown, where: string): readonly string[] {
    const items = this.walk(value);
    if (!Array.isArray(items)) throw new CannotResolve(`${where} has ${JSON.stringify(items)}, expected a list`);
    return items.map((item) => this.string(item, where));
  }
}
