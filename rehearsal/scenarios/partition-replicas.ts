import { setTimeout as sleep } from 'node:timers/promises';
import { whole } from './healing.ts';
import { noFailover } from './partition-primary.ts';
import type { Scenario } from './scenario.ts';

const HEAL_WITHIN_SECONDS = 120;
/** How long writes are watched going on without a replica. */
const ALONE_MS = 8000;

/** Replicas leave the quorum when they have not streamed for 5 s, and are told to be lost before that. */
const LIMITS = { writeOutageMs: 15_000, writeErrors: null, signalToRoutedMs: null, launches: 0 };

export const partitionReplicas: Scenario = {
  name: 'partition-replicas',
  summary:
    'the replicas lose the primary, the plane and the clients do not: no failover, writes go on once an incident says that they are less durable',
  promises: { postgres: LIMITS },
  breaksNetwork: true,
  run: async (world) => {
    const writer = world.writer();
    const faultAtMs = Date.now();
    world.timeline.add('fault', `no replica reaches the primary ${writer}`);
    await world.network.cut('servers', world.hosts.ip(writer));
    await world.until('an incident', (s) => s.ledger.incident !== null, 30);
    const toldAt = world.client.figures().writesAcknowledged;
    await world.until('writes to go on', () => world.client.figures().writesAcknowledged > toldAt + 20, 30);
    const routedAtMs = Date.now();
    await sleep(ALONE_MS);
    noFailover(world, writer, faultAtMs);
    world.timeline.add('check', 'writes go on, there is no failover');
    world.timeline.add('fault', 'the network is healed');
    await world.network.heal();
    await world.until('everything to be as it was', whole(world.nodeCount), HEAL_WITHIN_SECONDS);
    if (world.writer() !== writer) throw new Error(`the writer is ${world.writer()} now; it was to stay ${writer}`);
    return { faultAtMs, signalAtMs: world.firstSignalAfter(faultAtMs, [writer]), routedAtMs, rejoinedAtMs: Date.now() };
  },
};
