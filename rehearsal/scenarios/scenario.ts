/** What a scenario is: a fault on a healthy world, what it waits for, and what it promises. */
import type { EngineKind } from '../../lambdas/model/spec.ts';
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

/** As in the configuration file (docs/deploy.md). */
export interface DeclaredArchive {
  readonly rpoSeconds: number;
  readonly retentionDays: number;
  readonly baseBackupSeconds: number;
  readonly drillSeconds?: number;
}

/** Durable within ten seconds; the one base backup is taken when the cluster is new. */
export const ARCHIVED: DeclaredArchive = { rpoSeconds: 10, retentionDays: 35, baseBackupSeconds: 86_400 };

export interface Scenario {
  readonly name: string;
  /** One line for `--list` and `--help`. */
  readonly summary: string;
  /** What it promises for each engine; absent for an engine that the scenario is not for. */
  readonly promises: Readonly<Partial<Record<EngineKind, Limits>>>;
  /** It drops packets, which takes root and nftables. */
  readonly breaksNetwork?: boolean;
  /** In it a person lets acknowledged writes be lost. */
  readonly lossIsAccepted?: boolean;
  /** The cluster's archive, as its declaration has it; none unless given. */
  readonly archive?: DeclaredArchive;
  /** Nothing of the cluster is left in the end: what is promised of its nodes is not asked for. */
  readonly clusterIsLost?: boolean;
  /** PostgreSQL's declaration, where the scenario has a point only with this one. */
  readonly declares?: { readonly durability: 'async'; readonly maxLagBytes: number };
  /** Injects the fault and waits for the end; throws when the wait ends without it. */
  run(world: World): Promise<Measured>;
}

/** The same for both engines, but for what is said of PostgreSQL. */
export const both = (galera: Limits, postgres: Partial<Limits> = {}): Scenario['promises'] => ({
  galera,
  postgres: { ...galera, ...postgres },
});

/** Nothing is promised about time. */
export const converges = (launches: number): Limits => ({
  writeOutageMs: null,
  writeErrors: null,
  signalToRoutedMs: null,
  launches,
});

/**
 * What the scenario promises for the engine; without `times` it has to converge, and no time is promised.
 * @throws Error when the scenario is not for the engine.
 */
export function limitsFor(scenario: Scenario, engine: EngineKind, times: boolean): Limits {
  const limits = scenario.promises[engine];
  if (limits === undefined) {
    throw new Error(
      `the scenario ${scenario.name} is not for ${engine}; it is for ${Object.keys(scenario.promises).join(', ')}`,
    );
  }
  return times ? limits : converges(limits.launches);
}
