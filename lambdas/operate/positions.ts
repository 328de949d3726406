/** Where the databases of a PostgreSQL cluster are, by the word of their hosts. */
import * as z from 'zod/mini';
import { HostOffline } from '../cloud/ports.ts';
import type { Position } from '../model/lsn.ts';
import { isLsn } from '../model/lsn.ts';
import type { OperatePorts } from './ports.ts';

export interface HostPosition extends Position {
  readonly node: string;
  readonly running: boolean;
  readonly primary: boolean;
  /** False: it has at least that much; only a start tells where its log ends. */
  readonly exact: boolean;
}

/** Shorter than the function's own time limit, and than a person's patience. */
const DEADLINE_MS = 20_000;
const LOOK_EVERY_MS = 500;

const answer = z.object({
  running: z.boolean(),
  primary: z.boolean(),
  timeline: z.number(),
  lsn: z.string().check(z.refine(isLsn)),
  exact: z._default(z.boolean(), true),
});

/** Asks every host at once. Who has not answered in time, cannot say, or has no data is missing from the answer. */
export async function positionsOf(nodes: readonly string[], ports: OperatePorts): Promise<readonly HostPosition[]> {
  const online = await ports.hosts.online(nodes);
  const untilMs = ports.clock.nowMs() + DEADLINE_MS;
  const found = await Promise.all(nodes.filter((n) => online.includes(n)).map((n) => ask(n, untilMs, ports)));
  return found.flatMap((p) => p ?? []);
}

async function ask(node: string, untilMs: number, ports: OperatePorts): Promise<HostPosition | null> {
  const command = await start(node, ports);
  if (command === null) return null;
  for (;;) {
    const state = await ports.hosts.state(node, command);
    if (state.kind === 'succeeded') return read(node, state.output, ports);
    if (state.kind === 'failed' || ports.clock.nowMs() >= untilMs) {
      ports.log.warn(`postgres-position gave no position of ${node}`, { state });
      return null;
    }
    await ports.clock.sleep(LOOK_EVERY_MS);
  }
}

async function start(node: string, ports: OperatePorts): Promise<string | null> {
  try {
    return await ports.hosts.start(node, 'postgres-position', {});
  } catch (error) {
    if (!(error instanceof HostOffline)) throw error;
    ports.log.warn(`postgres-position is not started on ${node}`, { why: error.message });
    return null;
  }
}

function read(node: string, output: string, ports: OperatePorts): HostPosition | null {
  const line = output.trim().split('\n').at(-1) ?? '';
  const parsed = line.startsWith('{') ? answer.safeParse(JSON.parse(line)) : null;
  if (parsed?.success !== true) {
    ports.log.warn(`postgres-position on ${node} printed no position`, { line });
    return null;
  }
  // Timeline 0: a host without data.
  return parsed.data.timeline === 0 ? null : { node, ...parsed.data };
}
