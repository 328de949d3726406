/** Holds the lease that says who ships, and renews it while the shipper works. */
import { CloudUnavailable } from '../../cloud/ports.ts';
import type { ShipPorts } from './ports.ts';

/** So long a shipper that was killed keeps its successors waiting. */
const LEASE_MS = 20_000;
const RENEW_MS = 5_000;
const WHAT = 'ship';

export class LeaseKeeper {
  readonly #ports: Pick<ShipPorts, 'leases' | 'clock' | 'log'>;
  readonly #cluster: string;
  readonly #holder: string;
  #lost: string | null = null;
  #over = false;

  constructor(ports: Pick<ShipPorts, 'leases' | 'clock' | 'log'>, cluster: string, holder: string) {
    this.#ports = ports;
    this.#cluster = cluster;
    this.#holder = holder;
  }

  /** Why the lease is not ours any more; null while it is. */
  get lost(): string | null {
    return this.#lost;
  }

  /** False: another has it. Renewed from then on, until `stop` or `release`. */
  async take(): Promise<boolean> {
    const taken = await this.#ask();
    if (taken) void this.#renew();
    return taken;
  }

  stop(): void {
    this.#over = true;
  }

  async release(): Promise<void> {
    this.#over = true;
    await this.#ports.leases.release(this.#cluster, WHAT, this.#holder);
  }

  #ask(): Promise<boolean> {
    return this.#ports.leases.take(this.#cluster, WHAT, this.#holder, this.#ports.clock.nowMs() + LEASE_MS);
  }

  /**
   * While the ledger is away shipping goes on: should another take over meanwhile, objects overlap, which every reader takes as
   * it is; and a slot serves one at a time anyway.
   */
  async #renew(): Promise<void> {
    while (!this.#over) {
      await this.#ports.clock.sleep(RENEW_MS);
      if (this.#over) return;
      try {
        if (await this.#ask()) continue;
        this.#lost = 'another shipper has the lease';
        return;
      } catch (error) {
        if (!(error instanceof CloudUnavailable)) this.#lost = `the lease cannot be renewed: ${String(error)}`;
        this.#ports.log.warn('the lease was not renewed', { cluster: this.#cluster, error });
      }
    }
  }
}
