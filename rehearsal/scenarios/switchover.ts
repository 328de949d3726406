import type { World } from '../world.ts';
import { whole } from './healing.ts';
import type { Scenario } from './scenario.ts';

const WITHIN_SECONDS = 120;

export const switchover: Scenario = {
  name: 'switchover',
  summary: 'an engineer moves the primary, once to whichever node is best and once to a chosen one: no write is lost',
  promises: { postgres: { writeOutageMs: 3000, writeErrors: null, signalToRoutedMs: null, launches: 0 } },
  run: async (world) => {
    const faultAtMs = Date.now();
    const first = world.writer();
    const second = await moveFrom(world, first, {});
    const routedAtMs = Date.now();
    const third = world.otherThanWriter().find((id) => id !== first) ?? first;
    const now = await moveFrom(world, second, { to: third });
    if (now !== third) throw new Error(`the primary was to move to ${third}; it is ${now}`);
    return { faultAtMs, signalAtMs: null, routedAtMs, rejoinedAtMs: Date.now() };
  },
};

/** Moves the primary, waits until all is as it should be, and answers the new one. Throws when it does not move. */
export async function moveFrom(world: World, old: string, input: Readonly<Record<string, unknown>>): Promise<string> {
  world.timeline.add('fault', `an engineer starts the state machine switchover with ${JSON.stringify(input)}`);
  const { status, why } = await world.execute('switchover', input, WITHIN_SECONDS);
  if (status !== 'SUCCEEDED') throw new Error(`the switchover ended as ${status}: ${why}`);
  await world.until(
    'another primary, and everything else as it was',
    (s) => whole(world.nodeCount)(s) && s.ledger.writer !== old,
    WITHIN_SECONDS,
  );
  world.timeline.add('check', `the primary has moved from ${old} to ${world.writer()}`);
  return world.writer();
}
