/**
 * What must be remembered between runs, in one DynamoDB table. Everything else is re-read from AWS.
 * All writes are conditional; the epoch goes up by one with every change of writer or claim,
 * and when an incident closes (incidents are named by it).
 */
import { CLOCKS_APART_MS } from './answered.ts';
import type { Position } from './lsn.ts';
import type { SyncState } from './quorum.ts';

/** A workflow's sole right to act on a cluster (safety rule 5). It ends with its workflow, never by a clock. */
export interface Claim {
  /** Execution ARN of the workflow that holds it. */
  readonly execution: string;
  readonly incident: string;
  readonly mode: RecoveryMode;
  /** The lost node, when there is one. */
  readonly node: string | null;
  /** The instance that the workflow launched or is rejoining, once known. */
  readonly joiner: string | null;
  readonly donor: string | null;
  /** Written before EC2 is asked: a repeated step asks for exactly this again. Null: nothing was, or it was given back. */
  readonly launch: PlannedLaunch | null;
  readonly claimedAtMs: number;
}

/** What a launch of the workflow was chosen to be: the same choice is the same client token, so the same instance. */
export interface PlannedLaunch {
  /** The lost node that it is for; null when a node is added. */
  readonly replaces: string | null;
  readonly subnetId: string;
  /** The launch template's device that is left out, since a surviving volume takes its place; null: none. */
  readonly withoutDevice: string | null;
}

/** What becomes known while a claim is held. */
export type ClaimAmendment = Partial<Pick<Claim, 'joiner' | 'donor' | 'launch'>>;

/**
 * - `rejoin`: start the database again on the same instance.
 * - `replace`: fence the lost node, launch another in its place.
 * - `add`: nothing to fence, a node is missing.
 * - `roll`: replace a node that serves, by plan (machine `replace`, as the three above).
 * - `bootstrap`: the whole Galera cluster is down.
 * - `failover`: PostgreSQL has no primary that can take writes (machine `failover`).
 * - `switchover`: another node is to be the primary, by plan (machine `switchover`).
 * - `rolling`: every node by a new launch template version (machine `rolling`; it starts `roll` and `switchover`).
 * - `retire`: ends an instance that a workflow fenced and did not come to retire (machine `replace`; docs/decisions/0019).
 */
export type RecoveryMode =
  'rejoin' | 'replace' | 'add' | 'roll' | 'retire' | 'bootstrap' | 'failover' | 'switchover' | 'rolling';

export interface Maintenance {
  readonly node: string;
  readonly by: string;
  readonly sinceMs: number;
}

/**
 * Since when a node has been in trouble: the clock that every waiting time is counted on. One failed probe is a
 * suspicion, and never more than that. `partitioned`: it answers from outside the primary component. `stopped`: EC2 says so.
 */
export interface Suspicion {
  readonly sinceMs: number;
  readonly kind:
    | 'refused'
    | 'silent'
    | 'unreachable'
    | 'rejected'
    | 'partitioned'
    | 'stopped'
    /** PostgreSQL: it answers, and is no working part of the cluster (no stream, old timeline, lost slot, a second primary). */
    | 'broken'
    /** A place that no instance explains, under the name `MISSING`. */
    | 'missing';
}

/** Stands for a node that no instance explains, where nodes are named by instance id. */
export const MISSING = 'missing';

/** The last force-stop of an instance by a workflow: what proves that it was Rejoin that stopped it. */
export interface Fence {
  readonly atMs: number;
  /** Execution ARN. */
  readonly execution: string;
}

/** A workflow gave up. Nothing more is tried for the node until a person acknowledges or the retry time passes. */
export interface Escalation {
  readonly node: string | null;
  readonly incident: string;
  readonly attempts: number;
  readonly atMs: number;
  readonly reason: string;
  /** The person who let it be tried again. */
  readonly acknowledgedBy?: string;
}

export interface OpenIncident {
  readonly id: string;
  readonly openedAtMs: number;
  readonly node: string | null;
  readonly diagnosis: string;
}

