/** The ports as one invocation has them: slow, throttled, stale, and gone when the invocation is killed. */
import { CloudUnavailable, NodeUnavailable } from '../lambdas/cloud/ports.ts';
import type { FakeCloud } from '../test/fakes/index.ts';
import type { Actor } from './actor.ts';
import { never } from './actor.ts';
import { apiCalls } from './aws/calls.ts';
import type { Costs } from './aws/calls.ts';
import { CLUSTERS } from './aws/others.ts';
import type { World } from './world.ts';

export type Ports = Omit<FakeCloud, 'aws'>;

/** Answers of these may be old: EC2, ELB and Step Functions are eventually consistent, DynamoDB is asked not to be. */
const EVENTUAL = new Set([
  'instances.ofCluster',
  'instances.ofEveryCluster',
  'instances.byIds',
  'volumes.byIds',
  'volumes.ofCluster',
  'targetGroups.health',
  'workflows.state',
]);
const LOCAL = new Set(['log', 'metrics', 'clock']);
const NOT_AWS = new Set(['prober.probe', 'prober.close']);
const STALE_MAX_MS = 6000;

/** A probe that is quicker is answered at once: a step of time for each would be a third of all. */
const NOTICED_MS = 10;

/** How the interface of a port is named. */
export const INTERFACES: Readonly<Record<string, string>> = {
  ...{ specs: 'Specs', instances: 'Instances', volumes: 'Volumes', targetGroups: 'TargetGroups', dns: 'DnsZones' },
  ...{ ledger: 'Ledger', workflows: 'Workflows', requests: 'ReconcileRequests', hosts: 'HostCommands' },
  ...{ secrets: 'Secrets', prober: 'Prober', admin: 'PostgresAdmin', notifications: 'Notifications' },
  ...{ bucket: 'ArchiveBucket', leases: 'Leases', starts: 'ArchiveStarts' },
};

const named = new Map<string, string>();

/** `Instances.launch` of `instances.launch`. */
function ofInterface(operation: string): string {
  const known = named.get(operation);
  if (known !== undefined) return known;
  const [port = '', method = ''] = operation.split('.');
  const name = `${INTERFACES[port] ?? port}.${method}`;
  named.set(operation, name);
  return name;
}

interface Answer {
  readonly atMs: number;
  readonly value: unknown;
}

/** A call that a sabotaged plane answers otherwise. */
export type Intercept = (
  call: { readonly actor: Actor; readonly operation: string; readonly args: unknown[] },
  go: () => Promise<unknown>,
) => Promise<unknown>;

export class Plane {
  readonly #world: World;
  readonly #answers = new Map<string, Answer[]>();

  readonly #costs: Costs;

  constructor(world: World) {
    this.#world = world;
    const differs = (groupArn: string, drainSeconds: number): boolean => {
      const group = world.aws.targetGroups.get(groupArn);
      return group !== undefined && (group.drainSeconds !== drainSeconds || !group.endsConnections);
    };
    this.#costs = { clusters: CLUSTERS, differs };
  }

  portsOf(actor: Actor): Ports {
    const { cloud, clock } = this.#world;
    const entries = Object.entries(cloud).filter(([name]) => name !== 'aws');
    const ports = entries.map(([name, port]) => [name, LOCAL.has(name) ? port : this.#proxy(actor, name, port)]);
    const own = {
      nowMs: () => clock.nowMs() + actor.skewMs,
      sleep: (ms: number) => clock.sleep(ms).then(() => (actor.dead ? never() : undefined)),
    };
    return { ...(Object.fromEntries(ports) as Ports), clock: own as Ports['clock'] };
  }

  #proxy(actor: Actor, name: string, port: object): object {
    const methods = new Map<PropertyKey, unknown>();
    return new Proxy(port, {
      get: (target, key) => {
        const known = methods.get(key);
        if (known !== undefined) return known;
        const member: unknown = Reflect.get(target, key, target);
        if (typeof member !== 'function') return member;
        const operation = `${name}.${String(key)}`;
        const method = (...args: unknown[]): Promise<unknown> => {
          const go = (): Promise<unknown> =>
            this.#call(actor, operation, args, () => Reflect.apply(member, target, args) as Promise<unknown>);
          return this.#world.intercept === null ? go() : this.#world.intercept({ actor, operation, args }, go);
        };
        methods.set(key, method);
        return method;
      },
    });
  }

  async #call(actor: Actor, operation: string, args: unknown[], effect: () => Promise<unknown>): Promise<unknown> {
    const { random, weather, clock, guard, account } = this.#world;
    if (actor.dead) return never();
    if (NOT_AWS.has(operation)) {
      const probe = await effect();
      const tookMs = (probe as { tookMs?: number } | undefined)?.tookMs ?? 0;
      if (tookMs >= NOTICED_MS) await clock.sleep(tookMs);
      return actor.dead ? never() : probe;
    }
    if (this.#dies()) return killed(actor, `before ${operation}`);
    if (random.chance(0.3)) await clock.sleep(random.int(5, 120));
    if (actor.dead) return never();
    const onNode = operation.startsWith('admin.');
    if (!onNode && random.chance(weather.fails))
      throw new CloudUnavailable(`${operation}: ServiceUnavailable, four times`);
    for (const api of this.#apis(operation, args)) {
      if (!account.take(api)) await account.tryAgain(api, () => actor.dead);
      if (actor.dead) return never();
    }
    guard.before(actor, operation, args);
    const value = await effect();
    guard.after(actor, operation, args, value);
    this.#world.consequences(actor, operation, args, value);
    if (this.#dies()) return killed(actor, `after ${operation}`);
    if (random.chance(Math.max(weather.pause, actor.slow))) await clock.sleep(random.int(1000, 9000));
    if (actor.dead) return never();
    if (random.chance(weather.lostReply)) {
      throw new (onNode ? NodeUnavailable : CloudUnavailable)(`${operation}: the answer was lost`);
    }
    return EVENTUAL.has(operation) ? this.#old(operation, args, value) : value;
  }

  /** An operation whose cost nobody knows is a night that tells nothing of budgets: it fails. */
  #apis(operation: string, args: unknown[]): readonly string[] {
    try {
      return apiCalls({ operation: ofInterface(operation), args }, this.#costs);
    } catch (error) {
      this.#world.guard.violate('simulator', String(error));
      return [];
    }
  }

  #dies(): boolean {
    return this.#world.random.chance(this.#world.weather.kill);
  }

  #old(operation: string, args: unknown[], value: unknown): unknown {
    const { clock, random, weather } = this.#world;
    const key = `${operation} ${JSON.stringify(args)}`;
    const nowMs = clock.nowMs();
    const known = (this.#answers.get(key) ?? []).filter((a) => nowMs - a.atMs <= STALE_MAX_MS);
    const old = random.chance(weather.stale) ? random.pick(known) : undefined;
    this.#answers.set(key, [...known.slice(-6), { atMs: nowMs, value }]);
    return old === undefined ? value : old.value;
  }
}

function killed(actor: Actor, when: string): Promise<never> {
  actor.die('Runtime.ExitError', `killed ${when}`);
  return never();
}
