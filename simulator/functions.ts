/** The functions and state machines, as AWS runs them. */
import { bootstrapping } from '../lambdas/bootstrap/steps.ts';
import { machineOf } from '../lambdas/cloud/aws-workflows.ts';
import type { MachineName } from '../lambdas/cloud/aws-workflows.ts';
import { paceOf, signalsPaceOf } from '../lambdas/cloud/pace.ts';
import type { Pace } from '../lambdas/cloud/ports.ts';
import { failover } from '../lambdas/failover/steps.ts';
import type { RecoveryInput } from '../lambdas/model/recovery.ts';
import { operate } from '../lambdas/operate/operate.ts';
import { reconcileBatch } from '../lambdas/reconcile/batch.ts';
import { runStep } from '../lambdas/recovery/step.ts';
import type { Capability, StepEvent } from '../lambdas/recovery/step.ts';
import type { Carried } from '../lambdas/recovery/state.ts';
import { replacement } from '../lambdas/replace/steps.ts';
import { rollingOver } from '../lambdas/rolling/steps.ts';
import { Memory } from '../lambdas/signals/memory.ts';
import { receive } from '../lambdas/signals/receive.ts';
import { switchover } from '../lambdas/switchover/steps.ts';
import { Watch } from '../lambdas/watch/watch.ts';
import { DEFAULT_QUOTAS } from '../lib/capabilities/reconcile.ts';
import { SIGNALS_ENVIRONMENTS } from '../lib/capabilities/signals.ts';
import { failoverDefinition } from '../lib/workflows/failover.ts';
import { bootstrapDefinition } from '../lib/workflows/bootstrap.ts';
import { replaceDefinition } from '../lib/workflows/replace.ts';
import { rollingDefinition } from '../lib/workflows/rolling.ts';
import { switchoverDefinition } from '../lib/workflows/switchover.ts';
import { runMachine } from '../test/support/asl.ts';
import { Actor, never } from './actor.ts';
import type { Ports } from './plane.ts';
import type { Message } from './queues.ts';
import { Warm } from './warm.ts';
import type { World } from './world.ts';

/** What an environment of reconcile remembers, as its handler has it. */
interface ReconcileMemory {
  readonly looks: Map<string, number>;
  readonly putOffs: Map<string, number>;
  readonly pace: Pace;
}

/** It looks several times a second when much happens, and an environment lives for hours. */
const RECONCILE_ENDED = 0.02;

/** What an environment of signals remembers. */
interface SignalsMemory {
  readonly memory: Memory;
  readonly pace: Pace;
}

/** As the constructs give it. */
const PACE = JSON.stringify(DEFAULT_QUOTAS);
const SIGNALS_PACE = JSON.stringify({ ...DEFAULT_QUOTAS, environments: SIGNALS_ENVIRONMENTS });