/** Where a PostgreSQL primary was when it was last seen: what a candidate's lag is measured against. */
export interface PrimaryPosition extends Position {
  readonly node: string;
  readonly atMs: number;
}

/** A person accepts what is lost by promoting this node though it is, or may be, behind (safety rule 4). */
export interface AcceptedLoss {
  readonly node: string;
  readonly by: string;
  readonly atMs: number;
}

export interface ClusterLedger {
  readonly epoch: number;
  /** Instance id of the node that writes are routed to. */
  readonly writer: string | null;
  /** Its data volume, as EC2 described it when it became the writer: EC2 strips a terminated instance of its volumes. Null: none is known that outlives it. */
  readonly writerVolume: string | null;
  readonly maintenance: Maintenance | null;
  readonly claim: Claim | null;
  /** By instance id. */
  readonly suspicions: Readonly<Record<string, Suspicion>>;
  /** By instance id, of those that have not run since. */
  readonly fences: Readonly<Record<string, Fence>>;
  /** When people were told of an instance that is left over (epoch ms), by instance id: told once, and then theirs. */
  readonly leftOver: Readonly<Record<string, number>>;
  readonly escalation: Escalation | null;
  readonly incident: OpenIncident | null;
  /** PostgreSQL with durability `quorum`; null: never set, or asynchronous. */
  readonly sync: SyncState | null;
  /** PostgreSQL; null until a primary was seen. */
  readonly position: PrimaryPosition | null;
  readonly accepted: AcceptedLoss | null;
  /** PostgreSQL: the highest number of a timeline that a promotion by a workflow may have begun; 0 when none is known. */
  readonly newestTimeline: number;
  /**
   * When the last look began that saw all and did all that it had to, noted while requests were waiting; requests sent well
   * before it are answered. Null: none is known, and every request is looked into.
   */
  readonly lookBeganMs: number | null;
}

export const EMPTY_LEDGER: ClusterLedger = {
  epoch: 0,
  writer: null,
  writerVolume: null,
  maintenance: null,
  claim: null,
  suspicions: {},
  fences: {},
  leftOver: {},
  escalation: null,
  incident: null,
  sync: null,
  position: null,
  accepted: null,
  newestTimeline: 0,
  lookBeganMs: null,
};

/**
 * What a person accepted, while it is about this outage: null when the writer has been seen as the primary since then. What it has
 * acknowledged meanwhile nobody gave up.
 */
export function standingAcceptance({
  accepted,
  position,
  writer,
}: Pick<ClusterLedger, 'accepted' | 'position' | 'writer'>): AcceptedLoss | null {
  const servedAtMs = position === null || position.node !== writer ? Number.NEGATIVE_INFINITY : position.atMs;
  return accepted === null || servedAtMs > accepted.atMs + CLOCKS_APART_MS ? null : accepted;
}

/** Fleet brake (safety rule 7): once engaged, only a person releases it. */
export interface FleetBrake {
  readonly engaged: boolean;
  readonly reason: string | null;
  readonly sinceMs: number | null;
  /** When a person last released it; absent or null when nobody ever had to. */
  readonly releasedAtMs?: number | null;
}

export const RELEASED_BRAKE: FleetBrake = { engaged: false, reason: null, sinceMs: null };

/** One line of an incident's record. */
export interface IncidentEntry {
  readonly atMs: number;
  /** Who acted: `reconcile`, `replace`, `bootstrap`, `failover`, `switchover`, `rolling`, `operate`. */
  readonly who: string;
  readonly what: string;
  readonly why: string;
}

/** One node failure, kept for the brake's window. */
export interface FleetFailure {
  readonly cluster: string;
  readonly node: string;
  /** When it was last about to be acted upon: what the brake's window is counted on. */
  readonly atMs: number;
  /** Since when the trouble is known. A person who releases the brake later has judged it. */
  readonly knownSinceMs?: number;
}
