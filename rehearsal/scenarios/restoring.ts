/** What the scenarios of the archive share: a moment to go back to, a restore as a person asks for it, and what it brought back. */
import { setTimeout as sleep } from 'node:timers/promises';
import { accountRestored, betweenWrites } from '../archive/accounting.ts';
import type { Moment, RestoreFigures } from '../archive/accounting.ts';
import { waitFor } from '../wait.ts';
import type { World } from '../world.ts';

const RESTORED_WITHIN_SECONDS = 300;
/** An RPO of a minute, and somewhat more. */
const SHIPPED_WITHIN_SECONDS = 90;
/** So long a client has paused between two writes at least once. */
const LOOK_BACK_MS = 1_500;

/** So long the archive is watched before a loss: several pieces, or nothing is known of its lag. */
const WATCHED_SECONDS = 20;

/** What was asked for, and what must be there then. */
export interface Request {
  readonly target: string;
  readonly until: Moment;
  /** Name of the new cluster. */
  readonly as: string;
}

export interface Restored {
  readonly figures: RestoreFigures;
  /** Address of the database. */
  readonly address: string;
}

/**
 * A moment of the last second or two at which the client waited between two writes. Where the log is in whole seconds, the
 * whole second that has just ended.
 */
export async function momentBetweenWrites(world: World): Promise<Moment> {
  const { logPrecisionMs: precisionMs } = world.engine;
  const sinceMs = Date.now();
  await sleep(LOOK_BACK_MS);
  if (precisionMs > 1) return { atMs: Math.floor(Date.now() / precisionMs) * precisionMs - precisionMs, precisionMs };
  return { atMs: betweenWrites(await world.client.acknowledged(), sinceMs), precisionMs };
}

export const iso = (ms: number): string => new Date(ms).toISOString();

/** Waits until the archive says that it has all that was acknowledged by then. */
export async function untilShipped(world: World, atMs: number): Promise<void> {
  const shipped = (): boolean => (world.archive.coveredMs() ?? 0) > atMs;
  await world.until(`the archive to have all up to ${iso(atMs)}`, shipped, SHIPPED_WITHIN_SECONDS);
}

/** Log is shipped for a while; then all nodes are gone, and their volumes. Answers when they were lost, epoch ms. */
export async function loseEverything(world: World): Promise<number> {
  const beganMs = Date.now();
  await world.until('log to be shipped for a while', () => Date.now() > beganMs + WATCHED_SECONDS * 1000, 60);
  const faultAtMs = Date.now();
  const ids = world.state().nodes.map((n) => n.id);
  await world.loseForGood(ids);
  const gone = (): boolean => ids.every((id) => world.hosts.get(id)?.state === 'terminated');
  await world.until('all nodes to be gone', gone, 60);
  return faultAtMs;
}

/** Restores to a new cluster and compares its rows with what the client had. Throws when the workflow does not succeed. */
export async function restore(world: World, { target, until, as }: Request): Promise<Restored> {
  world.timeline.add('fault', `a person asks for ${world.cluster} as of ${target}, as ${as}`);
  const startedAtMs = Date.now();
  const execution = await world.execute('restore', { target, as }, RESTORED_WITHIN_SECONDS);
  const durationMs = Date.now() - startedAtMs;
  if (execution.status !== 'SUCCEEDED') {
    throw new Error(`the restore of ${target} ended ${execution.status}, expected SUCCEEDED: ${execution.why}`);
  }
  const address = await restoredAt(world, as);
  const rows = await world.engine.query(address, 'SELECT id FROM writes');
  const found = rows.map((row) => Number(row['id']));
  const accounting = accountRestored(await world.client.acknowledged(), found, until);
  const figures = { target, restoredTo: restoredTo(execution.output), ...accounting, durationMs };
  world.timeline.add(
    'check',
    `${as} holds ${found.length} rows, stopped at ${figures.restoredTo ?? 'an unknown place'}: ${accounting.rowsMissing} missing, ${accounting.rowsExtra} too much`,
  );
  return { figures, address };
}

/** Address of the new cluster's one node. */
async function restoredAt(world: World, as: string): Promise<string> {
  const nodes = () => world.hosts.list().filter((h) => h.cluster === as && h.up);
  await waitFor(`the host of ${as}`, () => nodes().length > 0, 10);
  return nodes()[0]?.address ?? '';
}

/** The workflow's own word for where it stopped. */
function restoredTo(output: string | null): string | null {
  const state = JSON.parse(output ?? '{}') as { readonly answer?: { readonly restoredTo?: unknown } | null };
  const place = state.answer?.restoredTo;
  return typeof place === 'string' ? place : null;
}
