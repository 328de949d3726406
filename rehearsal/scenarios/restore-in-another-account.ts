import { loseEverything, restore } from './restoring.ts';
import { ARCHIVED, both, converges, type Scenario } from './scenario.ts';

export const restoreInAnotherAccount: Scenario = {
  name: 'restore-in-another-account',
  summary:
    'all nodes and volumes are gone: another account in another region restores the latest from a copy of the bucket',
  promises: both(converges(0)),
  archive: ARCHIVED,
  clusterIsLost: true,
  run: async (world) => {
    const faultAtMs = await loseEverything(world);
    const there = await world.elsewhere();
    await world.copyArchiveTo(there);
    const until = {
      atMs: world.archive.coveredMs() ?? 0,
      precisionMs: world.engine.logPrecisionMs,
      atLeast: true,
    } as const;
    const { figures } = await restore(there, { target: 'latest', until, as: `${world.cluster}-again` });
    const launched = there.hosts.list();
    if (launched.length !== 1) throw new Error(`the plane there has launched ${launched.length} hosts, expected 1`);
    return { ...{ faultAtMs, signalAtMs: null, routedAtMs: null, rejoinedAtMs: null }, restores: [figures] };
  },
};
