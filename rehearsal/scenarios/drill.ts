import { waitFor } from '../wait.ts';
import { ARCHIVED, both, type Scenario } from './scenario.ts';

const DRILLED_WITHIN_SECONDS = 300;

export const drill: Scenario = {
  name: 'drill',
  summary: 'the latest is restored to a throw-away node, compared table by table, and thrown away',
  promises: both({ writeOutageMs: 5000, writeErrors: 0, signalToRoutedMs: null, launches: 1 }),
  archive: ARCHIVED,
  run: async (world) => {
    const faultAtMs = Date.now();
    const execution = await world.execute('drill', {}, DRILLED_WITHIN_SECONDS);
    if (execution.status !== 'SUCCEEDED')
      throw new Error(`the drill ended ${execution.status}, expected SUCCEEDED: ${execution.why}`);
    world.timeline.add('check', `the drill succeeded after ${((Date.now() - faultAtMs) / 1000).toFixed(1)} s`);
    const left = (): number =>
      world.hosts.list().filter((h) => h.cluster !== world.cluster && h.state !== 'terminated').length;
    await waitFor('the throw-away node to be gone', () => left() === 0, 60);
    return { faultAtMs, signalAtMs: null, routedAtMs: null, rejoinedAtMs: null };
  },
};
