import { momentBetweenWrites, restore, untilShipped, iso } from './restoring.ts';
import { ARCHIVED, both, type Scenario } from './scenario.ts';
import type { World } from '../world.ts';

/** Between the two moments: log of several pieces. */
const APART_SECONDS = 20;

/**
 * Two moments, both while the client writes: one with log behind it in whole pieces, one that lies in the piece that is being
 * filled when the restore is asked for.
 */
export const restoreToTime: Scenario = {
  name: 'restore-to-time',
  summary:
    'two moments between two writes, the later one within the newest log, are restored beside the living cluster',
  promises: both({ writeOutageMs: 5000, writeErrors: 0, signalToRoutedMs: null, launches: 2 }),
  archive: ARCHIVED,
  run: async (world) => {
    const faultAtMs = Date.now();
    const first = await momentBetweenWrites(world);
    const writes = (): number => world.client.figures().writesAcknowledged;
    const mark = writes();
    await world.until(
      'more to be written',
      () => writes() > mark && Date.now() > first.atMs + APART_SECONDS * 1000,
      60,
    );
    const second = await momentBetweenWrites(world);
    // The plan refuses what is not in S3 yet; the first moment at which it is.
    await untilShipped(world, second.atMs);
    const restores = [
      await restore(world, { target: iso(second.atMs), until: second, as: `${world.cluster}-newest` }),
      await restore(world, { target: iso(first.atMs), until: first, as: `${world.cluster}-earlier` }),
    ];
    sameCluster(world);
    return {
      ...{ faultAtMs, signalAtMs: null, routedAtMs: null, rejoinedAtMs: null },
      restores: restores.map((r) => r.figures),
    };
  },
};

/** Safety rule 11: the living cluster was not touched. */
function sameCluster(world: World): void {
  const members = world.members();
  if (members.length === world.nodeCount) return;
  throw new Error(
    `${members.length} of ${world.nodeCount} nodes serve after the restores, expected all: a restore touches no living cluster`,
  );
}
