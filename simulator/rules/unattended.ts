/** Safety rule 9: while the plane is switched off and nothing befalls the cluster, its clients go on writing. */
import type { World } from '../world.ts';

/** What has struck or was begun before the plane went takes so long to show: a suspect timeout, a check of the balancer. */
const AFTERMATH_MS = 12_000;
/** Writes came until then. */
const LATELY_MS = 3000;
/** Without a write for so long serving has ended: longer than a stream stands still by itself. */
const SILENT_MS = 15_000;

export class Unattended {
  readonly #world: World;
  #wroteAtMs = Number.NEGATIVE_INFINITY;
  /** When a fault of any other kind last began. */
  #struckAtMs = Number.NEGATIVE_INFINITY;
  /** Served as the plane went, with no recovery under way. */
  #served = false;
  #failed = false;

  constructor(world: World) {
    this.#world = world;
  }

  /** Something befalls the cluster: what comes of it is not the plane's absence. */
  struck(): void {
    this.#struckAtMs = this.#world.clock.nowMs();
    this.#served = false;
  }

  begins(): void {
    const nowMs = this.#world.clock.nowMs();
    const busy = this.#world.ledger().claim !== null;
    this.#served = !busy && nowMs - this.#struckAtMs > AFTERMATH_MS && nowMs - this.#wroteAtMs < LATELY_MS;
  }

  /** A client's second. */
  wrote(acknowledged: boolean): void {
    const { clock, planeOn, guard } = this.#world;
    if (acknowledged) this.#wroteAtMs = clock.nowMs();
    if (planeOn || !this.#served || this.#failed || clock.nowMs() - this.#wroteAtMs <= SILENT_MS) return;
    this.#failed = true;
    guard.violate('9', `no write for ${SILENT_MS / 1000} s with the plane switched off, and nothing else has happened`);
  }
}
