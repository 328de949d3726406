/** Starts databases that are down while their hosts live, as standbys: they may tell what the others cannot. */
import { HostOffline } from '../cloud/ports.ts';
import { tail } from '../recovery/command.ts';
import { holdClaim } from '../recovery/guard.ts';
import { record } from '../recovery/step.ts';
import type { StepContext } from '../recovery/step.ts';
import type { Sight } from './detach-all.ts';
import type { FailoverState } from './state.ts';

/** Crash recovery of a large database takes longer; EC2's fence is then asked for meanwhile. */
export const PATIENCE_MS = 20_000;

type Starts = FailoverState['starts'];

export interface Starting {
  readonly starts: Starts;
  readonly sinceMs: number | null;
  /** Is one of them worth waiting for. */
  readonly waits: boolean;
}

/**
 * Starts those whom nobody answers on a host that lives, and says whether one of them, or one that starts already, is worth
 * waiting for: for a while, and not once its start has failed.
 */
export async function startDatabases(
  state: FailoverState,
  context: StepContext,
  { refused, starting }: Pick<Sight, 'refused' | 'starting'>,
): Promise<Starting> {
  const nowMs = context.ports.clock.nowMs();
  if (refused.length + starting.length === 0)
    return { starts: state.starts, sinceMs: state.startsSinceMs, waits: false };
  const sinceMs = state.startsSinceMs ?? nowMs;
  const next = await Promise.all(refused.map(async (id) => [id, await advance(state, context, id)] as const));
  const promising = starting.length > 0 || next.some(([, s]) => s.failed === null);
  const patient = nowMs - sinceMs <= PATIENCE_MS;
  return { starts: { ...state.starts, ...Object.fromEntries(next) }, sinceMs, waits: patient && promising };
}

type Start = Starts[string];

async function advance(state: FailoverState, context: StepContext, id: string): Promise<Start> {
  const { hosts, log } = context.ports;
  const known = state.starts[id];
  if (known !== undefined && known.failed !== null) return known;
  if (known === undefined || known.command === null) {
    await holdClaim(context);
    await record(
      context,
      `start-${id}-${state.rounds}`,
      `starts the database on ${id} as a standby`,
      'it is down, and its host lives',
    );
    try {
      return { command: await hosts.start(id, 'postgres-start', {}), failed: null };
    } catch (error) {
      if (!(error instanceof HostOffline)) throw error;
      log.warn('postgres-start is not started yet', { id, why: error.message });
      return { command: null, failed: null };
    }
  }
  const found = await hosts.state(id, known.command);
  switch (found.kind) {
    // Succeeded: the next probe tells; if it has died since, patience ends this.
    case 'succeeded':
    case 'running':
      return known;
    case 'failed': {
      const failed = `exit code ${found.exitCode}: ${tail(found.error || found.output)}`;
      await record(context, `not-started-${id}-${state.rounds}`, `the database on ${id} does not start`, failed);
      return { command: null, failed };
    }
  }
}
