/** Starts a recovery's workflow: the last look at the brake, the record, then Step Functions. */
import type { Change, Refusal } from '../model/change.ts';
import { MISSING } from '../model/ledger.ts';
import type { RecoveryMode } from '../model/ledger.ts';
import type { ClusterView, ExecutionState } from '../model/view.ts';
import { BRAKE_WINDOW_MS, brakeReason } from '../model/brake.ts';
import { executionName } from './incident.ts';
import { note } from './notify.ts';
import type { ReconcilePorts } from './ports.ts';
import { isGone } from './nodes.ts';

type Start = Extract<Change, { readonly kind: 'StartRecovery' }>;

/** Names tried when executions of the planned one have ended already. */
const MAX_NAMES = 5;

/** Recoveries that launch an instance. */
const LAUNCHING: readonly RecoveryMode[] = ['replace', 'add'];

/**
 * Of the account's: RunInstances takes five at once, and then two a second. That leaves room for tries that are repeated and for failovers, which
 * do not wait for a turn. Whoever would wait for longer comes back instead: the looks of one batch wait for each other, and some have writes to move
 * (docs/decisions/0029-launches-take-turns-in-the-ledger.md).
 */
export const LAUNCHES = { burst: 3, perSecond: 1.6, withinMs: 1000 };
/** A cluster that has lost more than one node may wait, so that its turn is always before those of the many that have lost one. */
const URGENT_WITHIN_MS = 5000;

/** For how long a look at the brake is good: many times what the ledger takes. */
const BRAKE_GOOD_FOR_MS = 500;

const ENDED: readonly ExecutionState[] = ['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED'];

/**
 * Null when the workflow runs. An execution of the planned name that has ended already (it found the node in maintenance and
 * gave up before its claim, or brought the node back and it was lost again) is followed by one with the next number.
 * Whatever cannot be asked about the brake throws: a brake that cannot be read is not released.
 * When several have, a person is told and the node is left alone until `retryAfterSeconds` or an acknowledgement.
 */
export async function startRecovery(change: Start, view: ClusterView, ports: ReconcilePorts): Promise<Refusal | null> {
  const { mode, incident, node, reason } = change;
  // What is retired has not failed now: it is nothing new to the fleet's count, and its workflow's claim is refused by the brake.
  const braked = mode === 'retire' ? null : await brake(change, view, ports);
  if (braked !== null) return braked;
  // After the brake: a launch that it refuses leaves its turn to others, and counts as a failure though its turn be far.
  const untimely = LAUNCHING.includes(mode) ? await takeTurn(change, view, ports) : null;
  if (untimely !== null) return untimely;
  const first = Number(/-(\d+)$/.exec(change.executionName)?.[1] ?? 1);
  for (let attempt = first; attempt < first + MAX_NAMES; attempt += 1) {
    const name = executionName(view.spec.name, node, incident, mode, attempt);
    await note(view, incident, { ...change, executionName: name }, ports);
    const accept = change.accept === undefined ? {} : { accept: change.accept };
    const arn = await ports.workflows.start(name, { cluster: view.spec.name, incident, mode, node, reason, ...accept });
    if (!ENDED.includes(await ports.workflows.state(arn))) return null;
  }
  return change.mode === 'retire' ? handOver(change, view, ports) : giveUp(change, first + MAX_NAMES - 1, view, ports);
}

/** It could not be retired: the next look finds it to be a person's, and tells. Nothing else is held up by that. */
async function handOver({ node, reason }: Start, view: ClusterView, ports: ReconcilePorts): Promise<Refusal | null> {
  if (node === null) return null;
  await ports.ledger.forgetFence(view.spec.name, node);
  const why = `${MAX_NAMES} executions have ended without it: ${reason}`;
  return { code: 'REFUSED_LEFT_OVER', node, reason: `${node} could not be retired, terminate it by hand (${why})` };
}

/** Null: it may launch now. A turn may take seconds to come, in which the others that fail engage the brake: it is looked at again. */
async function takeTurn(change: Start, view: ClusterView, ports: ReconcilePorts): Promise<Refusal | null> {
  const askedAtMs = ports.clock.nowMs();
  const lost = view.spec.nodes - view.nodes.filter((n) => n.instance.state === 'running').length;
  const turn = lost > 1 ? { ...LAUNCHES, withinMs: URGENT_WITHIN_MS } : LAUNCHES;
  const waitMs = await ports.ledger.takeLaunch({ nowMs: askedAtMs, ...turn });
  if (waitMs === null) return paced(change, view);
  if (waitMs > 0) await ports.clock.sleep(waitMs);
  if (ports.clock.nowMs() - askedAtMs < BRAKE_GOOD_FOR_MS) return null;
  const { brake: now } = await ports.ledger.read(view.spec.name);
  return now.engaged
    ? refusedByBrake(change, view, `: the fleet brake is engaged: ${now.reason ?? 'no reason given'}`)
    : null;
}

