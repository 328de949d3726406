/** One target group at work: its targets are checked, put into the data plane and drained out of it. */
import { connect } from 'node:net';
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

export interface GroupContext {
  /** Address of an instance; undefined when it is not known. */
  addressOf(instanceId: string): string | undefined;
  emit(what: string, detail: Readonly<Record<string, unknown>>): void;
  inBackground(what: string, task: () => Promise<void>): void;
  /** False when everything stops. */
  wait(ms: number): Promise<boolean>;
  /** From a decision to the data plane that carries it out. */
  readonly propagationMs: number;
}

export interface TargetGroup {
  readonly arn: string;
  settings: GroupSettings;
  readonly attributes: Record<string, string>;
  targets(): readonly Target[];
  find(id: string, port: number): Target | undefined;
  inUse(): boolean;
  register(id: string, port: number): void;
  deregister(id: string, port: number): void;
  /** The instance stopped or runs again. */
  instanceChanged(id: string, down: boolean): void;
  attach(proxy: Haproxy): Promise<void>;
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

const shortName = (arn: string): string => arn.split('/')[1] ?? arn;

export function createTargetGroup(
  ctx: GroupContext,
  arn: string,
  settings: GroupSettings,
  initialAttributes: Readonly<Record<string, string>>,
): TargetGroup {
  const targets = new Map<string, Target>();
  const proxies: Haproxy[] = [];
  const attributes: Record<string, string> = { ...initialAttributes };
  /** Changes of the data plane happen one after another, in the order in which they were decided. */
  let line: Promise<void> = Promise.resolve();

  function inLine(what: string, task: () => Promise<void>): void {
    ctx.inBackground(`${what} in ${shortName(arn)}`, async () => {
      const before = line;
      const mine = (async () => {
        await before.catch(() => undefined); // told by the one whose task it was
        await task();
      })();
      line = mine;
      await mine;
    });
  }

  async function steer(): Promise<void> {
    const taking = receivers([...targets.values()]);
    for (const [key, target] of targets) {
      const address = ctx.addressOf(target.id);
      if (address === undefined) continue;
      for (const proxy of proxies) await proxy.set(key, address, target.port, taking.has(key) ? 'ready' : 'drain');
    }
  }

  /** What was decided reaches the balancers; connections of `cut` are ended once nobody new can come. */
  function propagate(why: string, cut: string | null): void {
    inLine(why, async () => {
      if (ctx.propagationMs > 0 && !(await ctx.wait(ctx.propagationMs))) return;
      await steer();
      if (cut !== null) for (const proxy of proxies) await proxy.cut(cut);
    });
  }

  function put(target: Target, why: string, cut: boolean): void {
    const key = targetKey(target);
    const before = targets.get(key);
    targets.set(key, target);
    if (before?.status === target.status && !cut) return;
    ctx.emit(`${target.id} in ${shortName(arn)} is ${target.status} (${why})`, {
      targetGroupArn: arn,
      instanceId: target.id,
      port: target.port,
      state: target.status,
    });
    propagate(why, cut ? key : null);
  }

  /** Checks a target until it is no longer the one that was registered, drains, or everything stops. */
  async function watch(key: string, mark: symbol): Promise<void> {
    for (;;) {
      const target = targets.get(key);
      if (watchers.get(key) !== mark || target === undefined || target.status === 'draining') return;
      const address = ctx.addressOf(target.id);
      if (!target.instanceDown && address !== undefined) {
        const failure = await checkTcp(address, settings.checkPort ?? target.port, settings.checkTimeoutMs);
        const now = targets.get(key);
        if (now !== undefined && watchers.get(key) === mark) {
          const after = afterCheck(now, failure, settings);
          put(after, failure === null ? 'health check passed' : `health check ${failure}`, endsConnections(now, after, attributes));
        }
      }
      if (!(await ctx.wait(settings.checkIntervalMs))) return;
    }
  }
  const watchers = new Map<string, symbol>();

  function startWatching(key: string): void {
    const mark = Symbol(key);
    watchers.set(key, mark);
    ctx.inBackground(`health checks of ${key}`, () => watch(key, mark));
  }

  /** The end of the deregistration delay. */
  async function finishDraining(key: string, target: Target, delaySeconds: number): Promise<void> {
    if (!(await ctx.wait(delaySeconds * 1000)) || targets.get(key) !== target) return;
    targets.delete(key);
    watchers.delete(key);
    ctx.emit(`${target.id} left ${shortName(arn)}`, { targetGroupArn: arn, instanceId: target.id, port: target.port });
    const ends = attributes['deregistration_delay.connection_termination.enabled'] === 'true';
    inLine(`end of drain of ${key}`, async () => {
      // Whoever is left may all be unhealthy now, and then takes the traffic.
      await steer();
      if (ends) for (const proxy of proxies) await proxy.cut(key);
    });
    ctx.inBackground(`removal of ${key}`, () => removeServer(key));
  }

  /** Without connection termination, connections live on past the delay; the server goes when the last has ended. */
  async function removeServer(key: string): Promise<void> {
    for (;;) {
      let left = false;
      const tried = new Promise<void>((resolve) => {
        inLine(`removal of ${key}`, async () => {
          try {
            if (!targets.has(key)) for (const proxy of proxies) left = !(await proxy.remove(key)) || left;
          } finally {
            resolve();
          }
        });
      });
      await tried;
      if (!left || !(await ctx.wait(500))) return;
    }
  }

  return {
    arn,
    get settings() {
      return settings;
    },
    set settings(value) {
      settings = value;
    },
    attributes,
    targets: () => [...targets.values()],
    find: (id, port) => targets.get(targetKey({ id, port })),
    inUse: () => proxies.length > 0,
    register(id, port) {
      const target = registered(id, port);
      const key = targetKey(target);
      const before = targets.get(key);
      if (before !== undefined && before.status !== 'draining') return;
      put(target, 'registered', false);
      startWatching(key);
    },
    deregister(id, port) {
      const key = targetKey({ id, port });
      const before = targets.get(key);
      if (before === undefined || before.status === 'draining') return;
      const delaySeconds = Number(attributes['deregistration_delay.timeout_seconds']);
      const target = draining(before, Date.now(), delaySeconds);
      put(target, `deregistered, delay ${delaySeconds} s`, false);
      ctx.inBackground(`drain of ${key}`, () => finishDraining(key, target, delaySeconds));
    },
    instanceChanged(id, down) {
      for (const [key, target] of targets) {
        if (target.id !== id || target.status === 'draining' || target.instanceDown === down) continue;
        targets.set(key, { ...registered(id, target.port), instanceDown: down });
        propagate(down ? 'instance stopped' : 'instance runs again', null);
        if (!down) startWatching(key);
      }
    },
    async attach(proxy) {
      proxies.push(proxy);
      await steer();
    },
  };
}
