/**
 * Network Load Balancers: target groups answered from real health checks, HAProxy as the data plane. moto's own
 * listeners refuse TCP, so a balancer is made here, by the rehearsal's set-up, and not through the API.
 */
import { join } from 'node:path';
import {
  DescribeTargetGroupsCommand,
  ElasticLoadBalancingV2Client,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import type { AwsRequest, AwsResponse, CloudEvent, Interceptor } from './contract.ts';
import { createTargetGroup, type GroupContext, type TargetGroup } from './balancers-group.ts';
import { attributeProblem, DEFAULT_ATTRIBUTES, healthOf, type GroupSettings } from './balancers-targets.ts';
import {
  asList,
  asObject,
  asText,
  AwsFault,
  decodeQuery,
  elbAnswer,
  elbError,
  type MotoEndpoint,
  type QueryParams,
} from './ec2-query.ts';
import { startHaproxy, type Haproxy } from './haproxy.ts';
import { backgroundWork } from './hosts-context.ts';
import { clientConfig, type Hosts } from './hosts.ts';

export interface BalancersOptions {
  readonly moto: MotoEndpoint;
  use(interceptor: Interceptor): void;
  onEvent(event: CloudEvent): void;
  readonly hosts: Pick<Hosts, 'get' | 'listen'>;
  readonly rootDir: string;
  /** From a change of targets to the data plane that acts on it. 0 by default; a real NLB takes seconds. */
  readonly propagationMs?: number;
}

export interface BalancerSpec {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly targetGroupArn: string;
}

export interface Balancer extends BalancerSpec {
  readonly pid: number;
  /** Open connections by target, `<instance id>_<port>`. */
  connections(): Promise<ReadonlyMap<string, number>>;
}

export interface Balancers {
  createBalancer(spec: BalancerSpec): Promise<Balancer>;
  failures(): readonly Error[];
  /** Ends every HAProxy and all checks. Can be called twice. */
  stop(): Promise<void>;
}

const answering =
  (handle: (params: QueryParams) => Promise<AwsResponse>) =>
  async (request: AwsRequest): Promise<AwsResponse> => {
    try {
      return await handle(decodeQuery(request.body));
    } catch (error) {
      if (error instanceof AwsFault) return elbError(error.code, error.message, error.status);
      throw error;
    }
  };

interface TargetParam {
  readonly id: string;
  readonly port: number;
}

const targetsIn = (params: QueryParams, group: TargetGroup): TargetParam[] =>
  asList(params['Targets']).map((item) => {
    const { Id, Port } = asObject(item);
    return { id: asText(Id) ?? '', port: Number(asText(Port) ?? group.settings.port) };
  });

const arnIn = (params: QueryParams): string => asText(params['TargetGroupArn']) ?? '';

const attributeList = (group: TargetGroup): QueryParams => ({
  Attributes: Object.entries(group.attributes).map(([Key, Value]) => ({ Key, Value })),
});

/** Group settings as moto keeps them. */
async function readSettings(elb: ElasticLoadBalancingV2Client, arn: string): Promise<GroupSettings> {
  const missing = (): AwsFault =>
    new AwsFault('TargetGroupNotFound', `One or more target groups not found: '${arn}'`);
  const answer = await elb
    .send(new DescribeTargetGroupsCommand({ TargetGroupArns: [arn] }))
    .catch((error: unknown) => {
      if (/TargetGroupNotFound/.test((error as Error).name)) throw missing();
      throw error;
    });
  const group = answer.TargetGroups?.[0];
  if (group === undefined) throw missing();
  const checkPort = group.HealthCheckPort ?? 'traffic-port';
  // What an NLB has when nobody said otherwise: ELB API reference, CreateTargetGroup.
  return {
    port: group.Port ?? 0,
    checkPort: checkPort === 'traffic-port' ? null : Number(checkPort),
    checkIntervalMs: (group.HealthCheckIntervalSeconds ?? 30) * 1000,
    checkTimeoutMs: (group.HealthCheckTimeoutSeconds ?? 10) * 1000,
    healthyThreshold: group.HealthyThresholdCount ?? 5,
    unhealthyThreshold: group.UnhealthyThresholdCount ?? 2,
  };
}

type GroupLookup = (arn: string) => Promise<TargetGroup>;

function interceptors(groupOf: GroupLookup, hosts: BalancersOptions['hosts']): Interceptor[] {
  const intercept = (operation: string, handle: (params: QueryParams) => Promise<AwsResponse>): Interceptor => ({
    service: 'elasticloadbalancing',
    operation,
    before: answering(handle),
  });
  return [
    intercept('RegisterTargets', async (params) => {
      const group = await groupOf(arnIn(params));
      const wanted = targetsIn(params, group);
      const bad = wanted.filter(({ id }) => hosts.get(id)?.state !== 'running').map(({ id }) => `'${id}'`);
      if (bad.length > 0) {
        throw new AwsFault(
          'InvalidTarget',
          `The following targets are not in a running state and cannot be registered: ${bad.join(', ')}`,
        );
      }
      for (const { id, port } of wanted) group.register(id, port);
      return elbAnswer('RegisterTargets', {});
    }),
    intercept('DeregisterTargets', async (params) => {
      const group = await groupOf(arnIn(params));
      for (const { id, port } of deregistrations(params, group)) group.deregister(id, port);
      return elbAnswer('DeregisterTargets', {});
    }),
    intercept('DescribeTargetHealth', async (params) => describeHealth(await groupOf(arnIn(params)), params)),
    intercept('DescribeTargetGroupAttributes', async (params) =>
      elbAnswer('DescribeTargetGroupAttributes', attributeList(await groupOf(arnIn(params)))),
    ),
    intercept('ModifyTargetGroupAttributes', async (params) => {
      const group = await groupOf(arnIn(params));
      const changes = asList(params['Attributes']).map((item) => {
        const { Key, Value } = asObject(item);
        return { key: asText(Key) ?? '', value: asText(Value) ?? '' };
      });
      for (const { key, value } of changes) {
        const problem = attributeProblem(key, value);
        if (problem !== null) throw new AwsFault('InvalidConfigurationRequest', problem);
      }
      for (const { key, value } of changes) group.attributes[key] = value;
      return elbAnswer('ModifyTargetGroupAttributes', attributeList(group));
    }),
  ];
}

/** A target that is named without a port leaves with every port it was registered with. */
function deregistrations(params: QueryParams, group: TargetGroup): readonly TargetParam[] {
  return asList(params['Targets']).flatMap((item) => {
    const { Id, Port } = asObject(item);
    const matches = group.targets().filter((t) => t.id === Id && (Port === undefined || t.port === Number(Port)));
    return matches.map(({ id, port }) => ({ id, port }));
  });
}

function describeHealth(group: TargetGroup, params: QueryParams): AwsResponse {
  const asked = targetsIn(params, group);
  const shown = asked.length > 0 ? asked : group.targets();
  return elbAnswer('DescribeTargetHealth', {
    TargetHealthDescriptions: shown.map(({ id, port }) => {
      const target = group.find(id, port);
      const health =
        target === undefined
          ? { state: 'unused', reason: 'Target.NotRegistered', description: 'Target is not registered to the target group' }
          : healthOf(target, group.inUse());
      return {
        Target: { Id: id, Port: String(port) },
        HealthCheckPort: String(group.settings.checkPort ?? port),
        TargetHealth: {
          State: health.state,
          ...(health.reason === null ? {} : { Reason: health.reason }),
          ...(health.description === null ? {} : { Description: health.description }),
        },
      };
    }),
  });
}

/** Plugs target groups into the gateway. */
export function createBalancers(options: BalancersOptions): Balancers {
  const elb = new ElasticLoadBalancingV2Client(clientConfig(options.moto));
  const emit: GroupContext['emit'] = (what, detail) =>
    options.onEvent({ atMs: Date.now(), kind: 'target', what, detail });
  const work = backgroundWork((what, error) => emit(`${what} failed: ${error.message}`, {}));
  const ctx: GroupContext = {
    addressOf: (id) => options.hosts.get(id)?.address,
    emit,
    inBackground: (what, task) => work.inBackground(what, task),
    wait: (ms) => work.wait(ms),
    propagationMs: options.propagationMs ?? 0,
  };
  const groups = new Map<string, Promise<TargetGroup>>();
  const proxies: Haproxy[] = [];

  const groupOf: GroupLookup = (arn) => {
    const known = groups.get(arn);
    if (known !== undefined) return known;
    const made = readSettings(elb, arn).then((settings) => createTargetGroup(ctx, arn, settings, DEFAULT_ATTRIBUTES));
    groups.set(arn, made);
    // A group that is not there now may be made later.
    made.catch(() => groups.delete(arn));
    return made;
  };
  const everyGroup = async (act: (group: TargetGroup) => void): Promise<void> => {
    for (const group of await Promise.all(groups.values())) act(group);
  };

  for (const interceptor of interceptors(groupOf, options.hosts)) options.use(interceptor);
  options.use({
    service: 'elasticloadbalancing',
    operation: 'ModifyTargetGroup',
    async after(request, response) {
      const arn = arnIn(decodeQuery(request.body));
      if (response.status === 200) (await groupOf(arn)).settings = await readSettings(elb, arn);
      return undefined;
    },
  });
  options.hosts.listen({
    state(id, state) {
      if (state !== 'terminated' && state !== 'stopped' && state !== 'running') return;
      work.inBackground(`targets of ${id}`, () =>
        everyGroup((group) => {
          if (state !== 'terminated') group.instanceChanged(id, state === 'stopped');
          else for (const t of group.targets().filter((target) => target.id === id)) group.deregister(id, t.port);
        }),
      );
    },
  });

  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await work.stop();
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    elb.destroy();
  };
  return {
    async createBalancer(spec) {
      const group = await groupOf(spec.targetGroupArn);
      const proxy = await startHaproxy({
        dir: join(options.rootDir, 'balancers', spec.name),
        address: spec.address,
        port: spec.port,
      });
      proxies.push(proxy);
      await group.attach(proxy);
      return { ...spec, pid: proxy.pid, connections: () => proxy.connections() };
    },
    failures: () => work.failures(),
    stop: () => (stopping ??= stop()),
  };
}
