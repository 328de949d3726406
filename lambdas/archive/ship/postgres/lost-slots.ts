/**
 * Slots of the archive that have lost log which is not archived. The shipper tells it, for it makes the slot anew: a moment later
 * nobody can see it any more. Each loss is counted once.
 */
import { keptForArchive } from '../../../model/archive/slots.ts';
import type { ShipRun } from '../run.ts';
import type { AnsweringNode } from './source.ts';

export class LostSlots {
  /** By cluster and node: told, and not well since. */
  readonly #told = new Set<string>();

  /** To be called with nodes that were looked at, before their slots are made anew. */
  look({ spec, metrics, log }: Pick<ShipRun, 'spec' | 'metrics' | 'log'>, nodes: readonly AnsweringNode[]): void {
    const cluster = spec.name;
    for (const { target, status } of nodes) {
      const node = target.instanceId;
      const kept = keptForArchive(node, status);
      if (kept === null) continue;
      const name = `${cluster}/${node}`;
      if (!kept.lost) {
        this.#told.delete(name);
        continue;
      }
      if (this.#told.has(name)) continue;
      this.#told.add(name);
      metrics.count('ArchiveGap', 1, { cluster });
      log.error('a node has removed log that is not archived: unless another node has it, take a base backup', {
        ...{ cluster, node },
      });
    }
  }

  /** Has the last look at the node told it. */
  has(cluster: string, node: string): boolean {
    return this.#told.has(`${cluster}/${node}`);
  }
}
