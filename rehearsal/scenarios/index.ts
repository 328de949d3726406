import { drill } from './drill.ts';
import { restoreAfterDrop } from './restore-after-drop.ts';
import { restoreInAnotherAccount } from './restore-in-another-account.ts';
import { restoreLatestAfterTotalLoss } from './restore-latest-after-total-loss.ts';
import { restoreToTime } from './restore-to-time.ts';
import { seedFromArchive } from './seed-from-archive.ts';
import { scheduledShipping } from './scheduled-shipping.ts';
import { shipThroughFailover } from './ship-through-failover.ts';
import { crashWriter } from './crash-writer.ts';
import { hangWriter } from './hang-writer.ts';
import { lostEvents } from './lost-events.ts';
import { maintenance } from './maintenance.ts';
import { planeOff } from './plane-off.ts';
import { quietNight } from './quiet-night.ts';
import { roughNight } from './rough-night.ts';
import type { EngineKind } from '../../lambdas/model/spec.ts';
import { doubleFailure } from './double-failure.ts';
import { laggingReplica } from './lagging-replica.ts';
import { partitionPrimary } from './partition-primary.ts';
import { partitionReplicas } from './partition-replicas.ts';
import { returnOfThePrimary } from './return-of-the-primary.ts';
import { rollingReplacement } from './rolling-replacement.ts';
import { switchover } from './switchover.ts';
import type { Scenario } from './scenario.ts';
import { terminateNode } from './terminate-node.ts';
import { terminateWriter } from './terminate-writer.ts';
import { twoOfThree } from './two-of-three.ts';
import { zoneOutage } from './zone-outage.ts';

/** Every scenario, the default first. */
export const scenarios: readonly Scenario[] = [
  terminateNode,
  terminateWriter,
  hangWriter,
  crashWriter,
  twoOfThree,
  zoneOutage,
  lostEvents,
  maintenance,
  planeOff,
  rollingReplacement,
  switchover,
  partitionPrimary,
  partitionReplicas,
  returnOfThePrimary,
  doubleFailure,
  laggingReplica,
  roughNight,
  quietNight,
  restoreToTime,
  restoreAfterDrop,
  restoreLatestAfterTotalLoss,
  restoreInAnotherAccount,
  shipThroughFailover,
  scheduledShipping,
  seedFromArchive,
  drill,
];

export const isFor = (scenario: Scenario, engine: EngineKind): boolean => scenario.promises[engine] !== undefined;

/** The scenario of that name. Throws naming what there is. */
export function scenarioNamed(name: string): Scenario {
  const found = scenarios.find((s) => s.name === name);
  if (found === undefined) {
    throw new Error(
      `no scenario is called ${JSON.stringify(name)}; there are: ${scenarios.map((s) => s.name).join(', ')}`,
    );
  }
  return found;
}
