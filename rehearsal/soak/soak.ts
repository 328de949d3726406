/** A soak of one engine: its cluster stays up, and one fault after another strikes it while the client writes. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EngineKind } from '../../lambdas/model/spec.ts';
import { build, type Built } from '../build.ts';
import { Cleanup } from '../cleanup.ts';
import type { Delays } from '../cloud/contract.ts';
import { engineFor } from '../engines/index.ts';
import { INTERRUPTED } from '../interrupt.ts';
import { ready } from '../scenarios/healing.ts';
import { Timeline, type Voice } from '../ui/timeline.ts';
import { nothingIsLost, WriteChecker } from './checker.ts';
import { FAULTS, faultsFor, type Fault } from './faults.ts';
import { endingOf, NOTHING_CHECKED, type EngineSoak, type Struck } from './result.ts';
import { draws, type Draw } from './sequence.ts';
import { strike } from './strike.ts';

/** Faults from one comparison of the writes to the next. */
const COMPARE_EVERY = 3;
/** The others are told of a fault that is not healed, and are all in the report. */
const SHOWN: readonly Voice[] = ['stage', 'fault', 'check', 'client'];

export interface SoakPlan {
  readonly engine: EngineKind;
  readonly minutes: number;
  readonly seed: number;
  readonly delays: Delays;
  /** Also show what the emulated AWS and Rejoin do. */
  readonly story: boolean;
  /** Only root may break the network. */
  readonly mayBreakNetwork: boolean;
}

/** What is known so far; read when the soak ends, however it does. */
interface Course {
  built: Built | null;
  checker: WriteChecker | null;
  readonly struck: Struck[];
  underWay: Draw<Fault> | null;
  beganAtMs: number | null;
  calmGapMs: number;
}

/** Never throws: what went wrong is in the answer. All that was started is ended. `interrupted` resolves at Ctrl-C. */
export async function soak(plan: SoakPlan, interrupted: Promise<unknown>): Promise<EngineSoak> {
  const timeline = new Timeline(undefined, undefined, (voice) => plan.story || SHOWN.includes(voice));
  const cleanup = new Cleanup();
  const course: Course = {
    built: null,
    checker: null,
    struck: [],
    underWay: null,
    beganAtMs: null,
    calmGapMs: 0,
  };
  const work = carryOut(plan, course, timeline, cleanup).then(
    () => 'done' as const,
    (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
  );
  const end = await Promise.race([work, interrupted.then(() => 'interrupted' as const)]);
  const result = resultOf(plan, course, timeline, end);
  const failed = endingOf(result) === 'failed';
  timeline.quiet();
  if (result.interrupted) timeline.add('stage', INTERRUPTED);
  if (failed && !plan.story) {
    timeline.add('stage', 'what happened since the last fault struck:');
    timeline.tellAgain(course.struck.at(-1)?.atMs ?? -Infinity);
  }
  timeline.add('stage', 'cleaning up');
  cleanup.keepFiles = failed;
  const troubles = (await cleanup.run()).map((trouble) => `clean-up: ${trouble}`);
  for (const trouble of troubles) timeline.add('fault', trouble);
  return { ...result, machineryFailures: [...result.machineryFailures, ...troubles] };
}

function resultOf(plan: SoakPlan, course: Course, timeline: Timeline, end: 'done' | 'interrupted' | Error): EngineSoak {
  const { built, checker, struck, beganAtMs } = course;
  return {
    engine: plan.engine,
    seed: plan.seed,
    minutes: plan.minutes,
    seconds: beganAtMs === null ? 0 : (Date.now() - beganAtMs) / 1000,
    struck,
    underWay: course.underWay?.kind.name ?? null,
    leftOut: leftOut(plan),
    writesAcknowledged: built?.world.client.figures().writesAcknowledged ?? 0,
    calmGapMs: course.calmGapMs,
    checked: checker?.figures() ?? NOTHING_CHECKED,
    refusedCalls: built?.iam().refused ?? [],
    machineryFailures: built?.failures() ?? [],
    broke: end instanceof Error ? end.message : null,
    interrupted: end === 'interrupted',
    timeline: timeline.entries,
  };
}

function leftOut({ engine, mayBreakNetwork }: SoakPlan): string[] {
  const left = FAULTS.filter((f) => f.breaksNetwork && f.engines.includes(engine)).map((f) => f.name);
  return mayBreakNetwork || left.length === 0 ? [] : [`${left.join(', ')}: only root may break the network`];
}

async function carryOut(plan: SoakPlan, course: Course, timeline: Timeline, cleanup: Cleanup): Promise<void> {
  const faults = faultsFor(plan.engine, plan.mayBreakNetwork);
  timeline.add(
    'stage',
    `soak of ${plan.engine} for ${plan.minutes} minutes, seed ${plan.seed}: ${faults.length} kinds`,
  );
  const built = await build(
    {
      engine: engineFor(plan.engine, { durability: 'quorum' }),
      scenario: { breaksNetwork: faults.some((f) => f.breaksNetwork) },
      delays: plan.delays,
      seed: plan.seed,
      dir: null,
    },
    timeline,
    cleanup,
  );
  course.built = built;
  const { world } = built;
  await ready(world);
  const checker = new WriteChecker(world, () => built.observer.writers());
  course.checker = checker;
  timeline.begin();
  world.client.reset();
  const beganAtMs = Date.now();
  const endAtMs = beganAtMs + plan.minutes * 60_000;
  course.beganAtMs = beganAtMs;
  timeline.progress(() => `${minutesLeft(endAtMs)} · ${world.progress()}`);
  for (const draw of draws(faults, plan.seed)) {
    await sleep(draw.calmMs);
    course.calmGapMs = Math.max(course.calmGapMs, world.client.figures().writeOutageMs);
    course.underWay = draw;
    const struck = await strike(world, draw);
    course.struck.push(struck);
    course.underWay = null;
    if (struck.why !== null) return;
    if (Date.now() >= endAtMs) break;
    if (draw.number % COMPARE_EVERY === 0 && !nothingIsLost(await checker.compare())) return;
  }
  timeline.add('stage', 'the time is over; comparing what was acknowledged with what every node holds');
  await built.settle();
  await world.client.stop();
  await checker.conclude();
}

function minutesLeft(endAtMs: number): string {
  const seconds = Math.round((endAtMs - Date.now()) / 1000);
  return seconds <= 0 ? 'the last fault' : `${Math.floor(seconds / 60)} min ${seconds % 60} s left`;
}
