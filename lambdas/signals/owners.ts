/** Whose the instances are that signals name: remembered, listed in a backlog, or asked for by id. */
import { IDS_PER_CALL } from '../cloud/ports.ts';
import type { Clock, Instances, Log, Pace } from '../cloud/ports.ts';
import { hasWaited } from '../model/answered.ts';
import { CLUSTER_TAG } from '../model/spec.ts';
import type { Memory } from './memory.ts';

export interface Ports {
  readonly clock: Clock;
  readonly instances: Instances;
  readonly log: Log;
  /** Unlimited unless given. */
  readonly pace?: Pace;
}

/** An instance that a signal names. `sentMs` as `Listing.ownerOf` takes it. */
export interface Named {
  readonly id: string;
  readonly sentMs: number | null;
}

/**
 * Instance id to cluster, for those that carry the cluster's tag. No call when all are known, one listing when that is due, one
 * batched call for what neither tells.
 */
export async function ownersOf(
  named: readonly Named[],
  ports: Ports,
  memory: Memory | null,
): Promise<ReadonlyMap<string, string>> {
  if (memory === null) return askedFor(named, ports);
  let nowMs = ports.clock.nowMs();
  let { owners, unknown } = known(named, memory, nowMs);
  // Were one of them newer, the question by id would be asked all the same.
  if (unknown.length > 0 && unknown.every(({ sentMs }) => hasWaited(sentMs, nowMs))) {
    if (memory.listing.isDue(nowMs)) {
      await memory.listing.begin(ports);
      nowMs = ports.clock.nowMs();
      ({ owners, unknown } = known(named, memory, nowMs));
    }
    memory.listing.noteSpent(Math.ceil(idsOf(unknown).length / IDS_PER_CALL));
  }
  for (const [id, cluster] of await askedFor(unknown, ports)) {
    owners.set(id, cluster);
    memory.noteOwner(id, cluster, nowMs);
  }
  return owners;
}

interface Known {
  readonly owners: Map<string, string>;
  /** Of whom nothing is known. */
  readonly unknown: readonly Named[];
}

function known(named: readonly Named[], memory: Memory, nowMs: number): Known {
  const owners = new Map<string, string>();
  const unknown: Named[] = [];
  for (const one of named) {
    const owner = memory.ownerOf(one.id, one.sentMs, nowMs);
    if (owner === undefined) unknown.push(one);
    else if (owner !== null) owners.set(one.id, owner);
  }
  return { owners, unknown };
}

const idsOf = (named: readonly Named[]): readonly string[] => [...new Set(named.map(({ id }) => id))];

async function askedFor(named: readonly Named[], { instances, pace }: Ports): Promise<ReadonlyMap<string, string>> {
  const ids = idsOf(named);
  if (ids.length === 0) return new Map();
  // Meanwhile more messages gather, and the next question is about more of them.
  await pace?.turn('instances', Math.ceil(ids.length / IDS_PER_CALL));
  return new Map(
    (await instances.byIds(ids)).flatMap(({ id, tags }) => {
      const cluster = tags[CLUSTER_TAG];
      return cluster === undefined ? [] : [[id, cluster] as const];
    }),
  );
}
