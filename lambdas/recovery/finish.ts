/** How every workflow ends: with a report, by giving up, or by withdrawing because somebody else holds the claim. */
import { RECOVERY_ERRORS } from '../model/recovery.ts';
import { askForReconcile } from './route.ts';
import type { Carried } from './state.ts';
import type { StepContext } from './step.ts';
import { record } from './step.ts';
import { duration } from './wait.ts';

/** It went well: on the record, told, the claim given back, reconcile asked to look. */
export async function report(state: Carried, context: StepContext): Promise<Partial<Carried>> {
  const { ports, cluster, incident, execution } = context;
  const took = duration(context.nowMs - context.startedAtMs);
  const outcome = state.outcome ?? `${context.who} ended`;
  const left = state.error ? ` Left undone: ${explain(state.error).sentence}` : '';
  await record(context, 'report', `${outcome}, ${took} after the start`, `${state.reason}.${left}`);
  const { cluster: ledger } = await ports.ledger.read(cluster);
  if (ledger.claim?.execution === execution && ledger.escalation?.incident === incident) {
    await ports.ledger.setEscalation(cluster, null);
  }
  await ports.notifications.publish(
    `Rejoin: ${cluster}: ${outcome}`,
    [`What: ${outcome}, ${took} after the start.`, `Why: ${state.reason}.${left}`, ...(await story(context))].join(
      '\n',
    ),
  );
  await release(context);
  ports.metrics.count('RecoverySucceeded', 1, { workflow: context.who });
  return { outcome };
}

/**
 * It did not: recorded, one notification with the reason and the runbook's anchor, no further attempt until a person or
 * the clock allows it. Each act is tried even when another fails; then the step fails, so that Step Functions retries it.
 */
export const escalate = (state: Carried, context: StepContext): Promise<Partial<Carried>> =>
  giveUp(state, context, () => remember(state, context));

/**
 * The same for a workflow that was nobody's recovery: told, and nothing is kept from being tried (a person started it, and
 * what its children could not do they have escalated themselves).
 */
export const stopAndTell = (state: Carried, context: StepContext): Promise<Partial<Carried>> =>
  giveUp(state, context, () => Promise.resolve());

/** No further attempt for this node until a person or the clock allows it. Not while another workflow holds the claim. */
async function remember(state: Carried, { ports, cluster, incident, execution, startedAtMs, nowMs }: StepContext) {
  const { escalation, claim } = (await ports.ledger.read(cluster)).cluster;
  if (claim !== null && claim.execution !== execution) return;
  const again = escalation?.incident === incident;
  // Written by this very execution, in a try that was killed afterwards: counting it twice would skip an attempt.
  if (again && escalation.atMs >= startedAtMs) return;
  const attempts = again ? escalation.attempts + 1 : 1;
  const { name, sentence } = whyOf(state);
  const reason = `${name}: ${sentence}`.slice(0, 1000);
  await ports.ledger.setEscalation(cluster, { node: state.node, incident, attempts, atMs: nowMs, reason });
}

const whyOf = ({ error }: Carried): Explained =>
  explain(error ?? { Error: 'Unknown', Cause: 'no error was handed over' });

async function giveUp(state: Carried, context: StepContext, remembers: () => Promise<void>): Promise<Partial<Carried>> {
  const { ports, cluster, nowMs } = context;
  const why = whyOf(state);
  const failures: unknown[] = [];
  const attempt = async (act: () => Promise<unknown>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      failures.push(error);
    }
  };
  await attempt(() => record(context, 'escalate', `gives up: ${why.name}`, why.sentence));
  await attempt(remembers);
  await attempt(async () =>
    ports.notifications.publish(
      `Rejoin: ${cluster}: ${context.who} gave up: ${why.name}`,
      [
        `What: ${context.who} of ${state.node ?? cluster} gave up after ${duration(nowMs - context.startedAtMs)}.`,
        `Why: ${why.name}: ${why.sentence}`,
        `It began because: ${state.reason}.`,
        `Runbook: ${why.anchor}`,
        ...(await story(context)),
      ].join('\n'),
    ),
  );
  if (failures.length === 0) await attempt(() => release(context));
  if (failures.length > 0) throw new AggregateError(failures, `escalating failed: ${failures.map(String).join('; ')}`);
  ports.metrics.count('RecoveryGaveUp', 1, { workflow: context.who });
  return { outcome: `gave up: ${why.name}` };
}

/** Somebody else holds the claim, or needs it more: say so on the record, touch nothing, tell nobody. */
export async function withdraw(state: Carried, context: StepContext): Promise<Partial<Carried>> {
  const { name, sentence } = explain(state.error ?? { Error: 'ClaimLost', Cause: '' });
  await record(context, 'withdraw', 'withdraws', sentence);
  if (name !== 'GivesWay') return { outcome: "withdrew: the claim is not this workflow's" };
  await release(context);
  return { outcome: 'gave way' };
}

async function release(context: StepContext): Promise<void> {
  await context.ports.ledger.releaseClaim(context.cluster, context.execution);
  await askForReconcile(context, 'released');
}

async function story({ ports, cluster, incident }: StepContext): Promise<readonly string[]> {
  const entries = await ports.ledger.incident(cluster, incident);
  const lines = entries.map((e) => `${new Date(e.atMs).toISOString()} ${e.who}: ${e.what} (${e.why})`);
  return ['', `Incident ${incident}:`, ...lines];
}

export interface Explained {
  readonly name: string;
  readonly sentence: string;
  readonly anchor: string;
}

/** Reads what Catch handed over: a Lambda's error is JSON in `Cause`. */
export function explain(error: { readonly Error: string; readonly Cause: string }): Explained {
  const known = (RECOVERY_ERRORS as readonly string[]).includes(error.Error);
  const anchor = `docs/runbook.md#${known ? error.Error.toLowerCase() : 'workflow-failed'}`;
  return { name: error.Error, sentence: messageIn(error.Cause) || 'no cause was given', anchor };
}

function messageIn(cause: string): string {
  if (!cause.startsWith('{')) return cause;
  try {
    const parsed = JSON.parse(cause) as { errorMessage?: unknown };
    return typeof parsed.errorMessage === 'string' ? parsed.errorMessage : cause;
  } catch (error) {
    // Step Functions cuts a long Cause: what is left is still the best that there is to tell.
    if (error instanceof SyntaxError) return cause;
    throw error;
  }
}
