/** One round: a whole cluster, a fault, writes back, the lost node a replica again, and what became of the writes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { gapsSince, longestMs, missing, successorOf, type Acknowledgement } from './acknowledgements.ts';
import type { BenchClient } from './client.ts';
import { storedIds } from './databases.ts';
import type { Comeback, Fault, Node, Reseed, Round, System } from './kinds.ts';
import { reseeded, STEADY_PAUSE_MS, untilWhole, WHOLE_WITHIN_MS } from './whole.ts';

const LOOK_EVERY_MS = 100;
const STEADY_MS = 3000;
const GAP_MS = 250;
const WRITES_BACK_WITHIN_MS = 180_000;
const KEPT_LOST = 10;

export interface RoundOptions {
  readonly fault: Fault;
  readonly round: number;
  /** From the whole cluster to the fault; spread over the rounds, so that no round meets the peer's loop alike. */
  readonly waitMs: number;
  /** Ids that earlier rounds found lost; what this one finds is added. */
  readonly knownLost: Set<number>;
}

/**
 * A peer that does not become whole in its time is helped, and the round says so.
 * @throws Error when a system that nobody helps does not become whole, or writes do not come back, within its time.
 */
export async function runRound(
  system: System,
  client: BenchClient,
  options: RoundOptions,
  say: (what: string) => void,
): Promise<Round> {
  const { fault, round, waitMs } = options;
  const { primary, reseed: reseedBefore } = await wholeToBeginWith(system, client, say);
  client.takeErrors();
  await sleep(waitMs);
  const struck = client.acknowledged().at(-1);
  if (struck === undefined) throw new Error('the client has not written yet');
  expectServer(struck, primary);
  const faultAtMs = Date.now();
  await system.strike(fault, primary);
  const withinMs = system.reseed?.afterMs ?? WHOLE_WITHIN_MS;
  let deadlineMs = Infinity; // until it is known from when it counts
  const wholeAgain = untilWhole(system, client, () => deadlineMs); // from now on, so that the moment is seen when it comes
  wholeAgain.catch(() => undefined); // awaited below; what fails before it is told first
  const server = await untilWritesAreBack(client, struck.server);
  const outage = (): ReturnType<typeof gapsSince> => gapsSince(client.acknowledged(), faultAtMs, GAP_MS);
  say(`${system.name}, ${fault}, round ${round}: no write for ${longestMs(outage())} ms, then on ${server}`);
  const comeback = await system.recover(fault, primary);
  const sinceMs = comeback.kind === 'helped' ? comeback.atMs : faultAtMs;
  deadlineMs = sinceMs + withinMs;
  const end = await wholeAgain;
  const replicaAgainMs = end.whole ? end.wholeAtMs - sinceMs : null;
  const reseed = end.whole ? null : (await reseeded(system, client, { late: end, sinceMs }, say)).reseed;
  say(`${system.name}, ${fault}, round ${round}: whole again ${wholeWords(replicaAgainMs, reseed, comeback)}`);
  const acknowledged = [...client.acknowledged()];
  const lost = missing(acknowledged, await storedIds(system, 1)).filter((id) => !options.knownLost.has(id));
  for (const id of lost) options.knownLost.add(id);
  return {
    system: system.name,
    fault,
    round,
    primary: primary.id,
    successor: server,
    waitedMs: waitMs,
    faultAtMs,
    writeOutageMs: longestMs(outage()),
    gaps: outage().map((gap) => ({ atMs: gap.fromMs - faultAtMs, ms: gap.toMs - gap.fromMs })),
    acknowledged: acknowledged.length,
    lostWrites: lost.length,
    firstLost: lost.slice(0, KEPT_LOST),
    comeback: comeback.kind,
    helpedHow: comeback.kind === 'helped' ? comeback.how : null,
    replicaAgainMs,
    reseed,
    reseedBefore,
    errors: client.takeErrors(),
    story: system.story(faultAtMs),
  };
}

async function wholeToBeginWith(
  system: System,
  client: BenchClient,
  say: (what: string) => void,
): Promise<{ primary: Node; reseed: Reseed | null }> {
  const sinceMs = Date.now();
  const deadlineMs = sinceMs + (system.reseed?.afterMs ?? WHOLE_WITHIN_MS);
  const look = await untilWhole(system, client, () => deadlineMs);
  if (look.whole) return { primary: look.primary, reseed: null };
  return reseeded(system, client, { late: look, sinceMs }, say);
}

function wholeWords(replicaAgainMs: number | null, reseed: Reseed | null, comeback: Comeback): string {
  if (reseed !== null) return `${reseed.wholeMs} ms after ${reseed.nodes.join(', ')} had to be copied anew`;
  const sinceWhat = comeback.kind === 'helped' ? comeback.how : 'the fault, by itself';
  return `${replicaAgainMs} ms after ${sinceWhat}`;
}

/** The client must write to the node that is about to be struck, or the round would measure nothing. */
function expectServer(last: Acknowledgement, primary: Node): void {
  if (last.server.split('/')[0] !== primary.address)
    throw new Error(`the client writes to ${last.server}, and the primary is ${primary.id} at ${primary.address}`);
}

async function untilWritesAreBack(client: BenchClient, struck: string): Promise<string> {
  const deadlineMs = Date.now() + WRITES_BACK_WITHIN_MS;
  for (;;) {
    const server = successorOf(client.acknowledged(), struck, STEADY_MS, STEADY_PAUSE_MS, Date.now());
    if (server !== null) return server.split('/')[0] ?? server;
    if (Date.now() > deadlineMs)
      throw new Error(
        `no steady writes ${WRITES_BACK_WITHIN_MS / 1000} s after the fault; the client's errors: ${client.takeErrors().join('; ') || 'none'}`,
      );
    await sleep(LOOK_EVERY_MS);
  }
}
