/**
 * A Galera cluster as far as the control plane can help or hurt it: processes that start, stop, crash and hang, clients that
 * write, what was acknowledged, and what a bootstrap makes of it. Membership is in `membership.ts`.
 */
import type { GaleraStatus } from '../../lambdas/model/galera.ts';
import type { Branch, Data } from './history.ts';
import { holds, isPartOf } from './history.ts';
import type { Component } from './node.ts';
import type { Database } from '../side.ts';
import { GaleraMembership, IST_MS, MOST_BEHIND } from './membership.ts';

/** After its last write a follower may not have applied all of it. */
const APPLIES_MS = 1500;

export interface Acknowledged {
  readonly branch: Branch;
  readonly seqno: number;
  readonly atMs: number;
}

const uuidOf = (number: number): string => `6a7c1b1e-1f64-11f0-9c3a-${number.toString(16).padStart(12, '0')}`;

export class GaleraModel extends GaleraMembership implements Database {
  /** What each volume holds. */
  #acknowledged = new Map<Branch, number>();
  /** Every write that a client was told of, by time. */
  readonly journal: Acknowledged[] = [];
  writes = 0;
  #lastWriter: string | null = null;
  #lastWriteMs = 0;

  found(ids: readonly string[], uuid: string): void {
    const branch: Branch = { id: 0, uuid, parent: null, forkAt: 0 };
    const data: Data = { branch, seqno: 1000, clean: true };
    const component = this.component(ids, true, 1, data);
    for (const id of ids) Object.assign(this.node(id), { process: 'up', component, state: 'Synced' });
  }

  /** Components in which writes can be acknowledged: more than one is a split brain. */
  primaries(): readonly Component[] {
    return this.components().filter((c) => c.primary && [...c.members].some((m) => this.serves(m)));
  }

  servesInNeed(id: string): boolean {
    return this.serves(id) || (this.nodes.get(id)?.state === 'Donor/Desynced' && this.alive(id));
  }

  isMember(id: string): boolean {
    const n = this.nodes.get(id);
    return n?.process === 'up' && n.component?.primary === true;
  }

  /** How far this node is: in memory while it runs, else on its disk. */
  position(id: string): Data | null {
    const n = this.nodes.get(id);
    return n?.process !== 'none' && n?.transfer === null && n.component !== null ? n.component.data : this.data(id);
  }

  isUp(id: string): boolean {
    return this.node(id).process === 'up';
  }

  listens(id: string): boolean {
    return this.status(id) !== null || this.node(id).process === 'hung';
  }

  takesWrites(): boolean {
    return this.primaries().length > 0;
  }

  hostEnds(id: string, how: 'stop' | 'terminate'): void {
    if (how === 'stop') this.crash(id);
    else this.stop(id);
  }

  clients(routed: string | undefined): boolean {
    if (routed === undefined || !this.write(routed)) return false;
    this.#lastWriter = routed;
    this.#lastWriteMs = this.world.nowMs();
    return true;
  }

  protected override isLagging(id: string): boolean {
    return id !== this.#lastWriter && this.world.nowMs() - this.#lastWriteMs < APPLIES_MS;
  }

  /** One write through this node; acknowledged when every member of its view has it. */
  write(id: string): boolean {
    const n = this.nodes.get(id);
    const c = n?.component ?? null;
    if (n === undefined || c === null || !c.primary || n.process !== 'up' || n.transfer !== null) return false;
    if (n.state !== 'Synced' && n.state !== 'Donor/Desynced' && n.state !== 'Joined') return false;
    if (!this.isHeard(id)) return false;
    c.data = { ...c.data, seqno: c.data.seqno + 1 };
    this.#acknowledged.set(c.data.branch, c.data.seqno);
    this.journal.push({ branch: c.data.branch, seqno: c.data.seqno, atMs: this.world.nowMs() });
    this.writes += 1;
    return true;
  }

  /** Does every member of its view get a message of this node now. */
  isHeard(id: string): boolean {
    const members = this.nodes.get(id)?.component?.members ?? [];
    for (const m of members) if (!this.alive(m) || !this.linked(id, m)) return false;
    return true;
  }

  /** What its data directory holds whatever becomes of the process now; null: nothing. */
  applied(id: string): Data | null {
    const data = this.position(id);
    if (data === null || !this.isLagging(id)) return data;
    const { process, component, transfer } = this.node(id);
    if (process === 'none' || component === null || transfer !== null) return data;
    return { ...data, seqno: Math.max(data.branch.forkAt, data.seqno - MOST_BEHIND) };
  }

