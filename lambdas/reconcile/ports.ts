/** The outside world as reconcile needs it. */
import type {
  Clock,
  DnsZones,
  Instances,
  Ledger,
  Log,
  Metrics,
  Notifications,
  Pace,
  PostgresAdmin,
  Prober,
  ReconcileRequests,
  Secrets,
  Specs,
  TargetGroups,
  Volumes,
  Workflows,
} from '../cloud/ports.ts';

export interface ReconcilePorts {
  readonly clock: Clock;
  readonly specs: Specs;
  readonly instances: Instances;
  readonly volumes: Volumes;
  readonly targetGroups: TargetGroups;
  readonly dns: DnsZones;
  readonly ledger: Ledger;
  readonly workflows: Workflows;
  readonly requests: ReconcileRequests;
  readonly secrets: Secrets;
  readonly prober: Prober;
  /** Only PostgreSQL clusters are administered over SQL. */
  readonly admin: PostgresAdmin;
  readonly notifications: Notifications;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What may be asked of AWS in a second; as much as is wanted unless given. */
  readonly pace?: Pace;
}

const CLOUD = ['specs', 'instances', 'volumes', 'targetGroups', 'dns', 'ledger', 'workflows', 'notifications'] as const;

/**
 * The same ports, and how often each of AWS's was called since. Pages and the SDK's own retries are not counted; the secret
 * is, when it is asked for, though it is cached.
 */
export function counted(ports: ReconcilePorts): {
  readonly ports: ReconcilePorts;
  readonly calls: Map<string, number>;
} {
  const calls = new Map<string, number>();
  const wrapped = Object.fromEntries(CLOUD.map((name) => [name, counting(name, ports[name], calls)]));
  return { ports: { ...ports, ...wrapped }, calls };
}

const counting = (name: string, port: object, calls: Map<string, number>): object =>
  new Proxy(port, {
    get(target, key) {
      const member: unknown = Reflect.get(target, key, target);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]): unknown => {
        const operation = `${name}.${String(key)}`;
        calls.set(operation, (calls.get(operation) ?? 0) + 1);
        return Reflect.apply(member, target, args);
      };
    },
  });
