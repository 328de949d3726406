/** The faults of a soak: those of the scenarios, and some that strike a node by chance. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EngineKind } from '../../lambdas/model/spec.ts';
import { ENGINES } from '../engines/index.ts';
import { crashWriter } from '../scenarios/crash-writer.ts';
import { doubleFailure } from '../scenarios/double-failure.ts';
import { hangWriter } from '../scenarios/hang-writer.ts';
import { heal } from '../scenarios/healing.ts';
import { isFor } from '../scenarios/index.ts';
import { lostEvents } from '../scenarios/lost-events.ts';
import { maintenance } from '../scenarios/maintenance.ts';
import { partitionPrimary } from '../scenarios/partition-primary.ts';
import { partitionReplicas } from '../scenarios/partition-replicas.ts';
import { planeOff } from '../scenarios/plane-off.ts';
import { returnOfThePrimary } from '../scenarios/return-of-the-primary.ts';
import type { Scenario } from '../scenarios/scenario.ts';
import { switchover } from '../scenarios/switchover.ts';
import { terminateWriter } from '../scenarios/terminate-writer.ts';
import { twoOfThree } from '../scenarios/two-of-three.ts';
import { zoneOutage } from '../scenarios/zone-outage.ts';
import type { World } from '../world.ts';
import type { Chance } from './sequence.ts';

export interface Fault {
  readonly name: string;
  readonly summary: string;
  readonly engines: readonly EngineKind[];
  /** It drops packets, which takes root and nftables. */
  readonly breaksNetwork: boolean;
  /** Injects it, and takes back what would not end by itself. Throws when a stage of the healing does not come in time. */
  strike(world: World, chance: Chance): Promise<void>;
}

/** Of a scenario: all that it does, with its own waits; what it promises of times and launches is not judged. */
const asIn = (scenario: Scenario): Fault => ({
  name: scenario.name,
  summary: scenario.summary,
  engines: ENGINES.filter((engine) => isFor(scenario, engine)),
  breaksNetwork: scenario.breaksNetwork === true,
  strike: async (world) => void (await scenario.run(world)),
});

const onNode = (name: string, summary: string, strike: Fault['strike']): Fault => ({
  name,
  summary,
  engines: ENGINES,
  breaksNetwork: false,
  strike,
});

const oneOf = (ids: readonly string[], chance: Chance): string => {
  const id = ids[Math.floor(chance.node * ids.length)];
  if (id === undefined) throw new Error('there is no node to strike');
  return id;
};

const HANGS_AT_LEAST_MS = 1000;
const HANGS_AT_MOST_MS = 20_000;
const DATABASES = ['mariadbd', 'postgres'];

/** Long enough to be replaced, or so short that nobody needs to do anything. */
async function hangAndThaw(world: World, chance: Chance): Promise<void> {
  const node = oneOf(world.members(), chance);
  const ms = Math.round(HANGS_AT_LEAST_MS + chance.length * (HANGS_AT_MOST_MS - HANGS_AT_LEAST_MS));
  world.timeline.add('fault', `the database of ${node} hangs for ${ms} ms`);
  await world.hosts.freeze(node);
  await sleep(ms);
  const processes = await world.hosts.processes(node);
  if (!processes.some((p) => DATABASES.includes(p.name))) {
    world.timeline.add('check', `${node} was fenced before it could wake up`);
    return;
  }
  await world.hosts.thaw(node);
}

async function terminateWithDoubledEvents(world: World, chance: Chance): Promise<void> {
  const node = oneOf(world.members(), chance);
  world.timeline.add('fault', 'every event comes twice from now on');
  world.cloud.events.setMode('double');
  await heal(world, [node], () => world.terminate(node));
  world.cloud.events.setMode('normal');
}

const lostEventsForAWhile: Fault = {
  ...asIn(lostEvents),
  strike: async (world) => {
    await lostEvents.run(world);
    world.cloud.events.setMode('normal');
  },
};

/** Every kind. Two at once are only those that a scenario promises to survive. */
export const FAULTS: readonly Fault[] = [
  onNode('terminate-node', 'EC2 terminates a node that is not the writer', async (world, chance) => {
    const node = oneOf(world.otherThanWriter(), chance);
    await heal(world, [node], () => world.terminate(node));
  }),
  asIn(terminateWriter),
  asIn(hangWriter),
  onNode('hang-and-thaw', 'the database of a node is frozen for 1 to 20 s, and wakes up', hangAndThaw),
  asIn(crashWriter),
  onNode('crash-node', 'kill -9 of the database of a node that is not the writer', async (world, chance) => {
    await world.hosts.crash(oneOf(world.otherThanWriter(), chance));
  }),
  onNode('power-cut', 'a host loses power and boots again', async (world, chance) => {
    await world.hosts.powerLoss([oneOf(world.members(), chance)]);
  }),
  asIn(zoneOutage),
  asIn(maintenance),
  lostEventsForAWhile,
  onNode('doubled-events', 'a node terminates while every event comes twice', terminateWithDoubledEvents),
  asIn(planeOff),
  asIn(twoOfThree),
  asIn(switchover),
  asIn(returnOfThePrimary),
  asIn(doubleFailure),
  asIn(partitionPrimary),
  asIn(partitionReplicas),
];

/** Those of an engine; without the right to break the network, without those that do. */
export const faultsFor = (engine: EngineKind, mayBreakNetwork: boolean): readonly Fault[] =>
  FAULTS.filter((f) => f.engines.includes(engine) && (mayBreakNetwork || !f.breaksNetwork));
