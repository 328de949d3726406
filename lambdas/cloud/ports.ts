/**
 * The outside world as the capabilities see it. Decisions and steps import these interfaces only; the AWS adapters
 * (`aws-*.ts`) and the in-memory fakes (`test/fakes/`) both pass the same contract tests.
 */
import type { SlotChanges } from './archive-ports.ts';
import type {
  AcceptedLoss,
  Claim,
  ClaimAmendment,
  ClusterLedger,
  Escalation,
  Fence,
  FleetBrake,
  FleetFailure,
  IncidentEntry,
  Maintenance,
  OpenIncident,
  PrimaryPosition,
  Suspicion,
} from '../model/ledger.ts';
import type { LaunchTurn } from '../model/launch-turn.ts';
import type { Position } from '../model/lsn.ts';
import type { UsedTimelines } from '../model/postgres.ts';
import type { SyncState } from '../model/quorum.ts';
import type { DatabaseTls, EngineKind, SpecResult } from '../model/spec.ts';
import type { ExecutionState, Probe, Target } from '../model/view.ts';
import type { RecoveryInput } from '../model/recovery.ts';

export type * from './archive-ports.ts';
export type * from './pace-ports.ts';
export * from './ec2-ports.ts';

export interface Clock {
  nowMs(): number;
  sleep(ms: number): Promise<void>;
}

/** Cluster specifications, from SSM parameters under `/rejoin/clusters/`. */
export interface Specs {
  /** Null when the parameter does not exist. */
  get(cluster: string): Promise<SpecResult | null>;
  /**
   * Every cluster of the fleet; a specification that does not parse is in the answer, not thrown. It costs a call for every
   * ten: `maxAgeMs` says how old an answer will do that this process has had before.
   */
  list(options?: { readonly maxAgeMs?: number }): Promise<readonly ListedSpec[]>;
}

export interface ListedSpec {
  readonly cluster: string;
  readonly result: SpecResult;
}

export interface TargetRef {
  readonly id: string;
  readonly port: number;
}

export interface TargetGroups {
  health(groupArn: string): Promise<readonly Target[]>;
  register(groupArn: string, targets: readonly TargetRef[]): Promise<void>;
  deregister(groupArn: string, targets: readonly TargetRef[]): Promise<void>;
  /**
   * Makes sure that connections to deregistered and unhealthy targets are ended, and how long a drain lasts
   * (`deregistration_delay.*`, `target_health_state.unhealthy.connection_termination.enabled`). Writes only what
   * differs; answers whether it wrote.
   */
  ensureTermination(groupArn: string, drainSeconds: number): Promise<boolean>;
}

export interface DnsRecord {
  readonly values: readonly string[];
  readonly ttlSeconds: number | null;
  /** From the TXT record `_rejoin.<name>`; null when there is none. */
  readonly owner: string | null;
}

export interface DnsZones {
  read(zoneId: string, name: string): Promise<DnsRecord>;
  /** Upserts the A record and the ownership TXT in one batch. */
  upsert(zoneId: string, name: string, value: string, ttlSeconds: number, owner: string): Promise<void>;
}

/** A conditional write that found another state than the caller believed in. */
export class Conflict extends Error {
  override readonly name = 'Conflict';
}

