/** What a shipper tells of itself, every few seconds: a line for each object would be most of what it writes. */
import type { StoredPiece } from './conveyor.ts';
import type { ShipPorts } from './ports.ts';

const EVERY_MS = 10_000;

export class Telemetry {
  readonly #ports: Pick<ShipPorts, 'clock' | 'metrics'>;
  readonly #dimensions: { readonly cluster: string };
  #toldMs: number;
  #bytes = 0;
  #new = 0;
  #coveredMs: number | null = null;
  /** Since the beginning. */
  objects = 0;

  constructor(ports: Pick<ShipPorts, 'clock' | 'metrics'>, cluster: string) {
    this.#ports = ports;
    this.#dimensions = { cluster };
    this.#toldMs = ports.clock.nowMs();
  }

  stored({ storedBytes }: StoredPiece): void {
    this.objects += 1;
    this.#new += 1;
    this.#bytes += storedBytes;
  }

  covered(serverMs: number): void {
    if (serverMs > 0) this.#coveredMs = Math.max(this.#coveredMs ?? 0, serverMs);
  }

  tick(): void {
    if (this.#ports.clock.nowMs() - this.#toldMs >= EVERY_MS) this.flush();
  }

  flush(): void {
    const { clock, metrics } = this.#ports;
    this.#toldMs = clock.nowMs();
    if (this.#new > 0) {
      metrics.count('ArchiveObjects', this.#new, this.#dimensions);
      metrics.gauge('ArchiveBytes', this.#bytes, 'Bytes', this.#dimensions);
      this.#new = 0;
      this.#bytes = 0;
    }
    if (this.#coveredMs === null) return;
    const lagSeconds = Math.max(0, (this.#toldMs - this.#coveredMs) / 1000);
    metrics.gauge('ArchiveLag', lagSeconds, 'Seconds', this.#dimensions);
  }
}
