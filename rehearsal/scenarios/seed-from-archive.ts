import { heal } from './healing.ts';
import { ARCHIVED, type Scenario } from './scenario.ts';

export const seedFromArchive: Scenario = {
  name: 'seed-from-archive',
  summary: 'a replica and its volume are gone: the replacement has its data from the archive, and no peer gives any',
  promises: { postgres: { writeOutageMs: 1000, writeErrors: 0, signalToRoutedMs: 3000, launches: 1 } },
  archive: ARCHIVED,
  run: async (world) => {
    const node = world.otherThanWriter()[0];
    const before = new Set(world.hosts.list().map((h) => h.id));
    const measured = await heal(world, [node], () => world.loseForGood([node]));
    const joiner = world.hosts.list().find((h) => !before.has(h.id))?.id ?? 'nobody';
    const said = `${joiner} has its data from the archive`;
    if (!(await world.records()).some((item) => item.includes(said)))
      throw new Error(`the ledger does not say "${said}"; expected it to: a peer gave the data`);
    world.timeline.add('check', said);
    return measured;
  },
};