const refusedByBrake = ({ mode, node }: Start, view: ClusterView, why: string): Refusal => ({
  code: 'REFUSED_BRAKE',
  ...(node === null ? {} : { node }),
  reason: `${mode} of ${node ?? view.spec.name} not started${why}`,
});

const paced = ({ mode, node }: Start, view: ClusterView): Refusal => ({
  code: 'REFUSED_PACED',
  ...(node === null ? {} : { node }),
  reason: `${mode} of ${node ?? view.spec.name} not started: EC2 takes two launches a second, and other clusters are before it`,
});

/** Executions end one after the other and the node is still lost: a person has to look, and nothing is tried meanwhile. */
async function giveUp(change: Start, attempts: number, view: ClusterView, ports: ReconcilePorts): Promise<Refusal> {
  const { node, incident, mode } = change;
  const cluster = view.spec.name;
  const reason =
    `${MAX_NAMES} executions up to ${mode} attempt ${attempts} have ended, and ${node ?? cluster} is still lost: ` +
    'look at them in Step Functions, mend the cause, then acknowledge';
  await ports.ledger.setEscalation(cluster, { node, incident, attempts, atMs: ports.clock.nowMs(), reason });
  const runbook = 'Runbook: docs/runbook.md#workflow-failed';
  await ports.notifications.publish(
    `${cluster}: REFUSED_ESCALATED`,
    [reason, `Incident ${incident}.`, runbook].join('\n'),
  );
  return { code: 'REFUSED_ESCALATED', ...(node === null ? {} : { node }), reason };
}

/** The fleet's size is a share's denominator, and changes over days: when many fail at once, not each is to read all specifications. */
const FLEET_SIZE_KEPT_MS = 60_000;

/** Counts this failure with the fleet's, and engages the brake when there are too many (safety rule 7). */
async function brake(change: Start, view: ClusterView, ports: ReconcilePorts): Promise<Refusal | null> {
  const cluster = view.spec.name;
  const atMs = ports.clock.nowMs();
  const failed = change.node === null && change.mode === 'bootstrap' ? lostIds(view) : [change.node ?? MISSING];
  const known = await Promise.all(failed.map((node) => knownSince(view, node, atMs, ports)));
  await Promise.all(
    failed.map((node, i) => ports.ledger.noteFailure({ cluster, node, atMs, knownSinceMs: known[i] ?? atMs })),
  );
  const [failures, specs] = await Promise.all([
    ports.ledger.failuresSince(atMs - BRAKE_WINDOW_MS),
    ports.specs.list({ maxAgeMs: FLEET_SIZE_KEPT_MS }),
  ]);
  const fleetNodes = specs.reduce((sum, s) => sum + (s.result.ok ? s.result.spec.nodes : 0), 0);
  const reason = brakeReason(failures, fleetNodes, atMs, view.brake.releasedAtMs);
  if (reason === null) return null;
  await ports.ledger.engageBrake(reason, atMs);
  return refusedByBrake(change, view, `, and the fleet brake engaged: ${reason}`);
}

/**
 * The node's own clock (a place that nobody is known to have left has one too); else the incident's, when it is about this node;
 * else when it was first noted in this incident. A second node that EC2 ended is news at its first start, and not after.
 */
async function knownSince(view: ClusterView, node: string, nowMs: number, ports: ReconcilePorts): Promise<number> {
  const { suspicions, incident } = view.ledger;
  const clock = suspicions[node]?.sinceMs;
  if (clock !== undefined || incident === null) return clock ?? nowMs;
  if (incident.node === node) return incident.openedAtMs;
  const noted = await ports.ledger.failuresSince(incident.openedAtMs);
  const before = noted.find((f) => f.cluster === view.spec.name && f.node === node);
  return before?.knownSinceMs ?? before?.atMs ?? nowMs;
}

const lostIds = (view: ClusterView): readonly string[] =>
  view.nodes.filter((n) => !isGone(n)).map((n) => n.instance.id);
