/** One fault of a soak: it strikes, and is followed until the cluster is whole again. */
import { setTimeout as sleep } from 'node:timers/promises';
import { whole } from '../scenarios/healing.ts';
import type { World } from '../world.ts';
import type { Fault } from './faults.ts';
import type { Struck } from './result.ts';
import type { Draw } from './sequence.ts';

const WHOLE_WITHIN_SECONDS = 240;
/** What is whole for so long has noticed the fault, and is over it: databases are looked at several times a second. */
const STEADY_MS = 5000;
/** The client tells its figures each 200 ms. */
const FIGURES_WITHIN_MS = 500;

/** Told at each look whether something holds; answers since when it has, once that is `forMs` without a break; else null. */
export function steadily(forMs: number): (holds: boolean, nowMs: number) => number | null {
  let since: number | null = null;
  return (holds, nowMs) => {
    since = holds ? (since ?? nowMs) : null;
    return since !== null && nowMs - since >= forMs ? since : null;
  };
}

/** Waits until the cluster is whole and stays so. Answers since when, as epoch milliseconds. */
async function untilSteady(world: World): Promise<number> {
  const look = steadily(STEADY_MS);
  let since: number | null = null;
  await world.until(
    `the cluster to be whole for ${STEADY_MS / 1000} s`,
    (state) => (since = look(whole(world.nodeCount)(state), Date.now())) !== null,
    WHOLE_WITHIN_SECONDS,
  );
  return since ?? Date.now();
}

/** Never throws: a fault that does not heal in time is answered with the reason. */
export async function strike(world: World, draw: Draw<Fault>): Promise<Struck> {
  const { timeline, client } = world;
  client.reset();
  await sleep(FIGURES_WITHIN_MS);
  const struckAtMs = Date.now();
  const base = { number: draw.number, kind: draw.kind.name, atMs: timeline.nowMs() };
  timeline.add('stage', `fault ${draw.number}, ${draw.kind.name}: ${draw.kind.summary}`);
  const end = await draw.kind
    .strike(world, draw)
    .then(() => untilSteady(world))
    .catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))));
  const { writeOutageMs, writeErrors, lastAcknowledgedAtMs } = client.figures();
  if (end instanceof Error) {
    const silentMs = Date.now() - (lastAcknowledgedAtMs ?? struckAtMs);
    const writeGapMs = Math.max(writeOutageMs, silentMs);
    timeline.add('fault', `fault ${draw.number}, ${draw.kind.name}, is not healed: ${end.message}`);
    return { ...base, writeGapMs, writeErrors, wholeAfterMs: null, why: end.message };
  }
  const wholeAfterMs = end - struckAtMs;
  timeline.add(
    'check',
    `fault ${draw.number}, ${draw.kind.name}: whole again after ${(wholeAfterMs / 1000).toFixed(1)} s, longest gap between two writes ${writeOutageMs} ms, ${writeErrors} failed`,
  );
  client.reset();
  return { ...base, writeGapMs: writeOutageMs, writeErrors, wholeAfterMs, why: null };
}
