/**
 * Network Load Balancers: target groups answered from real health checks, HAProxy as the data plane. moto's own
 * listeners refuse TCP, so a balancer is made here, by the rehearsal's set-up, and not through the API.
 */
import { join } from 'node:path';
import { DescribeTargetGroupsCommand, ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import type { CloudEvent, Interceptor } from './contract.ts';
import { arnIn, targetGroupInterceptors, type GroupLookup } from './balancers-api.ts';
import { TargetGroup, type GroupContext } from './balancers-group.ts';
import { DEFAULT_ATTRIBUTES, type GroupSettings } from './balancers-targets.ts';
import { AwsFault, decodeQuery, type MotoEndpoint } from './ec2-query.ts';
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

/** Group settings as moto keeps them. */
async function readSettings(elb: ElasticLoadBalancingV2Client, arn: string): Promise<GroupSettings> {
  const missing = (): AwsFault => new AwsFault('TargetGroupNotFound', `One or more target groups not found: '${arn}'`);
  const answer = await elb.send(new DescribeTargetGroupsCommand({ TargetGroupArns: [arn] })).catch((error: unknown) => {
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
    const made = readSettings(elb, arn).then((settings) => new TargetGroup(ctx, arn, settings, DEFAULT_ATTRIBUTES));
    groups.set(arn, made);
    // A group that is not there now may be made later.
    made.catch(() => groups.delete(arn));
    return made;
  };
  const everyGroup = async (act: (group: TargetGroup) => void): Promise<void> => {
    for (const group of await Promise.all(groups.values())) act(group);
  };

  for (const interceptor of targetGroupInterceptors(groupOf, options.hosts)) options.use(interceptor);
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
