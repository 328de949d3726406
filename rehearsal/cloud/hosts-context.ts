/** What the parts of the emulated EC2 share: the machines, the clock of their delays, and the ears of the others. */
import { join } from 'node:path';
import type { EC2Client } from '@aws-sdk/client-ec2';
import type { InstanceState } from '../../lambdas/model/view.ts';
import type { Delays } from './contract.ts';
import { AwsFault, type MotoEndpoint } from './ec2-query.ts';
import type { HostFacts, Machine, PreparedHost } from './hosts-machine.ts';

export interface HostsListener {
  /** EC2 now says that the instance is in this state. */
  state?(id: string, state: InstanceState): void;
  /** The power goes now (on a clean stop: after the shutdown). */
  powerOff?(id: string): void;
}

export interface HostsContext {
  readonly moto: MotoEndpoint;
  /** Straight to moto, past the gateway. */
  readonly ec2: EC2Client;
  readonly machines: Map<string, Machine>;
  readonly delays: Delays;
  readonly rootDir: string;
  /** Device name of the volume that is mounted as the host's data directory, such as /dev/sdf. */
  readonly dataDevice: string;
  readonly databasePort: number;
  readonly clusterTag: string;
  prepareHost(facts: HostFacts): Promise<PreparedHost>;
  startAgent(machine: Machine, generation: number): Promise<void>;
  roleOf(profile: { readonly arn: string } | { readonly name: string }): Promise<string | null>;
  readonly listeners: HostsListener[];
  emit(kind: string, what: string, detail?: Readonly<Record<string, unknown>>): void;
  emitStateChange(id: string, state: InstanceState): void | Promise<void>;
  /** Runs on after the call was answered; a failure is told on the timeline and kept for `failures()`. */
  inBackground(what: string, task: () => Promise<void>): void;
  /** False when everything was stopped meanwhile: give up quietly. */
  wait(ms: number): Promise<boolean>;
}

export const volumeDir = (ctx: Pick<HostsContext, 'rootDir'>, volumeId: string): string =>
  join(ctx.rootDir, 'volumes', volumeId);
/** The file system on the volume. */
export const volumeData = (ctx: Pick<HostsContext, 'rootDir'>, volumeId: string): string =>
  join(volumeDir(ctx, volumeId), 'data');

/** @throws AwsFault InvalidInstanceID.NotFound */
export function machineOf(ctx: HostsContext, id: string): Machine {
  const machine = ctx.machines.get(id);
  if (machine === undefined) {
    throw new AwsFault('InvalidInstanceID.NotFound', `The instance ID '${id}' does not exist`);
  }
  return machine;
}

const USER_INITIATED = 'Client.UserInitiatedShutdown';

/** The one place where a machine's state changes: everybody who must know is told. */
export function setState(ctx: HostsContext, machine: Machine, state: InstanceState, nowMs: number): void {
  if (machine.state === state) return;
  machine.state = state;
  announce(ctx, machine, nowMs);
}

export function announce(ctx: HostsContext, machine: Machine, nowMs: number): void {
  const { state } = machine;
  if (state === 'shutting-down' || state === 'stopping') {
    machine.reason = { code: USER_INITIATED, message: `${USER_INITIATED}: User initiated shutdown`, atMs: nowMs };
  } else if (state === 'pending' || state === 'running') {
    machine.reason = null;
  }
  ctx.emit('instance', `${machine.id} is ${state}`, { instanceId: machine.id, state, zone: machine.zone });
  for (const listener of ctx.listeners) listener.state?.(machine.id, state);
  ctx.inBackground(`event of ${machine.id}`, async () => ctx.emitStateChange(machine.id, state));
}

export interface BackgroundWork {
  inBackground(what: string, task: () => Promise<void>): void;
  wait(ms: number): Promise<boolean>;
  failures(): readonly Error[];
  /** Ends all waiting, then waits for what still runs. */
  stop(): Promise<void>;
}

/** Work that outlives the call that began it, and can be told to end. */
export function backgroundWork(onFailure: (what: string, error: Error) => void): BackgroundWork {
  const running = new Set<Promise<void>>();
  const waiting = new Set<() => void>();
  const failures: Error[] = [];
  let stopped = false;
  return {
    inBackground(what, task) {
      const run = task()
        .catch((cause: unknown) => {
          const error = cause instanceof Error ? cause : new Error(String(cause));
          failures.push(error);
          onFailure(what, error);
        })
        .finally(() => running.delete(run));
      running.add(run);
    },
    async wait(ms) {
      if (stopped) return false;
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          waiting.delete(done);
          resolve();
        };
        const timer = setTimeout(done, ms);
        waiting.add(done);
      });
      return !stopped;
    },
    failures: () => failures,
    async stop() {
      stopped = true;
      for (const done of [...waiting]) done();
      while (running.size > 0) await Promise.all([...running]);
    },
  };
}
