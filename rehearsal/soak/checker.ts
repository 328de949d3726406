/**
 * The check of the writes while they go on: what was acknowledged must be on every node. What has been found everywhere is
 * deleted, so that a comparison takes as long after hours as after minutes. Nothing is forgotten by that: a node that
 * falls back behind it has the deleted rows again, and those are looked for.
 */
import type { DirectAcknowledgement } from '../client/direct.ts';
import { overlapping } from '../judge.ts';
import type { World } from '../world.ts';
import type { ObservedNode } from '../observer.ts';
import { NOTHING_CHECKED, type Checked } from './result.ts';

/** Rows of one DELETE: the writes beside it should not feel it. */
const ROWS_AT_ONCE = 500;
/** A node that hung may acknowledge late to a direct writer: rows that were begun so lately are kept. */
const DIRECT_KEPT_MS = 60_000;

/** What has gone wrong stays in view: nothing is deleted any more. */
export const nothingIsLost = ({ lost, duplicated, directLost, overlapping }: Checked): boolean =>
  lost + duplicated + directLost + overlapping.length === 0;

export class WriteChecker {
  private readonly world: World;
  private readonly writers: () => readonly string[];
  private checked: Checked = NOTHING_CHECKED;
  /** Acknowledged and not yet deleted. */
  private ids: number[] = [];
  private direct: DirectAcknowledgement[] = [];
  /** The first acknowledgement of each stretch by one node. */
  private readonly turns: DirectAcknowledgement[] = [];
  private deletedUpTo = 0;

  /** `writers`: every writer that the ledger has named, in order. */
  constructor(world: World, writers: () => readonly string[]) {
    this.world = world;
    this.writers = writers;
  }

  figures(): Checked {
    return this.checked;
  }

  /** The cluster has to be whole. Throws when a node cannot be read. */
  async compare(): Promise<Checked> {
    const comparedAtMs = Date.now();
    await this.look();
    if (nothingIsLost(this.checked)) await this.deleteCompared(comparedAtMs - DIRECT_KEPT_MS);
    return this.checked;
  }

  /** The last time: the client has stopped, so that nodes can also be compared with each other. */
  async conclude(): Promise<Checked> {
    const differences = await this.look();
    this.checked = { ...this.checked, differences };
    return this.checked;
  }

  private async look(): Promise<readonly string[]> {
    const { client, engine, timeline } = this.world;
    const fresh = await client.news();
    this.take(fresh.direct);
    this.ids.push(...fresh.acknowledged.map((a) => a.id));
    const { nodes, ledger } = this.world.state();
    const synced = nodes.filter((n) => n.synced);
    const journal = { acknowledged: this.ids, direct: this.direct };
    const { accounting, directLost, differences } = await engine.compare(journal, synced, ledger.writer);
    const back = await this.deletedRowsOn(synced);
    const before = this.checked;
    this.checked = {
      comparisons: before.comparisons + 1,
      compared: before.compared + fresh.acknowledged.length,
      lost: accounting.lost,
      duplicated: accounting.duplicated + back,
      firstLost: accounting.firstLost,
      directAcknowledged: before.directAcknowledged + fresh.direct.length,
      directLost: directLost.length,
      overlapping: overlapping(this.turns, this.writers()),
      differences: [],
    };
    const { compared, lost, duplicated } = this.checked;
    timeline.add('check', `${compared} writes compared with ${synced.length} nodes: ${lost} lost, ${duplicated} twice`);
    return differences;
  }

  private take(fresh: readonly DirectAcknowledgement[]): void {
    for (const a of fresh) {
      this.direct.push(a);
      if (this.turns.at(-1)?.node !== a.node) this.turns.push(a);
    }
  }

  /** After `compare` every node has applied what was committed before it: also the last deletion. */
  private async deletedRowsOn(nodes: readonly ObservedNode[]): Promise<number> {
    const sql = `SELECT COUNT(*) AS n FROM writes WHERE id <= ${this.deletedUpTo}`;
    const counts = await Promise.all(nodes.map((node) => this.world.engine.query(node.address, sql)));
    return Math.max(0, ...counts.map(([row]) => Number(row?.['n'])));
  }

  private async deleteCompared(directUpToMs: number): Promise<void> {
    const { engine, hosts } = this.world;
    const address = hosts.ip(this.world.writer());
    const last = this.ids.at(-1) ?? this.deletedUpTo;
    while (this.deletedUpTo < last) {
      const upTo = Math.min(last, this.deletedUpTo + ROWS_AT_ONCE);
      await engine.query(address, `DELETE FROM writes WHERE id <= ${upTo}`);
      this.deletedUpTo = upTo;
    }
    this.ids = [];
    if (!engine.directWriters) return;
    await engine.query(address, `DELETE FROM direct WHERE at_ms <= ${directUpToMs}`);
    this.direct = this.direct.filter((a) => a.beganAtMs > directUpToMs);
  }
}
