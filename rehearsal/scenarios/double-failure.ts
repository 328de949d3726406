import { heal } from './healing.ts';
import { converges, type Scenario } from './scenario.ts';

export const doubleFailure: Scenario = {
  name: 'double-failure',
  summary: 'the primary is lost, and the candidate dies while it is being promoted',
  promises: { postgres: converges(1) },
  run: async (world) => {
    const writer = world.writer();
    let struck: string | null = null;
    world.atStep('Promote', 'begun', async (event) => {
      const candidate = candidateOf(event);
      struck = candidate;
      world.timeline.add('fault', `kill -9 of the database of the candidate ${candidate}, as its promotion begins`);
      await world.hosts.crash(candidate);
    });
    const measured = await heal(world, [writer], () => world.terminate(writer));
    if (struck === null)
      throw new Error('no step Promote began: nobody died in the middle, the scenario shows nothing');
    return measured;
  },
};

/** The node that the step is about to promote. Throws when its input does not say. */
function candidateOf(event: unknown): string {
  const { candidate } = (event as { state?: { candidate?: unknown } }).state ?? {};
  if (typeof candidate === 'string') return candidate;
  throw new Error(`the input of Promote names no candidate: ${JSON.stringify(event)}`);
}
