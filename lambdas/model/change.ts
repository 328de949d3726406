/** What reconcile means to do, and what it declined to do: both are values with a reason a human can read. */
import type { Escalation, RecoveryMode, Suspicion } from './ledger.ts';
import type { SyncState } from './quorum.ts';

export type Change =
  | { readonly kind: 'SetWriter'; readonly from: string | null; readonly to: string; readonly reason: string }
  | {
      readonly kind: 'Deregister';
      readonly groupArn: string;
      readonly targets: readonly { readonly id: string; readonly port: number }[];
      /** 0: cut connections at once (the node is lost). More: a planned drain. */
      readonly drainSeconds: number;
      readonly reason: string;
    }
  | {
      readonly kind: 'Register';
      readonly groupArn: string;
      readonly targets: readonly { readonly id: string; readonly port: number }[];
      readonly reason: string;
    }
  | {
      readonly kind: 'UpsertRecord';
      readonly zoneId: string;
      readonly name: string;
      readonly value: string;
      readonly ttlSeconds: number;
      readonly reason: string;
    }
  | {
      readonly kind: 'OpenIncident';
      readonly incident: string;
      readonly node: string | null;
      readonly diagnosis: string;
      readonly reason: string;
    }
  | { readonly kind: 'CloseIncident'; readonly incident: string; readonly reason: string }
  | {
      readonly kind: 'ReleaseClaim';
      readonly execution: string;
      /** Set when the execution ended badly: its attempt is counted, so that the next one gets another name. */
      readonly escalation?: Escalation | null;
      readonly reason: string;
    }
  /** Starts (or with null stops) the clock of a node in trouble. */
  | {
      readonly kind: 'NoteSuspicion';
      readonly node: string;
      readonly suspicion: Suspicion | null;
      readonly reason: string;
    }
  /** The ledger's note of an instance that it is no longer true of. */
  | { readonly kind: 'Forget'; readonly what: 'fence' | 'leftOver'; readonly node: string; readonly reason: string }
  /** A planned drain is over: the group's delay goes back to 0, so that a lost node's connections are cut at once. */
  | { readonly kind: 'SettleDrain'; readonly groupArn: string; readonly reason: string }
  /** PostgreSQL: the next step of keeping `synchronous_standby_names` (`model/quorum.ts`). */
  | {
      readonly kind: 'SetSync';
      readonly node: string;
      /** What the ledger holds now, and what it is to hold. */
      readonly from: SyncState | null;
      readonly to: SyncState;
      /** The setting as the primary showed it, and as it is to be; null: the primary is left alone (ledger only). */
      readonly setting: { readonly from: string; readonly to: string } | null;
      readonly reason: string;
    }
  /** PostgreSQL: slots on the primary, one for each replica. */
  | {
      readonly kind: 'SetSlots';
      readonly node: string;
      readonly create: readonly string[];
      readonly drop: readonly string[];
      readonly reason: string;
    }
  /** PostgreSQL: a replica that follows nobody, or somebody else, is pointed at the primary. */
  | { readonly kind: 'Follow'; readonly node: string; readonly primary: string; readonly reason: string }
  | {
      readonly kind: 'StartRecovery';
      /** Deterministic per incident and attempt, so that a doubled trigger starts one workflow. */
      readonly executionName: string;
      readonly mode: RecoveryMode;
      readonly incident: string;
      readonly node: string | null;
      /** Failover: a node that a person accepted though it is behind. */
      readonly accept?: string;
      readonly reason: string;
    };

export const REFUSALS = [
  'REFUSED_POLICY', // OBSERVE or ROUTE does not allow it
  'REFUSED_LAST_HEALTHY_TARGET', // rule 1
  'REFUSED_NO_CANDIDATE', // rule 4: nobody can take the writes
  'REFUSED_CLAIMED', // rule 5: another recovery runs
  'REFUSED_QUORUM', // rule 6: the rest could not serve
  'REFUSED_BRAKE', // rule 7
  'REFUSED_PACED', // EC2 launches two a second: others go first
  'REFUSED_FOREIGN', // rule 8
  'REFUSED_MAINTENANCE', // a person has the node in hand
  'REFUSED_ESCALATED', // a workflow gave up, a person was told
  'REFUSED_TOO_EARLY', // not dead for long enough, or witnesses disagree
  'REFUSED_QUORUM_LOST', // needs a person: see the runbook
  'REFUSED_SURPLUS', // never terminates what it was not asked to
  'REFUSED_LEFT_OVER', // the same of a node whose place is taken and that Rejoin cannot prove to have stopped itself
] as const;

export type RefusalCode = (typeof REFUSALS)[number];

export interface Refusal {
  readonly code: RefusalCode;
  readonly node?: string;
  readonly reason: string;
}

export type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'requeueAfter'; readonly seconds: number; readonly reason: string }
  | { readonly kind: 'terminal'; readonly reason: string };

export interface Plan {
  readonly changes: readonly Change[];
  readonly refusals: readonly Refusal[];
  readonly outcome: Outcome;
}