const MACHINE = { functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:step' };
const DEFINITIONS = {
  replace: replaceDefinition(MACHINE),
  bootstrap: bootstrapDefinition(MACHINE),
  failover: failoverDefinition(MACHINE),
  switchover: switchoverDefinition(MACHINE),
  rolling: rollingDefinition(MACHINE),
};
const RECONCILE_TIMEOUT_MS = 20_000;
const SIGNALS_TIMEOUT_MS = 30_000;
const STEP_TIMEOUT_MS = 120_000;
const WATCH_MS = 60_000;
/** Chance that a call of a slow twin is late by seconds: of the dozen that it makes most are not. */
const SLOW_TWIN = 0.2;
/** The watch looks every 100 ms what is due; here less often, which only costs time. */
const WATCH_TICK_MS = 500;

export class Functions {
  readonly #world: World;
  readonly #actors = new Set<Actor>();
  readonly #signals: Warm<SignalsMemory>;
  readonly #reconciles: Warm<ReconcileMemory>;
  readonly #running = new Set<string>();
  readonly #aborted = new Set<string>();
  #watch: { readonly actor: Actor; readonly watch: Watch } | null = null;
  #containers = 0;
  /** The workflows' steps; a sabotage puts others here. */
  capabilities: Record<Exclude<MachineName, 'rolling'>, Capability<never>> = {
    replace: replacement as unknown as Capability<never>,
    bootstrap: bootstrapping as unknown as Capability<never>,
    failover: failover as unknown as Capability<never>,
    switchover: switchover as unknown as Capability<never>,
  };

  constructor(world: World) {
    this.#world = world;
    this.#signals = new Warm(world, () => ({
      memory: new Memory(`signals-${world.aws.nextNumber()}`),
      pace: signalsPaceOf(world.clock, SIGNALS_PACE),
    }));
    this.#reconciles = new Warm(
      world,
      () => {
        const pace = paceOf(world.clock, PACE);
        world.others.lend(pace);
        world.budget.begins();
        return { looks: new Map(), putOffs: new Map(), pace };
      },
      ({ pace }) => world.others.takeBack(pace),
      RECONCILE_ENDED,
    );
  }

  signals(batch: readonly Message[]): Promise<readonly string[]> {
    return this.#signals.serve(({ memory, pace }) =>
      this.#invoke('signals', null, SIGNALS_TIMEOUT_MS, (ports) =>
        receive(recordsOf(batch), { ...ports, pace }, memory),
      ),
    );
  }

  reconcile(batch: readonly Message[]): Promise<readonly string[]> {
    const once = (slow = 0): Promise<readonly string[]> =>
      this.#reconciles.serve(({ looks, putOffs, pace }) => {
        const work = (ports: Ports) => reconcileBatch(recordsOf(batch), { ...ports, pace }, looks, putOffs);
        return this.#invoke('reconcile', null, RECONCILE_TIMEOUT_MS, work, slow);
      });
    this.#perhapsTwice(once);
    // Nobody waits for the twin.
    if (this.#world.clock.nowMs() < this.#world.twinsUntilMs) void once(SLOW_TWIN).then(null, () => undefined);
    return once();
  }

  operate(request: unknown): Promise<void> {
    return this.#invoke('operate', null, SIGNALS_TIMEOUT_MS, (ports) =>
      operate(request, { ...ports, unique: () => `u${this.#world.aws.nextNumber()}` }),
    ).then(
      (a) => this.#world.story.tell('operator', a.message),
      (e: unknown) => this.#world.story.tell('operator', String(e)),
    );
  }

  /** Every minute. */
  watch(): void {
    if (this.#watch === null || this.#watch.actor.dead || this.#world.random.chance(0.1)) {
      this.#containers += 1;
      const actor = this.#actor(`watch-${this.#containers}`, null);
      const ports = this.#world.plane.portsOf(actor);
      const slow = (ms: number): Promise<void> => ports.clock.sleep(Math.max(ms, WATCH_TICK_MS));
      const clock = { nowMs: () => ports.clock.nowMs(), sleep: slow } as Ports['clock'];
      const config = { probeIntervalMs: 2000, sweepSeconds: 180, containerId: actor.name };
      this.#watch = { actor, watch: new Watch({ ...ports, clock }, config) };
    }
    const { watch, actor } = this.#watch;
    void watch.run(this.#world.clock.nowMs() + actor.skewMs + WATCH_MS).then(null, (error: unknown) => {
      this.#world.story.tell(actor.name, String(error));
    });
  }

  /** Begins the execution that Step Functions was just asked for, unless it is one that exists. */
  begin(arn: string): void {
    const execution = this.#world.aws.executions.get(arn);
    if (execution === undefined || this.#running.has(arn)) return;
    this.#running.add(arn);
    const name = arn.slice(arn.lastIndexOf(':') + 1);
    this.#world.story.tell(name, `begins: ${execution.input.reason}`);
    void this.#run(arn, name, execution.input).then((state) => {
      if (this.#aborted.has(arn)) return;
      execution.state = state;
      this.#world.story.tell(name, `is ${state}`);
      this.#world.emit('aws.states', 'Step Functions Execution Status Change', {
        executionArn: arn,
        status: state,
        input: JSON.stringify(execution.input),
      });
    });
  }

  /** A person stops an execution: its Lambda that runs goes on to its end. */
  abort(arn: string): void {
    this.#aborted.add(arn);
    this.#world.aws.endExecution(arn, 'ABORTED');
  }

  /** Every invocation under way ends. */
  off(): void {
    for (const actor of this.#actors) actor.die('Runtime.ExitError', 'the plane is switched off');
    this.#watch = null;
    this.#world.archive?.off();
  }

  async #run(arn: string, name: string, input: RecoveryInput): Promise<'SUCCEEDED' | 'FAILED' | 'TIMED_OUT'> {
    const which = machineOf(input.mode);
    const { clock } = this.#world;
    const alive = <T>(value: T): T | Promise<never> => (this.#aborted.has(arn) ? never() : value);
    const machine = {
      definition: DEFINITIONS[which],
      executionArn: arn,
      clock: { nowMs: () => clock.nowMs(), sleep: (ms: number) => clock.sleep(ms).then(alive) },
      invoke: async (payload: unknown) => {
        await clock.sleep(this.#world.random.int(20, 300));
        await alive(null);
        while (!this.#world.planeOn) await clock.sleep(5000);
        return this.#step(which, name, payload as StepEvent);
      },
    };
    const run = await runMachine(machine, input).catch((error: unknown) => {
      this.#world.story.tell(name, `ends with ${String(error)}`);
      return { status: 'FAILED' as const };
    });
    return alive(run.status);
  }

  async #step(which: MachineName, name: string, event: StepEvent): Promise<unknown> {
    const once = async (): Promise<unknown> => {
      try {
        return await this.#invoke(name, event.execution, STEP_TIMEOUT_MS, (ports) => {
          const capability = which === 'rolling' ? rollingOver(ports.workflows) : this.capabilities[which];
          return runStep(capability as unknown as Capability<Carried>, event, ports);
        });
      } catch (error) {
        this.#world.story.tell(
          name,
          `${event.step}: ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`,
        );
        throw error;
      }
    };
    // Lambda or the network lost the first answer: the same step again, with the same input.
    if (this.#world.random.chance(this.#world.weather.invokedTwice)) await once();
    return once();
  }

  #perhapsTwice(once: () => Promise<unknown>): void {
    if (!this.#world.random.chance(this.#world.weather.invokedTwice)) return;
    this.#world.clock.in(this.#world.random.int(0, 4000), () => {
      // Nobody waits for this one.
      void once().then(null, () => undefined);
    });
  }

  #actor(name: string, execution: string | null): Actor {
    const { skewMs } = this.#world.weather;
    return new Actor(name, execution, this.#world.random.int(-skewMs, skewMs));
  }

  #invoke<T>(
    name: string,
    execution: string | null,
    timeoutMs: number,
    work: (ports: Ports) => Promise<T>,
    slow = 0,
  ): Promise<T> {
    const actor = this.#actor(name, execution);
    actor.slow = slow;
    this.#actors.add(actor);
    const end = (): boolean => this.#actors.delete(actor) && !actor.dead;
    return new Promise((resolve, reject) => {
      actor.onDeath = (error) => {
        this.#actors.delete(actor);
        this.#world.story.tell(name, error.message);
        reject(error);
      };
      this.#world.clock.in(timeoutMs, () => {
        if (this.#actors.has(actor)) actor.die('Sandbox.Timedout', `timed out after ${timeoutMs / 1000} s`);
      });
      work(this.#world.plane.portsOf(actor)).then(
        (value) => void (end() && resolve(value)),
        (error: unknown) => void (end() && reject(error instanceof Error ? error : new Error(String(error)))),
      );
    });
  }
}

/** As Lambda hands them over. */
const recordsOf = (batch: readonly Message[]) =>
  batch.map((m) => ({ messageId: m.id, body: m.body, attributes: { SentTimestamp: String(m.sentAtMs) } }));
