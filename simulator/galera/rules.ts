/** The safety rules as Galera has them: from the truth, not from what the plane believes. */
import type { Actor } from '../actor.ts';
import { GRACE_MS, LOOK_MS } from '../rules/grace.ts';
import type { Call, EngineRules } from '../side.ts';
import type { World } from '../world.ts';
import type { GaleraModel } from './cluster.ts';
import { isPartOf } from './history.ts';

export class GaleraRules implements EngineRules {
  readonly #world: World;
  readonly #model: GaleraModel;
  readonly #servedAtMs = new Map<string, number>();

  constructor(world: World, model: GaleraModel) {
    this.#world = world;
    this.#model = model;
  }

  before({ operation, args }: Call): void {
    if (operation === 'hosts.start' && args[1] === 'galera-bootstrap') this.#bootstraps(String(args[0]));
  }

  ends(id: string, operation: string): void {
    const { guard } = this.#world;
    const others = this.#world.instancesOf().filter((i) => i.id !== id);
    const lately = others.some((i) => this.#servedLately(i.id));
    if (!lately && this.#model.node(id).process !== 'none')
      guard.violate('6', `${operation}(${id}) and nobody else serves`);
    guard.servesAllAlong(id, operation);
  }

  becomesWriter(_: Actor, id: string): void {
    if (this.#model.isMember(id) || this.#servedLately(id, LOOK_MS)) return;
    this.#world.guard.violate('4', `${id} becomes the writer and is in no primary component`);
  }

  tick(): void {
    const { guard, clock, instancesOf } = this.#world;
    for (const { id } of instancesOf()) if (this.#model.servesInNeed(id)) this.#servedAtMs.set(id, clock.nowMs());
    const [diverged] = this.#model.diverged.splice(0);
    if (diverged !== undefined)
      guard.violate('writes', `${diverged}, was taken for one that only lacks what came after`);
    const primaries = this.#model.primaries();
    if (primaries.length > 1) {
      guard.violate('4', `two primary components: ${primaries.map((c) => [...c.members].join('+')).join(' and ')}`);
    }
    for (const c of primaries) {
      const lost = this.#model.lacks(c.data);
      if (lost !== null) guard.violate('writes', `acknowledged and lost: ${lost}`);
    }
  }

  #servedLately(id: string, withinMs = GRACE_MS): boolean {
    const at = this.#servedAtMs.get(id) ?? Number.NEGATIVE_INFINITY;
    return this.#world.clock.nowMs() - at < withinMs;
  }

  #bootstraps(id: string): void {
    const model = this.#model;
    const { guard } = this.#world;
    if (model.primaries().length > 0 && !model.isMember(id)) {
      guard.violate('4', `${id} is bootstrapped beside a primary component`);
    }
    // The script itself refuses on a host whose database runs, and none runs on a host that has ended since it was chosen.
    if (!this.#world.hostRuns(id) || model.node(id).process !== 'none') return;
    const own = model.position(id);
    for (const other of this.#world.instancesOf()) {
      const data = model.position(other.id);
      if (data !== null && (own === null || !isPartOf(data, own))) {
        guard.violate('4', `${id} at ${own?.seqno ?? 'nothing'} is bootstrapped, ${other.id} is at ${data.seqno}`);
      }
    }
  }
}