  /** Acknowledged writes that somebody at this position does not hold, in words; null when it holds all. */
  lacks(data: Pick<Data, 'branch' | 'seqno'>): string | null {
    for (const [branch, seqno] of this.#acknowledged) {
      if (!holds(data.branch, data.seqno, branch, seqno)) {
        return `write ${seqno} of history ${branch.id}; it is at ${data.seqno} of history ${data.branch.id}`;
      }
    }
    return null;
  }

  /** A person accepts that what this position lacks is lost. */
  forgive(data: Pick<Data, 'branch' | 'seqno'>): void {
    this.#acknowledged = new Map([[data.branch, data.seqno]]);
  }

  /** A clean shutdown: the others count it out at once. */
  stop(id: string): void {
    const n = this.nodes.get(id);
    if (n === undefined || n.process === 'none') return;
    if (n.process === 'hung' || n.transfer?.kind === 'sst') return this.crash(id);
    this.flush(n, true);
    const c = n.component;
    if (c !== null) {
      c.members.delete(id);
      if (c.primary && c.members.size > 0) this.newView(c);
    }
    Object.assign(n, { process: 'none', component: null, state: 'Undefined', transfer: null, joining: false });
  }

  hang(id: string): void {
    const n = this.nodes.get(id);
    if (n?.process === 'up') n.process = 'hung';
  }

  resume(id: string): void {
    const n = this.nodes.get(id);
    if (n?.process === 'hung') n.process = 'up';
  }

  start(id: string): void {
    const n = this.node(id);
    n.starts += 1;
    Object.assign(n, { process: 'up', component: null, state: 'Undefined', transfer: null, joining: true });
  }

  /** Becomes a member of the first peer's primary component; false when none is there. */
  admit(id: string, peers: readonly string[], wanted: string): boolean {
    const n = this.node(id);
    const peer = peers.find((p) => this.isMember(p) && this.reach(id, p) && this.serves(p));
    const c = peer === undefined ? null : (this.nodes.get(peer)?.component ?? null);
    if (c === null) return false;
    for (const m of c.members) if (!this.alive(m) || !this.linked(id, m)) return false;
    const own = this.data(id);
    if (own !== null && own.branch.uuid === c.data.branch.uuid && own.seqno > c.data.seqno) {
      this.world.tell(`${id} is ahead of the component that it joins: it aborts`);
      this.crash(id);
      return false;
    }
    // Of the same state UUID, and not ahead: that is all that Galera asks.
    const ist = own !== null && own.branch.uuid === c.data.branch.uuid;
    const donor = [wanted, ...c.members].find((m) => m !== id && this.serves(m) && c.members.has(m));
    if (donor === undefined) return false;
    const ms = ist ? IST_MS : this.world.random(5000, 40_000);
    const transfer = { kind: ist ? 'ist' : 'sst', donor, endsAtMs: this.world.nowMs() + ms } as const;
    if (!ist) this.erase(id);
    else if (!isPartOf(own, c.data)) this.diverges(id, own);
    Object.assign(n, { component: c, state: 'Joining', transfer, joining: false });
    this.node(donor).state = 'Donor/Desynced';
    c.members.add(id);
    this.newView(c);
    return true;
  }

  /** A new primary component out of this node's data; `renewed`: under a state UUID of its own. */
  bootstrap(id: string, renewed = false): Data | null {
    const own = this.data(id);
    if (own === null) return null;
    this.counter += 1;
    const uuid = renewed ? uuidOf(this.counter) : own.branch.uuid;
    const branch: Branch = { id: this.counter, uuid, parent: own.branch, forkAt: own.seqno };
    const component = this.component([id], true, 1, { branch, seqno: own.seqno, clean: true });
    const n = this.node(id);
    n.starts += 1;
    Object.assign(n, { process: 'up', component, state: 'Synced', transfer: null, joining: false });
    return component.data;
  }

  status(id: string): GaleraStatus | null {
    const n = this.nodes.get(id);
    if (n === undefined || n.process !== 'up' || n.joining || n.transfer?.kind === 'sst') return null;
    const c = n.component;
    const data = c?.data ?? this.data(id);
    const members = [...(c?.members ?? [id])];
    return {
      engine: 'galera',
      ready: c?.primary === true && n.state !== 'Joining',
      state: c?.primary === true ? n.state : 'Undefined',
      component: c === null ? 'Disconnected' : c.primary ? 'Primary' : 'Non-Primary',
      clusterSize: members.length,
      viewId: c?.primary === true ? c.viewId : -1,
      stateUuid: data?.branch.uuid ?? '00000000-0000-0000-0000-000000000000',
      seqno: data?.seqno ?? -1,
      members: members.map((m) => this.world.addressOf(m)),
      nodeName: id,
      readOnly: false,
    };
  }
}
