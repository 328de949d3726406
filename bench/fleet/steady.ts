/**
 * (c) A quiet fleet: the real watch and the real reconciles over virtual minutes, each API's calls against its limit, and what it
 * costs. Clusters without an archive; nothing fails.
 */
import type { Prober } from '../../lambdas/cloud/ports.ts';
import { reconcileBatch } from '../../lambdas/reconcile/batch.ts';
import { Watch } from '../../lambdas/watch/watch.ts';
import { bucketsOf, LIMITS } from '../../simulator/aws/limits.ts';
import { SimClock } from '../../simulator/clock.ts';
import { type ApiUse, usesOf } from './budget.ts';
import { aFleet, type Fleet } from './world.ts';
import { costOf, type Cost } from './prices.ts';

/** Defaults of the construct (lib/control-plane.ts). */
export const SCHEDULE = { probeIntervalMs: 1000, sweepSeconds: 180 } as const;
const SWEEP_SECONDS = SCHEDULE.sweepSeconds;
const MINUTE_MS = 60_000;
const BATCH = 10;
const CONSUME_EVERY_MS = 100;

export interface SteadyFigure {
  readonly clusters: number;
  readonly seconds: number;
  readonly uses: readonly ApiUse[];
  readonly reconciles: number;
  readonly probesPerSecond: number;
  /** Of the watch's own code, without what a real probe costs. */
  readonly watchCpuShare: number;
  readonly cost: Cost;
}

/** Answers at once, and leaves no trace. */
class QuickProber implements Prober {
  probes = 0;
  readonly #fleet: Fleet;
  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  probe({ instanceId }: Parameters<Prober['probe']>[0]): ReturnType<Prober['probe']> {
    this.probes += 1;
    const { aws } = this.#fleet;
    const found = aws.probes.get(instanceId);
    if (found === undefined) throw new Error(`nobody is ${instanceId}`);
    return Promise.resolve(typeof found === 'function' ? found(aws.clock.nowMs()) : found);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** One whole period of the sweep, after a minute in which everything is new. */
export async function steady(clusters: number): Promise<SteadyFigure> {
  const clock = new SimClock();
  const fleet = aFleet(clusters, clock);
  const prober = new QuickProber(fleet);
  const ports = { ...fleet.ports, prober };
  const watch = new Watch(ports, {
    ...SCHEDULE,
    containerId: 'bench',
  });
  let reconciles = 0;
  let over = false;
  const consume = async (): Promise<void> => {
    while (!over) {
      for (let batch = fleet.requests.take(BATCH); batch.length > 0; batch = fleet.requests.take(BATCH)) {
        reconciles += batch.length;
        const failed = await reconcileBatch(batch, ports);
        fleet.requests.finish(batch);
        if (failed.length > 0) throw new Error(`${failed.length} reconciles of a quiet fleet failed`);
      }
      await clock.sleep(CONSUME_EVERY_MS);
    }
  };
  const consuming = consume();
  const watchFor = async (seconds: number): Promise<void> => {
    for (let left = seconds * 1000; left > 0; left -= MINUTE_MS) {
      const untilMs = clock.nowMs() + MINUTE_MS;
      const watching = watch.run(untilMs);
      await clock.run(untilMs);
      // Its last tick lies behind the end.
      await clock.run(untilMs + CONSUME_EVERY_MS);
      await watching;
    }
  };
  await watchFor(60);
  fleet.calls();
  reconciles = 0;
  prober.probes = 0;
  const before = process.cpuUsage();
  await watchFor(SWEEP_SECONDS);
  const { user, system } = process.cpuUsage(before);
  over = true;
  const calls = fleet.calls();
  await clock.run(clock.nowMs() + 2 * CONSUME_EVERY_MS);
  await consuming;
  const uses = usesOf(calls, SWEEP_SECONDS, LIMITS, bucketsOf);
  return {
    ...{ clusters, seconds: SWEEP_SECONDS, uses, reconciles },
    probesPerSecond: prober.probes / SWEEP_SECONDS,
    watchCpuShare: (user + system) / 1e6 / SWEEP_SECONDS,
    cost: costOf({ clusters, seconds: SWEEP_SECONDS, uses, reconciles }),
  };
}
