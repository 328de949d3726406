import { setTimeout as sleep } from 'node:timers/promises';
import type { World } from '../world.ts';
import { whole } from './healing.ts';
import { converges, type Scenario } from './scenario.ts';

/** Many times as long as a failover would take. */
const CUT_OFF_MS = 30_000;
const HEAL_WITHIN_SECONDS = 90;

export const partitionPrimary: Scenario = {
  name: 'partition-primary',
  summary:
    'the plane and the clients lose the primary, its replicas do not: no failover, and writes come back with the network',
  promises: { postgres: converges(0) },
  breaksNetwork: true,
  run: async (world) => {
    const writer = world.writer();
    const faultAtMs = Date.now();
    world.timeline.add('fault', `nobody but its replicas reaches the primary ${writer}`);
    await world.network.cut('others', world.hosts.ip(writer));
    await world.until('Rejoin to tell of it', (s) => s.ledger.incident !== null, 30);
    const before = world.client.figures().writesAcknowledged;
    await sleep(CUT_OFF_MS - (Date.now() - faultAtMs));
    noFailover(world, writer, faultAtMs);
    if (world.client.figures().writesAcknowledged !== before) {
      throw new Error('writes were acknowledged while nobody could reach the primary: the network was not cut');
    }
    const diagnosis = world.state().ledger.incident?.diagnosis ?? 'no incident';
    if (!diagnosis.includes('PRIMARY_PARTITIONED')) {
      throw new Error(`the incident says ${diagnosis}; expected PRIMARY_PARTITIONED`);
    }
    world.timeline.add('check', `${CUT_OFF_MS / 1000} s without the primary: no failover, as it lives`);
    world.timeline.add('fault', 'the network is healed');
    await world.network.heal();
    await world.until('writes to go on', () => world.client.figures().writesAcknowledged > before, 30);
    const routedAtMs = Date.now();
    await world.until('everything to be as it was', whole(world.nodeCount), HEAL_WITHIN_SECONDS);
    if (world.writer() !== writer) throw new Error(`the writer is ${world.writer()} now; it was to stay ${writer}`);
    return { faultAtMs, signalAtMs: world.firstSignalAfter(faultAtMs, [writer]), routedAtMs, rejoinedAtMs: Date.now() };
  },
};

/** Throws when a failover was begun since then, or the writer is another. */
export function noFailover(world: World, writer: string, sinceMs: number): void {
  const { ledger } = world.state();
  if (ledger.writer !== writer)
    throw new Error(`the ledger's writer is ${ledger.writer ?? 'nobody'}; it was to stay ${writer}`);
  const begun = world.cloud.lambdas.invocations.filter(
    (i) => i.functionName.includes('failover') && i.startedAtMs >= sinceMs,
  ).length;
  if (begun > 0) throw new Error(`${begun} steps of a failover ran; there was to be none`);
}
