/** Waits for a whole cluster, and has a peer's member that does not come back copied anew. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchClient } from './client.ts';
import { wholeness } from './databases.ts';
import type { Node, Reseed, System } from './kinds.ts';

const LOOK_EVERY_MS = 100;
/** Writes count as going on when no pause is longer than this. */
export const STEADY_PAUSE_MS = 500;
/** For a system that nobody helps, for one that was helped, and beyond its time for one that has nobody to help yet. */
export const WHOLE_WITHIN_MS = 300_000;

export interface Whole {
  readonly whole: true;
  readonly primary: Node;
  /** Since when the servers are whole; the client may have come later. */
  readonly wholeAtMs: number;
}

export interface Late {
  readonly whole: false;
  readonly why: string;
  /** Members to help; empty when the servers do not say which one. */
  readonly strays: readonly Node[];
}

/**
 * Three members, nothing under way, and the client writes; or what was missing when the time was over. The deadline is
 * asked at every look: it may be set while this waits.
 */
export async function untilWhole(system: System, client: BenchClient, deadlineMs: () => number): Promise<Whole | Late> {
  let wholeAtMs: number | null = null;
  for (;;) {
    const look = await wholeness(system);
    wholeAtMs = look.whole ? (wholeAtMs ?? Date.now()) : null;
    const busy = await system.busy();
    const writing = Date.now() - (client.acknowledged().at(-1)?.atMs ?? 0) < STEADY_PAUSE_MS;
    if (look.whole && wholeAtMs !== null && busy === null && writing)
      return { whole: true, primary: look.primary, wholeAtMs };
    const why = look.whole ? (busy ?? 'the client does not write') : look.why;
    const strays = look.whole ? [] : look.strays;
    // A failover under way has no primary to copy from: its end is waited for.
    const helpable = system.reseed === null || strays.length > 0;
    if (Date.now() > deadlineMs() + (helpable ? 0 : WHOLE_WITHIN_MS)) return { whole: false, why, strays };
    await sleep(LOOK_EVERY_MS);
  }
}

export interface Lateness {
  readonly late: Late;
  /** From when its time counted; epoch milliseconds. */
  readonly sinceMs: number;
}

/**
 * Has the strays of a cluster that is late copied anew, and waits for the whole.
 * @throws Error when nobody helps this system, it is not known whom to help, or the help is not enough.
 */
export async function reseeded(
  system: System,
  client: BenchClient,
  { late, sinceMs }: Lateness,
  say: (what: string) => void,
): Promise<{ readonly primary: Node; readonly reseed: Reseed }> {
  const helpAtMs = Date.now();
  const afterMs = helpAtMs - sinceMs;
  const trouble = `${system.name} was not whole within ${Math.round(afterMs / 1000)} s: ${late.why}`;
  if (system.reseed === null || late.strays.length === 0) throw new Error(trouble);
  say(`${trouble}; copying anew: ${late.strays.map((node) => node.id).join(', ')}`);
  const ways = new Set<string>();
  for (const node of late.strays) ways.add(await system.reseed.copyAnew(node));
  const again = await untilWhole(system, client, () => helpAtMs + WHOLE_WITHIN_MS);
  if (!again.whole) throw new Error(`${trouble}; nor ${WHOLE_WITHIN_MS / 1000} s after the help: ${again.why}`);
  const wholeMs = again.wholeAtMs - helpAtMs;
  const reseed = {
    nodes: late.strays.map((node) => node.id),
    why: late.why,
    how: [...ways].join('; '),
    afterMs,
    wholeMs,
  };
  return { primary: again.primary, reseed };
}
