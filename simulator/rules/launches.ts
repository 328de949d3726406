/** Safety rule 3 of replacements, and that nothing is launched twice for one loss. */
import type { LaunchRequest } from '../../lambdas/cloud/ports.ts';
import { REPLACES_TAG } from '../../lambdas/model/spec.ts';
import type { World } from '../world.ts';
import { GRACE_MS } from './grace.ts';

export class Launches {
  readonly #world: World;
  /** When EC2 last said stopped or terminated: a person may start it again in the middle of a replacement. */
  readonly #fencedAtMs = new Map<string, number>();
  /** When the plane last had EC2 stop an instance: what it has stopped it retires, unless a person starts it. */
  readonly stoppedAtMs = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  stops(id: string): void {
    this.stoppedAtMs.set(id, this.#world.clock.nowMs());
  }

  /** Looked at before. */
  launches({ replaces }: LaunchRequest): void {
    const state = replaces === null ? undefined : this.#world.aws.instances.get(replaces)?.state;
    const fencedAtMs = this.#fencedAtMs.get(replaces ?? '') ?? Number.NEGATIVE_INFINITY;
    const stoppedAtMs = this.stoppedAtMs.get(replaces ?? '') ?? Number.POSITIVE_INFINITY;
    const { clock, aws, guard } = this.#world;
    // It may have been stopped for less than the time between two looks of this guard, and be terminated by now.
    const hasStopped = clock.nowMs() - stoppedAtMs >= aws.stopMs;
    const lately = hasStopped || clock.nowMs() - fencedAtMs < 4 * GRACE_MS;
    if (state !== undefined && state !== 'stopped' && state !== 'terminated' && !lately) {
      guard.violate('3', `a replacement of ${replaces ?? ''} is launched while EC2 says ${state}`);
    }
  }

  /** Looked at after. */
  launched({ replaces }: LaunchRequest): void {
    const { guard, spec, startedByHand } = this.#world;
    const live = this.#world.instancesOf().filter((i) => i.state === 'pending' || i.state === 'running');
    const same = live.filter((i) => replaces !== null && i.tags[REPLACES_TAG] === replaces);
    if (same.length > 1)
      guard.violate('launch', `${same.map((i) => i.id).join(' and ')} both replace ${replaces ?? ''}`);
    // Beside its replacement a stopped node runs only when a person has started it: the plane starts none, and may not stop it.
    const isReplaced = (id: string): boolean => live.some((i) => i.tags[REPLACES_TAG] === id);
    const counted = live.filter((i) => !(this.#fencedAtMs.has(i.id) && isReplaced(i.id)));
    const ours = counted.filter((i) => !startedByHand.has(i.id));
    if (ours.length > spec.nodes + 1)
      guard.violate('launch', `${ours.length} instances run where ${spec.nodes} are specified`);
  }

  tick(): void {
    for (const { id, state } of this.#world.instancesOf())
      if (state === 'stopped' || state === 'terminated') this.#fencedAtMs.set(id, this.#world.clock.nowMs());
  }
}