export interface Ledger {
  /** One call for both, strongly consistent. A cluster never written is `EMPTY_LEDGER`. */
  read(cluster: string): Promise<{ readonly cluster: ClusterLedger; readonly brake: FleetBrake }>;
  /**
   * Sets the writer and raises the epoch, if the epoch is still `epoch`. Answers the new epoch. Throws Conflict.
   * What a person accepted for the old writer's loss (`accepted`) is used up by it.
   */
  setWriter(cluster: string, epoch: number, writer: string, volume?: string | null): Promise<number>;
  /**
   * Takes the claim and raises the epoch if nobody holds it; held by the same execution already, answers as before.
   * Refused with Conflict while another execution holds it, while the node is in maintenance or while the brake is engaged
   * (one transaction with the brake's item: no window between look and act).
   */
  claim(cluster: string, claim: Claim): Promise<number>;
  /** Adds what became known to the claim. Throws Conflict when `execution` no longer holds it. */
  amendClaim(cluster: string, execution: string, known: ClaimAmendment): Promise<void>;
  /** Lets go of the claim if `execution` holds it; otherwise does nothing. */
  releaseClaim(cluster: string, execution: string): Promise<void>;
  /** Begun only while nobody holds the claim and no other node is in maintenance; else throws Conflict. */
  setMaintenance(cluster: string, maintenance: Maintenance | null): Promise<void>;
  /**
   * Replaces what is known of the acknowledgements, if it still is `expected` (compared by value). `guard`: nobody holds
   * the claim and the epoch is still this one (reconcile), or this execution holds the claim. Throws Conflict.
   */
  setSync(
    cluster: string,
    expected: SyncState | null,
    next: SyncState | null,
    guard: { readonly epoch: number } | { readonly execution: string },
  ): Promise<void>;
  /** Unless a later one is there already (by `atMs`): a late writer changes nothing and hears nothing. */
  notePosition(cluster: string, position: PrimaryPosition): Promise<void>;
  /** Before a promotion that may begin a timeline of that number. Unless a higher one is there already. */
  noteTimeline(cluster: string, timeline: number): Promise<void>;
  /** Unless a later one is there already. */
  noteLook(cluster: string, beganMs: number): Promise<void>;
  setAccepted(cluster: string, accepted: AcceptedLoss | null): Promise<void>;
  setSuspicion(cluster: string, node: string, suspicion: Suspicion | null): Promise<void>;
  /** Notes that `execution` is about to stop the instance by force. Throws Conflict when it does not hold the claim. */
  noteFence(cluster: string, node: string, fence: Fence): Promise<void>;
  /** The instance has run since, or is no more: it is not proven any longer that Rejoin stopped it. */
  forgetFence(cluster: string, node: string): Promise<void>;
  /** When people were told that the instance is left over; null: it is not any more. */
  setLeftOver(cluster: string, node: string, toldAtMs: number | null): Promise<void>;
  setEscalation(cluster: string, escalation: Escalation | null): Promise<void>;
  /** Opens the incident unless one is open already (then answers that one). */
  openIncident(cluster: string, incident: OpenIncident): Promise<OpenIncident>;
  /** Raises the epoch, which names incidents: the next one must not be told and recorded as this one again. */
  closeIncident(cluster: string, incident: string): Promise<void>;
  /** Appends lines to an incident's record; `key` makes a repeated line (a retried step) land once. */
  record(cluster: string, incident: string, key: string, entry: IncidentEntry): Promise<void>;
  incident(cluster: string, incident: string): Promise<readonly IncidentEntry[]>;
  /** Remembers a node's failure for the brake; the same node within the window counts once. */
  noteFailure(failure: FleetFailure): Promise<void>;
  failuresSince(sinceMs: number): Promise<readonly FleetFailure[]>;
  engageBrake(reason: string, atMs: number): Promise<void>;
  releaseBrake(by: string, atMs: number): Promise<void>;
  /**
   * Takes the next of the launches that recoveries of the whole account may begin: `burst` at once, then so many a second. Answers for how long (ms) it has to be
   * waited for; null: for longer than `withinMs`, and nothing is taken.
   */
  takeLaunch(turn: LaunchTurn): Promise<number | null>;
}

/** Execution of the state machine that does `mode`. */
export interface Workflows {
  /** Starts it; an execution of that name that exists already is as good. Answers the execution's ARN. */
  start(name: string, input: RecoveryInput): Promise<string>;
  state(executionArn: string): Promise<ExecutionState>;
}

/** `reconcile.fifo` (one message group a cluster) and the delayed way there through `signals`. */
export interface ReconcileRequests {
  /** `cause` is unique per event (it becomes the deduplication id). */
  send(requests: readonly { readonly cluster: string; readonly cause: string }[]): Promise<void>;
  /** Comes back as a signal after the delay (a FIFO queue cannot delay one message). 0 to 900 seconds. */
  sendLater(cluster: string, delaySeconds: number, cause: string): Promise<void>;
}

export type CommandState =
  | { readonly kind: 'running' }
  | { readonly kind: 'succeeded'; readonly output: string }
  | { readonly kind: 'failed'; readonly exitCode: number; readonly output: string; readonly error: string };

/** SSM does not take a command for the host now: it boots, stops, or its agent is not registered yet. */
export class HostOffline extends Error {
  override readonly name = 'HostOffline';
}

/** Scripts on hosts: SSM documents and Run Command. */
export interface HostCommands {
  /** Is the host's SSM agent there to take commands. */
  online(instanceIds: readonly string[]): Promise<readonly string[]>;
  /** `document` is the short name, such as `galera-join` or `postgres-join`. Answers a command id. Throws HostOffline. */
  start(instanceId: string, document: string, parameters: Readonly<Record<string, string>>): Promise<string>;
  state(instanceId: string, commandId: string): Promise<CommandState>;
}

export interface DbCredentials {
  readonly user: string;
  readonly password: string;
}

