import { iso, momentBetweenWrites, restore, untilShipped } from './restoring.ts';
import { ARCHIVED, both, type Scenario } from './scenario.ts';

/** More than two turns of the schedule. */
const WATCHED_SECONDS = 150;

export const scheduledShipping: Scenario = {
  name: 'scheduled-shipping',
  summary: 'with an RPO of a minute the log is shipped once a minute; a moment between two turns is restored',
  promises: both({ writeOutageMs: 5000, writeErrors: 0, signalToRoutedMs: null, launches: 1 }),
  archive: { ...ARCHIVED, rpoSeconds: 60 },
  run: async (world) => {
    const faultAtMs = Date.now();
    const watched = (): boolean => Date.now() > faultAtMs + WATCHED_SECONDS * 1000;
    await world.until('the log to be shipped by turns', watched, WATCHED_SECONDS + 10);
    const until = await momentBetweenWrites(world);
    await untilShipped(world, until.atMs);
    const restored = await restore(world, { target: iso(until.atMs), until, as: `${world.cluster}-then` });
    return {
      ...{ faultAtMs, signalAtMs: null, routedAtMs: null, rejoinedAtMs: null },
      restores: [restored.figures],
    };
  },
};
