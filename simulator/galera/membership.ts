/**
 * Membership: views with quorum, the suspect timeout, non-primary components that find each other again, state transfers.
 * https://galeracluster.com/library/documentation/weighted-quorum.html
 */
import type { Data } from './history.ts';
import { isPartOf } from './history.ts';
import type { Component, GaleraNode } from './node.ts';

/** evs.suspect_timeout, PT5S. */
const SUSPECT_MS = 5000;
export const IST_MS = 2000;
/** So many writes at most a node that only follows has received and not applied. */
export const MOST_BEHIND = 3;

export interface Surroundings {
  nowMs(): number;
  random(low: number, high: number): number;
  tell(what: string): void;
  /** The data volume of an instance; null: it has none (any more). */
  volumeOf(id: string): string | null;
  hostRuns(id: string): boolean;
  addressOf(id: string): string;
  /** Can the two hosts reach each other. */
  reach(a: string, b: string): boolean;
}

export class GaleraMembership {
  readonly nodes = new Map<string, GaleraNode>();
  readonly disks = new Map<string, Data>();
  /** Who became a member with data that are not the others', in words. */
  readonly diverged: string[] = [];
  protected readonly world: Surroundings;
  protected counter = 0;
  constructor(world: Surroundings) {
    this.world = world;
  }

  node(id: string): GaleraNode {
    const known = this.nodes.get(id);
    if (known !== undefined) return known;
    const made: GaleraNode = {
      id,
      process: 'none',
      component: null,
      state: 'Undefined',
      transfer: null,
      joining: false,
      starts: 0,
    };
    this.nodes.set(id, made);
    return made;
  }

  components(): readonly Component[] {
    const found = new Set<Component>();
    for (const { process, component } of this.nodes.values())
      if (process !== 'none' && component !== null) found.add(component);
    return [...found];
  }

  serves(id: string): boolean {
    const n = this.nodes.get(id);
    return n?.process === 'up' && n.component?.primary === true && n.state === 'Synced';
  }

  data(id: string): Data | null {
    const volume = this.world.volumeOf(id);
    return volume === null ? null : (this.disks.get(volume) ?? null);
  }

  crash(id: string): void {
    const n = this.nodes.get(id);
    if (n === undefined || n.process === 'none') return;
    this.flush(n, false);
    Object.assign(n, { process: 'none', component: null, state: 'Undefined', transfer: null, joining: false });
  }

  tick(): void {
    for (const n of this.nodes.values()) {
      if (n.process !== 'none' && !this.world.hostRuns(n.id)) this.crash(n.id);
    }
    for (const c of this.components()) this.#suspect(c);
    this.#merge();
    for (const n of this.nodes.values()) this.#transfer(n);
    const giving = new Set([...this.nodes.values()].map((n) => n.transfer?.donor));
    for (const n of this.nodes.values()) if (n.state === 'Donor/Desynced' && !giving.has(n.id)) n.state = 'Synced';
  }

