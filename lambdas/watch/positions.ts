/**
 * Where a PostgreSQL cluster's primary was last seen, kept in the ledger: what a candidate's lag is measured against once the
 * primary cannot be asked any more (safety rule 4). And whether a replica lags, measured against the same.
 */
import type { Ledger } from '../cloud/ports.ts';
import type { PrimaryPosition } from '../model/ledger.ts';
import { lagBytes } from '../model/lsn.ts';
import type { ClusterSpec } from '../model/spec.ts';
import type { Probe } from '../model/view.ts';

/** The ledger is written this often at most. */
export const NOTE_EVERY_MS = 5000;

export class Positions {
  readonly #cluster: string;
  readonly #ledger: Ledger;
  readonly #seen = new Map<string, PrimaryPosition>();
  #noted: PrimaryPosition | null = null;
  #noting = false;
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(cluster: string, ledger: Ledger) {
    this.#cluster = cluster;
    this.#ledger = ledger;
  }

  /** Keeps what a node says of itself while it says that it is a primary. */
  see(node: string, probe: Probe): void {
    if (probe.kind !== 'answered' || probe.status.engine !== 'postgres') return;
    const { inRecovery, timeline, lsn } = probe.status;
    if (inRecovery) this.#seen.delete(node);
    else this.#seen.set(node, { node, timeline, lsn, atMs: probe.atMs });
  }

  /** How far a replica is behind the primary; a replica that lagged does so until it has made up half of what is accepted. */
  isLagging(probe: Probe, spec: ClusterSpec, lagged: boolean): boolean {
    if (probe.kind !== 'answered' || probe.status.engine !== 'postgres' || !probe.status.inRecovery) return false;
    const primary = [...this.#seen.values()].sort((a, b) => b.timeline - a.timeline)[0];
    if (primary === undefined || spec.engine.kind !== 'postgres') return false;
    const { replayLsn, lsn } = probe.status;
    const { maxLagBytes } = spec.engine;
    return lagBytes(primary.lsn, replayLsn ?? lsn) > (lagged ? maxLagBytes / 2 : maxLagBytes);
  }

  /** What there is to be noted now, as work to be waited for elsewhere: a slow ledger must not stop the probes. */
  due(nowMs: number): readonly Promise<void>[] {
    const moved = [...this.#seen.values()].some((p) => !isSame(p, this.#noted));
    if (!moved || this.#noting || nowMs - this.#lookedAtMs < NOTE_EVERY_MS) return [];
    this.#noting = true;
    this.#lookedAtMs = nowMs;
    return [this.#note().finally(() => (this.#noting = false))];
  }

  /** Only of the node that the ledger calls the writer: an old primary that still runs is ahead of nobody. */
  async #note(): Promise<void> {
    const { writer } = (await this.#ledger.read(this.#cluster)).cluster;
    const position = writer === null ? undefined : this.#seen.get(writer);
    if (position === undefined || isSame(position, this.#noted)) return;
    await this.#ledger.notePosition(this.#cluster, position);
    this.#noted = position;
  }
}

const isSame = (a: PrimaryPosition, b: PrimaryPosition | null): boolean =>
  b !== null && a.node === b.node && a.timeline === b.timeline && a.lsn === b.lsn;
