/** One round: a whole cluster, a fault, writes back, the lost node a replica again, and what became of the writes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { gapsSince, longestMs, missing, successorOf, type Acknowledgement } from './acknowledgements.ts';
import type { BenchClient } from './client.ts';
import { storedIds, wholeness } from './databases.ts';
import type { Comeback, Fault, Node, Round, System } from './kinds.ts';

const LOOK_EVERY_MS = 100;
/** Writes count as going on when no pause is longer than this. */
const STEADY_PAUSE_MS = 500;
const STEADY_MS = 3000;
const GAP_MS = 250;
const WHOLE_WITHIN_MS = 300_000;
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

/** @throws Error when the cluster does not become whole, or writes do not come back, within its time. */
export async function runRound(
  system: System,
  client: BenchClient,
  options: RoundOptions,
  say: (what: string) => void,
): Promise<Round> {
  const { fault, round, waitMs } = options;
  const { primary } = await untilWhole(system, client);
  client.takeErrors();
  await sleep(waitMs);
  const struck = client.acknowledged().at(-1);
  if (struck === undefined) throw new Error('the client has not written yet');
  expectServer(struck, primary);
  const faultAtMs = Date.now();
  await system.strike(fault, primary);
  const wholeAgain = untilWhole(system, client); // from now on, so that the moment is seen when it comes
  wholeAgain.catch(() => undefined); // awaited below; what fails before it is told first
  const server = await untilWritesAreBack(client, struck.server);
  const outage = (): ReturnType<typeof gapsSince> => gapsSince(client.acknowledged(), faultAtMs, GAP_MS);
  say(`${system.name}, ${fault}, round ${round}: no write for ${longestMs(outage())} ms, then on ${server}`);
  const comeback = await system.recover(fault, primary);
  const { wholeAtMs } = await wholeAgain;
  const replicaAgainMs = wholeAtMs - (comeback.kind === 'helped' ? comeback.atMs : faultAtMs);
  say(`${system.name}, ${fault}, round ${round}: whole again ${replicaAgainMs} ms after ${sinceWhat(comeback)}`);
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
    errors: client.takeErrors(),
    story: system.story(faultAtMs),
  };
}

const sinceWhat = (comeback: Comeback): string => (comeback.kind === 'helped' ? comeback.how : 'the fault, by itself');

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

/** Three members, nothing under way, and the client writes. Answers the primary, and since when the servers are whole. */
async function untilWhole(system: System, client: BenchClient): Promise<{ primary: Node; wholeAtMs: number }> {
  const deadlineMs = Date.now() + WHOLE_WITHIN_MS;
  let wholeAtMs: number | null = null;
  for (;;) {
    const look = await wholeness(system);
    wholeAtMs = look.whole ? (wholeAtMs ?? Date.now()) : null;
    const busy = await system.busy();
    const writing = Date.now() - (client.acknowledged().at(-1)?.atMs ?? 0) < STEADY_PAUSE_MS;
    if (look.whole && wholeAtMs !== null && busy === null && writing) return { primary: look.primary, wholeAtMs };
    if (Date.now() > deadlineMs) {
      const why = look.whole ? (busy ?? 'the client does not write') : look.why;
      throw new Error(`${system.name} was not whole within ${WHOLE_WITHIN_MS / 1000} s: ${why}`);
    }
    await sleep(LOOK_EVERY_MS);
  }
}
