/**
 * What the deployed stack consists of, for the parts that moto does not run: the synthesized template says what was
 * meant, CloudFormation says which physical names it got.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CloudFormationClient, DescribeStackResourcesCommand } from '@aws-sdk/client-cloudformation';
import { LambdaClient, GetFunctionConfigurationCommand } from '@aws-sdk/client-lambda';
import type { FunctionSpec } from './contract.ts';
import { STANDARD_QUEUE_CONCURRENCY } from './pollers.ts';
import type { MappingSpec } from './pollers.ts';
import type { ScheduleSpec } from './schedules.ts';

export interface TemplateResource {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
}

export interface StackResource {
  readonly logicalId: string;
  readonly type: string;
  /** Queue: URL. Function, role, rule: name. State machine, topic: ARN. Null: moto has skipped it. */
  readonly physicalId: string | null;
  readonly properties: Readonly<Record<string, unknown>>;
}

export interface DeployedStack {
  readonly stackName: string;
  readonly assemblyDir: string;
  readonly template: { readonly Resources: Readonly<Record<string, TemplateResource>> };
  readonly resources: ReadonlyMap<string, StackResource>;
  readonly functions: readonly FunctionSpec[];
  readonly mappings: readonly MappingSpec[];
  readonly schedules: readonly ScheduleSpec[];
  /** Queue URLs by logical id. */
  readonly queues: ReadonlyMap<string, string>;
}

export interface AttachOptions {
  readonly adminConfig: {
    endpoint: string;
    region: string;
    credentials: { accessKeyId: string; secretAccessKey: string };
  };
  readonly account: string;
  readonly assemblyDir: string;
  readonly stackName: string;
}

const FUNCTION = 'AWS::Lambda::Function';
const MAPPING = 'AWS::Lambda::EventSourceMapping';
const QUEUE = 'AWS::SQS::Queue';

/** The logical id that a `Ref` or `Fn::GetAtt` names; null for anything else. */
export function referenceOf(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null;
  const { Ref: ref, 'Fn::GetAtt': getAtt } = value as { Ref?: unknown; 'Fn::GetAtt'?: unknown };
  if (typeof ref === 'string') return ref;
  if (Array.isArray(getAtt)) return String(getAtt[0]);
  return typeof getAtt === 'string' ? (getAtt.split('.')[0] ?? null) : null;
}

/** Reads the stack back. Throws when the template has a function or mapping that was not deployed. */
export async function readStack(options: AttachOptions): Promise<DeployedStack> {
  const { assemblyDir, stackName } = options;
  const template = await readJson<DeployedStack['template']>(join(assemblyDir, `${stackName}.template.json`));
  const cloudFormation = new CloudFormationClient(options.adminConfig);
  const { StackResources = [] } = await cloudFormation.send(
    new DescribeStackResourcesCommand({ StackName: stackName }),
  );
  cloudFormation.destroy();
  const physical = new Map(StackResources.map((r) => [r.LogicalResourceId, r.PhysicalResourceId]));
  const resources = new Map<string, StackResource>();
  for (const [logicalId, { Type: type, Properties: properties = {} }] of Object.entries(template.Resources)) {
    resources.set(logicalId, { logicalId, type, physicalId: physical.get(logicalId) ?? null, properties });
  }
  return {
    stackName,
    assemblyDir,
    template,
    resources,
    functions: await readFunctions(options, resources),
    mappings: ofType(resources, MAPPING).map((mapping) => readMapping(options, resources, mapping)),
    schedules: readSchedules(resources),
    queues: new Map(
      ofType(resources, QUEUE).map((queue) => [queue.logicalId, atGateway(physicalIdOf(queue), options)]),
    ),
  };
}

const ofType = (resources: ReadonlyMap<string, StackResource>, type: string): StackResource[] =>
  [...resources.values()].filter((resource) => resource.type === type);

async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(path, 'utf8')) as T;
}

function physicalIdOf(resource: StackResource): string {
  if (resource.physicalId !== null) return resource.physicalId;
  throw new Error(
    `${resource.type} ${resource.logicalId} is in the template and was not deployed; moto's log says what it skipped`,
  );
}

function resolve(resources: ReadonlyMap<string, StackResource>, value: unknown, where: string): StackResource {
  const id = referenceOf(value);
  const found = id === null ? undefined : resources.get(id);
  if (found !== undefined) return found;
  throw new Error(
    `${where} is ${JSON.stringify(value)}; the rehearsal reads a Ref or Fn::GetAtt of a resource of the same stack`,
  );
}

/** moto writes queue URLs of AWS's own host name; SDKs may take that for the address to call. */
function atGateway(url: string, options: AttachOptions): string {
  return url.replace(/^https?:\/\/[^/]+(?=\/\d{12}\/)/, options.adminConfig.endpoint);
}

interface AssetManifest {
  readonly files: Readonly<Record<string, { readonly source: { readonly path: string } }>>;
}

async function readFunctions(
  options: AttachOptions,
  resources: ReadonlyMap<string, StackResource>,
): Promise<FunctionSpec[]> {
  const functions = ofType(resources, FUNCTION);
  const assets = await readJson<AssetManifest>(join(options.assemblyDir, `${options.stackName}.assets.json`));
  const lambda = new LambdaClient(options.adminConfig);
  const specs = await Promise.all(
    functions.map(async (resource): Promise<FunctionSpec> => {
      const name = physicalIdOf(resource);
      const deployed = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName: name }));
      const {
        Code,
        Handler,
        Timeout = 3,
        MemorySize = 128,
        ReservedConcurrentExecutions: reserved,
      } = resource.properties;
      const environment = Object.entries(deployed.Environment?.Variables ?? {});
      return {
        name,
        codeDir: join(options.assemblyDir, assetPath(assets, Code, name)),
        handler: String(Handler),
        environment: Object.fromEntries(
          environment.map(([key, value]) => [key, isQueueUrl(value) ? atGateway(value, options) : value]),
        ),
        timeoutSeconds: Number(Timeout),
        memoryMb: Number(MemorySize),
        roleArn: deployed.Role ?? '',
        ...(typeof reserved === 'number' ? { reservedConcurrency: reserved } : {}),
        ...readAsyncEvents(options, resources, resource.logicalId),
      };
    }),
  );
  lambda.destroy();
  return specs;
}

