/** What a scenario is: a fault on a healthy world, what it waits for, and what it promises. */
import type { Measured, World } from '../world.ts';

export interface Limits {
  /** Longest gap between two acknowledged writes. */
  readonly writeOutageMs: number | null;
  /** Statements that failed at the client; null: any number (a lost writer breaks connections). */
  readonly writeErrors: number | null;
  /** From the event's delivery to traffic having left the node. */
  readonly signalToRoutedMs: number | null;
  /** Instances launched by the plane, exactly. */
  readonly launches: number;
}

export interface Scenario {
  readonly name: string;
  /** One line for `--list` and `--help`. */
  readonly summary: string;
  readonly limits: Limits;
  /** Injects the fault and waits for the end; throws when the wait ends without it. */
  run(world: World): Promise<Measured>;
}
