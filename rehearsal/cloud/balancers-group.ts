/** One target group at work: its targets are checked, put into the data plane and drained out of it. */
import { connect } from 'node:net';
import { DataPlane, type PlaneContext, type Steering } from './balancers-plane.ts';
import {
  afterCheck,
  draining,
  endsConnections,
  receivers,
  registered,
  targetKey,
  type GroupSettings,
  type Target,
} from './balancers-targets.ts';
import type { Haproxy } from './haproxy.ts';

export interface GroupContext extends PlaneContext {
  /** Address of an instance; undefined when it is not known. */
  addressOf(instanceId: string): string | undefined;
  emit(what: string, detail: Readonly<Record<string, unknown>>): void;
}

/** A TCP health check: does the port accept a connection. A frozen process still does, through the kernel's backlog. */
export function checkTcp(address: string, port: number, timeoutMs: number): Promise<Target['failure']> {
  return new Promise((resolve) => {
    const socket = connect(port, address);
    const done = (failure: Target['failure']): void => {
      socket.destroy();
      resolve(failure);
    };
    socket.setTimeout(timeoutMs, () => done('timeout'));
    socket.once('connect', () => done(null));
    socket.once('error', () => done('refused'));
  });
}

export class TargetGroup {
  readonly arn: string;
  readonly attributes: Record<string, string>;
  settings: GroupSettings;
  private readonly ctx: GroupContext;
  private readonly plane: DataPlane;
  private readonly byKey = new Map<string, Target>();
  /** Who checks a target; a newer registration takes over from an older one. */
  private readonly watchers = new Map<string, symbol>();

  constructor(ctx: GroupContext, arn: string, settings: GroupSettings, attributes: Readonly<Record<string, string>>) {
    this.ctx = ctx;
    this.arn = arn;
    this.settings = settings;
    this.attributes = { ...attributes };
    this.plane = new DataPlane(ctx, this.name());
  }

  targets(): readonly Target[] {
    return [...this.byKey.values()];
  }

  find(id: string, port: number): Target | undefined {
    return this.byKey.get(targetKey({ id, port }));
  }

  inUse(): boolean {
    return this.plane.inUse();
  }

  /** The balancers do what has been decided so far (and whose propagation time is over). */
  settled(): Promise<void> {
    return this.plane.settled();
  }

  attach(proxy: Haproxy): Promise<void> {
    return this.plane.attach(proxy, this.decide());
  }

  /** A target that drains comes back as a new one; one that is registered stays as it is. */
  register(id: string, port: number): void {
    const target = registered(id, port);
    const before = this.find(id, port);
    if (before !== undefined && before.status !== 'draining') return;
    this.put(target, 'registered', false);
    this.startWatching(targetKey(target));
  }

  /** No new connections from now on; it leaves when the deregistration delay is over. */
  deregister(id: string, port: number): void {
    const before = this.find(id, port);
    if (before === undefined || before.status === 'draining') return;
    const delaySeconds = Number(this.attributes['deregistration_delay.timeout_seconds']);
    const target = draining(before, Date.now(), delaySeconds);
    this.put(target, `deregistered, delay ${delaySeconds} s`, false);
    this.ctx.inBackground(`drain of ${targetKey(target)}`, () => this.finishDraining(target, delaySeconds));
  }

  /** The instance stopped, or runs again. */
  instanceChanged(id: string, down: boolean): void {
    for (const [key, target] of this.byKey) {
      if (target.id !== id || target.status === 'draining' || target.instanceDown === down) continue;
      this.byKey.set(key, { ...registered(id, target.port), instanceDown: down });
      this.plane.propagate(down ? 'instance stopped' : 'instance runs again', this.decide(), null);
      if (!down) this.startWatching(key);
    }
  }

  private name(): string {
    return this.arn.split('/')[1] ?? this.arn;
  }

  private decide(): Steering[] {
    const taking = receivers(this.targets());
    return [...this.byKey].flatMap(([key, { id, port }]) => {
      const address = this.ctx.addressOf(id);
      return address === undefined ? [] : [{ key, address, port, mode: taking.has(key) ? 'ready' : 'drain' }];
    });
  }

  private put(target: Target, why: string, cut: boolean): void {
    const key = targetKey(target);
    const before = this.byKey.get(key);
    this.byKey.set(key, target);
    if (before?.status === target.status && !cut) return;
    this.tell(target, `is ${target.status} (${why})`);
    this.plane.propagate(why, this.decide(), cut ? key : null);
  }

  private tell({ id, port, status }: Target, what: string): void {
    const detail = { targetGroupArn: this.arn, instanceId: id, port, state: status };
    this.ctx.emit(`${id} in ${this.name()} ${what}`, detail);
  }

  private startWatching(key: string): void {
    const mark = Symbol(key);
    this.watchers.set(key, mark);
    this.ctx.inBackground(`health checks of ${key}`, () => this.watch(key, mark));
  }

  /** Checks a target until it is no longer the one that was registered, drains, or everything stops. */
  private async watch(key: string, mark: symbol): Promise<void> {
    do {
      const target = this.byKey.get(key);
      if (this.watchers.get(key) !== mark || target === undefined || target.status === 'draining') return;
      if (!target.instanceDown) await this.check(target, key, mark);
    } while (await this.ctx.wait(this.settings.checkIntervalMs));
  }

  private async check(target: Target, key: string, mark: symbol): Promise<void> {
    const address = this.ctx.addressOf(target.id);
    if (address === undefined) return;
    const { checkPort, checkTimeoutMs } = this.settings;
    const failure = await checkTcp(address, checkPort ?? target.port, checkTimeoutMs);
    const now = this.byKey.get(key);
    if (now === undefined || this.watchers.get(key) !== mark) return;
    const after = afterCheck(now, failure, this.settings);
    const why = failure === null ? 'health check passed' : `health check ${failure}`;
    this.put(after, why, endsConnections(now, after, this.attributes));
  }

  private async finishDraining(target: Target, delaySeconds: number): Promise<void> {
    const key = targetKey(target);
    if (!(await this.ctx.wait(delaySeconds * 1000)) || this.byKey.get(key) !== target) return;
    this.byKey.delete(key);
    this.watchers.delete(key);
    this.tell(target, 'has left');
    const ends = this.attributes['deregistration_delay.connection_termination.enabled'] === 'true';
    // Decided anew: whoever is left may all be unhealthy now, and then takes the traffic.
    this.plane.propagate(`end of drain of ${key}`, this.decide(), ends ? key : null, () =>
      this.plane.remove(key, () => this.byKey.has(key)),
    );
  }
}
