/** How a step of a workflow is run: parse the state, do the step, answer the next state. Steps hold no state of their own. */
import type * as z from 'zod/mini';
import { Conflict } from '../cloud/ports.ts';
import { RecoveryError } from '../model/recovery.ts';
import type { ClusterSpec } from '../model/spec.ts';
import { describeProblems } from '../model/spec.ts';
import type { RecoveryPorts } from './ports.ts';
import type { Carried } from './state.ts';
import { parseState } from './state.ts';
import { pollSeconds } from './wait.ts';

/** What Step Functions sends: the step's name, the execution and the state so far. */
export interface StepEvent {
  readonly step: string;
  /** Execution ARN: who holds the claim. */
  readonly execution: string;
  /** ISO 8601. */
  readonly started: string;
  readonly state: unknown;
}

/** The capabilities that run as state machines: also who acted, on an incident's record. */
export type WorkflowName =
  'replace' | 'bootstrap' | 'failover' | 'switchover' | 'rolling' | 'backup' | 'restore' | 'drill';

export interface StepContext {
  readonly ports: RecoveryPorts;
  readonly who: WorkflowName;
  readonly execution: string;
  readonly startedAtMs: number;
  readonly nowMs: number;
  /** How long this step has been waiting, ms; 0 at its first call. */
  readonly waitedMs: number;
  /** How often this step has been called before. */
  readonly asked: number;
  readonly cluster: string;
  readonly incident: string;
}

/** Answers what changes in the state. `ready: false` means: ask again. Not yet is a value, never an error. */
export type Step<S extends Carried> = (state: S, context: StepContext) => Promise<Partial<S>>;

export interface Capability<S extends Carried> {
  readonly who: WorkflowName;
  readonly schema: z.ZodMiniType<S>;
  /** What a person who starts it by hand need not write; what is written goes first. */
  readonly defaults?: (event: StepEvent) => Readonly<Record<string, unknown>>;
  readonly steps: Readonly<Record<string, Step<S>>>;
}

/**
 * Runs one step and answers the workflow's next state.
 * @throws RecoveryError under the name that the definition retries or catches; a ledger Conflict becomes ClaimLost.
 */
export async function runStep<S extends Carried>(
  capability: Capability<S>,
  event: StepEvent,
  ports: RecoveryPorts,
): Promise<S> {
  const step = capability.steps[event.step];
  if (step === undefined) {
    const known = Object.keys(capability.steps).join(', ');
    throw new Error(`step ${JSON.stringify(event.step)} is unknown to ${capability.who}: expected one of ${known}`);
  }
  const state = parseState(capability.schema, withDefaults(capability, event));
  const nowMs = ports.clock.nowMs();
  const waiting = state.waiting?.step === event.step ? state.waiting : { step: event.step, sinceMs: nowMs, asked: 0 };
  const context: StepContext = {
    ports,
    who: capability.who,
    execution: event.execution,
    startedAtMs: Date.parse(event.started),
    nowMs,
    waitedMs: nowMs - waiting.sinceMs,
    asked: waiting.asked,
    cluster: state.cluster,
    incident: state.incident,
  };
  const changed = await claimLostOnConflict(() => step(state, context));
  const ready = changed.ready ?? true;
  ports.log.info(`${event.step}: ${ready ? 'done' : 'waits'}`, { cluster: state.cluster, incident: state.incident });
  return {
    ...state,
    ...changed,
    ready,
    waitSeconds: changed.waitSeconds ?? pollSeconds(context.waitedMs),
    waiting: ready ? null : { ...waiting, asked: waiting.asked + 1 },
    command: ready ? null : changed.command === undefined ? state.command : changed.command,
  };
}

const withDefaults = <S extends Carried>({ defaults }: Capability<S>, event: StepEvent): unknown =>
  defaults === undefined || typeof event.state !== 'object' ? event.state : { ...defaults(event), ...event.state };

/** The last part of the execution's ARN: its name. */
export const executionNameOf = (execution: string): string => execution.slice(execution.lastIndexOf(':') + 1);

async function claimLostOnConflict<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Conflict) throw new RecoveryError('ClaimLost', error.message);
    throw error;
  }
}

const specs = new WeakMap<StepContext, Promise<ClusterSpec>>();

/**
 * The cluster's specification as it is now; read once in an invocation.
 * @throws Error naming the parameter or what is wrong with it.
 */
export function loadSpec(context: StepContext): Promise<ClusterSpec> {
  const known = specs.get(context) ?? readSpec(context);
  specs.set(context, known);
  return known;
}

async function readSpec({ ports, cluster }: StepContext): Promise<ClusterSpec> {
  const found = await ports.specs.get(cluster);
  if (found === null) {
    throw new Error(
      `the parameter /rejoin/clusters/${cluster} does not exist; expected the specification of a managed cluster`,
    );
  }
  if (!found.ok) throw new Error(describeProblems(cluster, found.problems));
  return found.spec;
}

/** One line on the incident's record. `key` is unique per execution and act, so that a retried step lands once. */
export async function record(context: StepContext, key: string, what: string, why: string): Promise<void> {
  const { ports, cluster, incident, execution, who, nowMs } = context;
  await ports.ledger.record(cluster, incident, `${executionNameOf(execution)}/${key}`, {
    atMs: nowMs,
    who,
    what,
    why,
  });
  ports.log.info(what, { cluster, incident, why });
}
