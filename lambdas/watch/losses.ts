/**
 * Counts nodes that are lost, over the whole fleet, as soon as EC2 says so (safety rule 7). The watch lists every instance at once: when a zone goes it knows of
 * a thousand losses in seconds, while reconciles see them a few a second, each after AWS has answered a dozen questions.
 */
import type { Ledger, Log } from '../cloud/ports.ts';
import { BRAKE_WINDOW_MS, brakeReason } from '../model/brake.ts';
import type { FleetFailure } from '../model/ledger.ts';

/** What is lost within this time is counted together. */
const TOGETHER_MS = 1000;

export class Losses {
  readonly #ledger: Ledger;
  readonly #log: Log;
  #seen: FleetFailure[] = [];
  #counting = false;
  #countedAtMs = Number.NEGATIVE_INFINITY;

  constructor({ ledger, log }: { readonly ledger: Ledger; readonly log: Log }) {
    this.#ledger = ledger;
    this.#log = log;
  }

  /** These nodes are lost, and nobody has them in hand. */
  see(cluster: string, nodes: readonly string[], atMs: number): void {
    this.#seen.push(...nodes.map((node) => ({ cluster, node, atMs, knownSinceMs: atMs })));
  }

  /** What was seen goes on the fleet's record, and the brake engages if that is too much; null: nothing is to be done now. */
  due(nowMs: number, fleetNodes: number): Promise<void> | null {
    if (this.#seen.length === 0 || this.#counting || nowMs - this.#countedAtMs < TOGETHER_MS) return null;
    this.#countedAtMs = nowMs;
    return this.#countAll(nowMs, fleetNodes);
  }

  async #countAll(nowMs: number, fleetNodes: number): Promise<void> {
    const seen = this.#seen;
    this.#seen = [];
    this.#counting = true;
    try {
      await this.#count(seen, nowMs, fleetNodes);
    } catch (error) {
      this.#seen.push(...seen);
      throw error;
    } finally {
      this.#counting = false;
    }
  }

  async #count(seen: readonly FleetFailure[], nowMs: number, fleetNodes: number): Promise<void> {
    const known = await this.#ledger.failuresSince(nowMs - BRAKE_WINDOW_MS);
    const names = new Set(known.map(nameOf));
    // Whoever noted one before knew of it earlier: a release that came after that is not to be undone by us.
    const fresh = seen.filter((f) => !names.has(nameOf(f)));
    await Promise.all(fresh.map((f) => this.#ledger.noteFailure(f)));
    const all = [...known, ...fresh];
    const [first] = fresh;
    if (first === undefined || brakeReason(all, fleetNodes, nowMs) === null) return;
    const { brake } = await this.#ledger.read(first.cluster);
    const reason = brakeReason(all, fleetNodes, nowMs, brake.releasedAtMs ?? null);
    if (brake.engaged || reason === null) return;
    await this.#ledger.engageBrake(reason, nowMs);
    this.#log.warn('the fleet brake engages', { reason });
  }
}

const nameOf = ({ cluster, node }: FleetFailure): string => `${cluster}/${node}`;