  #suspect(c: Component): void {
    if (!c.primary && c.members.size === 1) return;
    const groups = this.#groups(c);
    const whole = groups.length === 1 && groups[0]?.length === c.members.size;
    if (whole) {
      c.troubleSinceMs = null;
      return;
    }
    const now = this.world.nowMs();
    c.troubleSinceMs ??= now;
    if (now - c.troubleSinceMs < SUSPECT_MS) return;
    const { members, primary, viewId, data, lastPrimary } = c;
    const hung = [...members].filter(
      (m) => this.nodes.get(m)?.process === 'hung' && this.nodes.get(m)?.component === c,
    );
    for (const group of [...groups, ...hung.map((h) => [h])]) {
      const keeps = primary && group.length * 2 > members.size && group.some((m) => this.node(m).state !== 'Joining');
      const next = this.component(group, keeps, viewId + 1, data);
      if (!keeps) next.lastPrimary = lastPrimary;
      for (const m of group) this.node(m).component = next;
      this.world.tell(`${group.join(', ')}: view of ${group.length}, ${keeps ? 'Primary' : 'Non-Primary'}`);
    }
  }

  #groups(c: Component): readonly string[][] {
    const groups: string[][] = [];
    for (const m of c.members) {
      if (!this.alive(m) || this.nodes.get(m)?.component !== c) continue;
      const group = groups.find((g) => g.every((o) => this.linked(o, m)));
      if (group === undefined) groups.push([m]);
      else group.push(m);
    }
    return groups;
  }

  #merge(): void {
    const all = this.components();
    if (all.every((c) => c.primary)) return;
    const primary = all.filter((c) => c.primary);
    for (const c of this.components().filter((x) => !x.primary)) {
      const ids = [...c.members].filter((m) => this.alive(m));
      const home = primary.find((p) =>
        [...p.members].every((m) => this.alive(m) && ids.every((i) => this.linked(i, m))),
      );
      if (home !== undefined) for (const id of ids) this.#return(id, home);
    }
    const lonely = this.components().filter((c) => !c.primary && [...c.members].every((m) => this.alive(m)));
    for (const c of lonely) {
      const kin = lonely.filter(
        (o) =>
          o.lastPrimary.viewId === c.lastPrimary.viewId &&
          [...o.members].every((m) => [...c.members].every((k) => this.linked(m, k))),
      );
      const ids = [...new Set(kin.flatMap((o) => [...o.members]))].filter((id) => this.alive(id));
      const counted = ids.filter((id) => c.lastPrimary.members.has(id)).length;
      if (counted * 2 <= c.lastPrimary.members.size) continue;
      const data = kin.map((o) => o.data).reduce((a, b) => (b.seqno > a.seqno ? b : a));
      const next = this.component(ids, true, Math.max(...kin.map((o) => o.viewId)) + 1, data);
      for (const id of ids) Object.assign(this.node(id), { component: next, state: 'Synced', transfer: null });
      this.world.tell(`${ids.join(', ')} have quorum again`);
      return;
    }
  }

  #return(id: string, home: Component): void {
    const own = this.nodes.get(id)?.component?.data;
    if (own !== undefined && !isPartOf(own, home.data)) {
      if (own.branch.uuid !== home.data.branch.uuid || own.seqno > home.data.seqno) {
        this.world.tell(`${id} is of another history than the primary component, or ahead of it: it aborts`);
        this.crash(id);
        return;
      }
      this.diverges(id, own);
    }
    const donor = [...home.members].find((m) => this.serves(m));
    if (donor === undefined) return;
    home.members.add(id);
    const transfer = { kind: 'ist', donor, endsAtMs: this.world.nowMs() + IST_MS } as const;
    Object.assign(this.node(id), { component: home, state: 'Joining', transfer });
    this.newView(home);
    this.world.tell(`${id} comes back to the primary component`);
  }

  /** It is given only what comes after its own seqno, and what it has before that is not what the others have. */
  protected diverges(id: string, { branch, seqno }: Data): void {
    this.diverged.push(`${id}, at ${seqno} of history ${branch.id}`);
    this.world.tell(`${id} has other writes than the primary component under the same seqnos, and nobody notices`);
  }

  #transfer(n: GaleraNode): void {
    const { transfer, component } = n;
    if (transfer === null || n.process !== 'up') return;
    const donor = this.nodes.get(transfer.donor);
    const broken = component?.primary !== true || donor?.component !== component || !this.alive(transfer.donor);
    if (broken || !this.reach(n.id, transfer.donor)) {
      this.world.tell(`${n.id}: its state transfer broke off, it ends`);
      if (donor?.state === 'Donor/Desynced') donor.state = 'Synced';
      this.crash(n.id);
      return;
    }
    if (this.world.nowMs() < transfer.endsAtMs) return;
    n.transfer = null;
    n.state = 'Synced';
    if (donor.state === 'Donor/Desynced') donor.state = 'Synced';
    this.world.tell(`${n.id} is Synced`);
  }

  protected component(ids: readonly string[], primary: boolean, viewId: number, data: Data): Component {
    this.counter += 1;
    const members = new Set(ids);
    const lastPrimary = { viewId: this.counter, members: new Set(ids) };
    return { id: this.counter, members, primary, viewId, data, lastPrimary, troubleSinceMs: null };
  }

  protected newView(c: Component): void {
    this.counter += 1;
    c.viewId += 1;
    c.lastPrimary = { viewId: this.counter, members: new Set(c.members) };
  }

  protected flush(n: GaleraNode, clean: boolean): void {
    const volume = this.world.volumeOf(n.id);
    const c = n.component;
    if (volume === null || c === null || n.transfer !== null) return;
    const lag = clean || !this.isLagging(n.id) ? 0 : this.world.random(0, MOST_BEHIND);
    this.disks.set(volume, { branch: c.data.branch, seqno: Math.max(c.data.branch.forkAt, c.data.seqno - lag), clean });
  }

  /** Does it only follow, so that its disk may be behind. */
  protected isLagging(_id: string): boolean {
    return false;
  }

  protected erase(id: string): void {
    const volume = this.world.volumeOf(id);
    if (volume !== null) this.disks.delete(volume);
  }

  protected alive(id: string): boolean {
    return this.nodes.get(id)?.process === 'up';
  }

  /** State transfers, and the first contact of a joiner. */
  protected reach(a: string, b: string): boolean {
    return a === b || this.world.reach(a, b);
  }

  /** Messages of the group: a live node that both reach relays them (gmcast). */
  protected linked(a: string, b: string): boolean {
    if (this.reach(a, b)) return true;
    return [...this.nodes.values()].some((c) => c.process === 'up' && this.reach(a, c.id) && this.reach(c.id, b));
  }
}
