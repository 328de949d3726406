import { loseEverything, restore } from './restoring.ts';
import { ARCHIVED, both, converges, type Scenario } from './scenario.ts';

export const restoreLatestAfterTotalLoss: Scenario = {
  name: 'restore-latest-after-total-loss',
  summary:
    'all nodes and volumes are gone, the ledger is empty, the bucket a copy: the latest is restored from that alone',
  promises: both(converges(1)),
  archive: ARCHIVED,
  clusterIsLost: true,
  run: async (world) => {
    const faultAtMs = await loseEverything(world);
    await world.forget();
    await world.copyArchiveBack();
    // What had not reached S3 went with them; that it is no more than the RPO allows is measured beside.
    const atMs = world.archive.coveredMs() ?? 0;
    const until = { atMs, precisionMs: world.engine.logPrecisionMs, atLeast: true } as const;
    const last = world.client.figures().lastAcknowledgedAtMs ?? 0;
    world.timeline.add('check', `S3 has all that was acknowledged up to ${last - atMs} ms before the last write`);
    const { figures } = await restore(world, { target: 'latest', until, as: `${world.cluster}-again` });
    return { ...{ faultAtMs, signalAtMs: null, routedAtMs: null, rejoinedAtMs: null }, restores: [figures] };
  },
};