/** The function's AWS::Lambda::EventInvokeConfig, which moto skips. */
function readAsyncEvents(
  options: AttachOptions,
  resources: ReadonlyMap<string, StackResource>,
  functionId: string,
): Pick<FunctionSpec, 'asyncEvents'> {
  const config = ofType(resources, 'AWS::Lambda::EventInvokeConfig').find(
    (candidate) => referenceOf(candidate.properties['FunctionName']) === functionId,
  );
  if (config === undefined) return {};
  const { MaximumRetryAttempts: retries = 2, MaximumEventAgeInSeconds: age = 21_600 } = config.properties;
  const { OnFailure: onFailure } = (config.properties['DestinationConfig'] ?? {}) as {
    OnFailure?: { Destination: unknown };
  };
  const queue =
    onFailure === undefined ? null : resolve(resources, onFailure.Destination, `${config.logicalId}.OnFailure`);
  if (queue !== null && queue.type !== QUEUE) {
    throw new Error(`${config.logicalId} sends failures to a ${queue.type}; the rehearsal sends them to SQS queues`);
  }
  const onFailureQueueUrl = queue === null ? null : atGateway(physicalIdOf(queue), options);
  return { asyncEvents: { retries: Number(retries), maximumAgeSeconds: Number(age), onFailureQueueUrl } };
}

const isQueueUrl = (value: string): boolean => /^https?:\/\/[^/]+\/\d{12}\/[\w.-]+$/.test(value);

function assetPath(assets: AssetManifest, code: unknown, name: string): string {
  const key = (code as { S3Key?: unknown } | undefined)?.S3Key;
  const asset = typeof key === 'string' ? assets.files[key.replace(/\.zip$/, '')] : undefined;
  if (asset === undefined)
    throw new Error(
      `function ${name} has the code ${JSON.stringify(code)}; the rehearsal runs file assets of the same stack`,
    );
  return asset.source.path;
}

function readMapping(
  options: AttachOptions,
  resources: ReadonlyMap<string, StackResource>,
  mapping: StackResource,
): MappingSpec {
  const { properties, logicalId } = mapping;
  const queue = resolve(resources, properties['EventSourceArn'], `${logicalId}.EventSourceArn`);
  const target = resolve(resources, properties['FunctionName'], `${logicalId}.FunctionName`);
  const queueUrl = atGateway(physicalIdOf(queue), options);
  const scaling = properties['ScalingConfig'] as { MaximumConcurrency?: number } | undefined;
  const responseTypes = (properties['FunctionResponseTypes'] as readonly string[] | undefined) ?? [];
  return {
    queueUrl,
    queueArn: `arn:aws:sqs:${options.adminConfig.region}:${options.account}:${queueUrl.split('/').at(-1)}`,
    functionName: physicalIdOf(target),
    batchSize: Number(properties['BatchSize'] ?? 10),
    partialResponses: responseTypes.includes('ReportBatchItemFailures'),
    maximumConcurrency: scaling?.MaximumConcurrency ?? STANDARD_QUEUE_CONCURRENCY,
  };
}

/** A function whose ARN is put together from its name, as a rule of another stack has to; null for any other value. */
function functionByName(resources: ReadonlyMap<string, StackResource>, arn: unknown): StackResource | null {
  const parts = (arn as { 'Fn::Join'?: [string, unknown[]] } | null)?.['Fn::Join']?.[1] ?? [arn];
  const name = /:function:([\w-]+)$/.exec(String(parts.at(-1)))?.[1];
  if (name === undefined) return null;
  return ofType(resources, FUNCTION).find((fn) => fn.physicalId === name) ?? null;
}

function readSchedules(resources: ReadonlyMap<string, StackResource>): ScheduleSpec[] {
  const rules = ofType(resources, 'AWS::Events::Rule').flatMap((rule) =>
    ((rule.properties['Targets'] ?? []) as { Arn: unknown; Input?: string }[]).map((target) => ({
      schedule: rule,
      target,
    })),
  );
  const schedules = ofType(resources, 'AWS::Scheduler::Schedule').map((schedule) => ({
    schedule,
    target: schedule.properties['Target'] as { Arn: unknown; Input?: string },
  }));
  return [...rules, ...schedules].flatMap(({ schedule, target }): ScheduleSpec[] => {
    const { ScheduleExpression: expression, State: state } = schedule.properties;
    if (typeof expression !== 'string' || state === 'DISABLED') return [];
    const fn =
      functionByName(resources, target.Arn) ?? resolve(resources, target.Arn, `target of ${schedule.logicalId}`);
    if (fn.type !== FUNCTION) {
      throw new Error(
        `schedule ${schedule.logicalId} starts a ${fn.type}; the rehearsal's schedules start Lambda functions`,
      );
    }
    const name = schedule.physicalId ?? schedule.logicalId; // moto skips AWS::Scheduler::Schedule
    return [
      {
        name,
        expression,
        functionName: physicalIdOf(fn),
        ...(target.Input === undefined ? {} : { input: target.Input }),
      },
    ];
  });
}