export interface Secrets {
  /** JSON `{ "username": …, "password": … }`. Cached for five minutes; `fresh` reads again. */
  credentials(secretArn: string, options?: { readonly fresh?: boolean }): Promise<DbCredentials>;
}

/** Asks one database node for its status; answers within the deadline whatever the node does, and never throws. */
export interface Prober {
  probe(
    target: {
      readonly instanceId: string;
      readonly host: string;
      readonly port: number;
      /** `galera` unless given. */
      readonly engine?: EngineKind;
      /** Off unless given. */
      readonly tls?: DatabaseTls | undefined;
      /** How long the answer is waited for; the prober's own time unless given. */
      readonly deadlineMs?: number;
    },
    credentials: DbCredentials,
  ): Promise<Probe>;
  /** Ends what it keeps open. */
  close(): Promise<void>;
}

/** A database node as the plane connects to it. */
export type DbTarget = Parameters<Prober['probe']>[0];

/** The node did not answer in time, or not at all: nothing is known of whether the statement was carried out. */
export class NodeUnavailable extends Error {
  override readonly name = 'NodeUnavailable';
}

/** The node answered with an error: the sentence is its own, with SQLSTATE. */
export class NodeRefused extends Error {
  override readonly name = 'NodeRefused';
}

/** Whom a standby streams from. */
export interface Upstream {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** The standby's slot there; null: none is used. */
  readonly slot: string | null;
}

/**
 * What the plane changes on a PostgreSQL node, over SQL, each within 1.5 s unless said, and each fit to be repeated.
 * Throws NodeUnavailable, NodeRefused. Standbys are named by their instance id (`application_name`).
 */
export interface PostgresAdmin {
  /**
   * Cuts a standby off from its upstream for good: `primary_conninfo` and `primary_slot_name` emptied (they stay so over a
   * restart), and answered only when no WAL receiver runs any more. The position is read after that: it cannot grow.
   * Throws NodeRefused when the node is no standby.
   */
  detach(target: DbTarget, credentials: DbCredentials): Promise<Position>;
  /** Points a standby at `upstream`, under its own instance id. Does not wait for the stream. */
  follow(target: DbTarget, credentials: DbCredentials, upstream: Upstream): Promise<void>;
  /**
   * Sets `synchronous_standby_names`, if it still is `expected` (null: whatever it is); compared in the same round trip, so
   * that a hand that was held up changes nothing. Throws Conflict when it is another.
   */
  setSync(target: DbTarget, credentials: DbCredentials, expected: string | null, next: string): Promise<void>;
  /**
   * Creates physical slots that reserve WAL at once, drops others, and moves others on to a place (never back); those that are (not)
   * there already, or farther, are as good. A slot in use is neither dropped nor moved.
   */
  setSlots(target: DbTarget, credentials: DbCredentials, slots: SlotChanges): Promise<void>;
  /** So that a standby begins none of these when it is promoted. False: the database lacks the function (`nodes/postgres/setup.sql`). */
  passOver(target: DbTarget, credentials: DbCredentials, used: UsedTimelines): Promise<boolean>;
  /** Promotes a standby and waits for the end of recovery, 5 s at most; a primary is left as it is. */
  promote(target: DbTarget, credentials: DbCredentials): Promise<void>;
  /**
   * A transaction of its own is written to the WAL and waits for the acknowledgements that the node asks for: proof that it
   * accepts writes. Answers where it is afterwards. Throws NodeUnavailable when the acknowledgements do not come in time.
   */
  verifyWritable(target: DbTarget, credentials: DbCredentials): Promise<Position>;
  /** CHECKPOINT; 60 s at most. */
  checkpoint(target: DbTarget, credentials: DbCredentials): Promise<void>;
  close(): Promise<void>;
}

export interface Notifications {
  /** One message to people: subject, what happened and why, the runbook's anchor. */
  publish(subject: string, body: string): Promise<void>;
}

export interface Log {
  info(message: string, extra?: Record<string, unknown>): void;
  warn(message: string, extra?: Record<string, unknown>): void;
  error(message: string, extra?: Record<string, unknown>): void;
}

export interface Metrics {
  count(name: string, value?: number, dimensions?: Readonly<Record<string, string>>): void;
  /** A measured value, such as a lag; `unit` as CloudWatch names it. */
  gauge(
    name: string,
    value: number,
    unit: 'Milliseconds' | 'Seconds' | 'Bytes' | 'Count',
    dimensions?: Readonly<Record<string, string>>,
  ): void;
}

/** AWS said no for now: throttled or failing on its side. Retried by the SDK first, then by whoever called us. */
export class CloudUnavailable extends Error {
  override readonly name = 'CloudUnavailable';
}
