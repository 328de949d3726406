/** The course that most scenarios take: a fault, traffic leaves, the place is filled, everything is as it should be. */
import type { Measured, World, WorldState } from '../world.ts';

const HEAL_WITHIN_SECONDS = 240;
const ROUTE_WITHIN_SECONDS = 60;
const READY_WITHIN_SECONDS = 180;
const WARM_UP_WRITES = 100;

/** Traffic no longer goes to any of `lost`, and writes have a target. */
export const routedAway =
  (lost: readonly string[]) =>
  (state: WorldState): boolean =>
    state.writerTargets.some((t) => t.state === 'healthy' && !lost.includes(t.id)) &&
    [...state.writerTargets, ...state.readTargets].every((t) => !lost.includes(t.id) || t.state === 'draining');

/** Every node synced and in service, one writer, the right DNS answer, everything as declared, nothing under way. */
export const whole =
  (nodes: number) =>
  (state: WorldState): boolean => {
    const synced = state.nodes.filter((n) => n.synced);
    const inService = state.readTargets.filter((t) => t.state === 'healthy');
    const writers = state.writerTargets.filter((t) => t.state === 'healthy');
    const writer = state.nodes.find((n) => n.id === writers[0]?.id);
    return (
      synced.length === nodes &&
      inService.length === nodes &&
      inService.every((t) => synced.some((n) => n.id === t.id)) &&
      writers.length === 1 &&
      state.writerTargets.length === 1 &&
      writer?.synced === true &&
      state.dnsWriter === writer.address &&
      state.ledger.writer === writer.id &&
      state.ledger.claim === null &&
      state.ledger.incident === null &&
      state.problems.length === 0
    );
  };

/** A world that was just built: waits until the plane has it as declared, and the client writes. */
export async function ready(world: World): Promise<void> {
  await world.until('the plane to have the new cluster as declared', whole(world.nodeCount), READY_WITHIN_SECONDS);
  await world.until(
    'the client to be warm',
    () => world.client.figures().writesAcknowledged >= WARM_UP_WRITES,
    READY_WITHIN_SECONDS,
  );
}

/**
 * Injects the fault and follows the healing to its end. `lost` are the nodes that the fault takes.
 * Throws with the last state seen when a stage does not come within its time.
 */
export async function heal(world: World, lost: readonly string[], fault: () => Promise<void>): Promise<Measured> {
  const faultAtMs = Date.now();
  await fault();
  await world.until('traffic to leave the lost node', routedAway(lost), ROUTE_WITHIN_SECONDS);
  const routedAtMs = Date.now();
  world.timeline.add('check', `traffic has left ${lost.join(', ')}`);
  await world.until(
    `${world.nodeCount} nodes synced, routed to and nothing under way`,
    whole(world.nodeCount),
    HEAL_WITHIN_SECONDS,
  );
  const rejoinedAtMs = Date.now();
  world.timeline.add('check', `${world.nodeCount} nodes are synced and in service, DNS is right, no work is left`);
  return { faultAtMs, signalAtMs: world.firstSignalAfter(faultAtMs, lost), routedAtMs, rejoinedAtMs };
}
