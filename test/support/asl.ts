/**
 * Runs a state machine's definition in memory: the part of Amazon States Language (JSONPath) that lib/workflows uses,
 * with the retry and catch rules of https://states-language.net/spec.html. Time is the given clock's.
 */
import type { Clock } from '../../lambdas/cloud/ports.ts';
import type { Catcher, ChoiceRule, Definition, Retrier, Task } from '../../lib/workflows/asl.ts';

export interface Run {
  readonly status: 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT';
  readonly output: unknown;
  /** States in the order in which they were entered. */
  readonly visited: readonly string[];
  /** Every error that a task ended with, those that were retried too. */
  readonly errors: readonly { readonly state: string; readonly name: string; readonly message: string }[];
  /** Of a Fail state. */
  readonly cause?: string;
}

export interface Machine {
  readonly definition: Definition;
  readonly executionArn: string;
  readonly clock: Clock;
  /** Answers the Lambda's payload; a throw is the function's error, matched by its name. */
  readonly invoke: (payload: Readonly<Record<string, unknown>>) => Promise<unknown>;
}

type Json = Readonly<Record<string, unknown>>;

/** Reads `$.a.b` of a value. */
function at(path: string, value: unknown): unknown {
  if (!/^\$(\.[A-Za-z]+)*$/.test(path)) throw new Error(`the interpreter knows no path ${path}, expected $.a.b`);
  const found = path
    .split('.')
    .slice(1)
    .reduce<unknown>((v, key) => (v as Json | null | undefined)?.[key], value);
  if (found === undefined) throw Object.assign(new Error(`${path} selects nothing`), { name: 'States.Runtime' });
  return found;
}

function fill(template: unknown, state: unknown, context: unknown): unknown {
  if (typeof template !== 'object' || template === null) return template;
  return Object.fromEntries(
    Object.entries(template).map(([key, value]) => {
      if (!key.endsWith('.$')) return [key, fill(value, state, context)];
      const path = String(value);
      return [key.slice(0, -2), path.startsWith('$$') ? at(path.slice(1), context) : at(path, state)];
    }),
  );
}

const matches = (names: readonly string[], name: string): boolean =>
  names.includes(name) || (names.includes('States.ALL') && name !== 'States.Runtime');

const chosen = (rules: readonly ChoiceRule[], state: unknown): string | undefined =>
  rules.find((r) => at(r.Variable, state) === ('BooleanEquals' in r ? r.BooleanEquals : r.StringEquals))?.Next;

/** Runs an execution to its end. */
export async function runMachine(machine: Machine, input: unknown): Promise<Run> {
  const { definition, clock } = machine;
  const startedMs = clock.nowMs();
  const context = { Execution: { Id: machine.executionArn, StartTime: new Date(startedMs).toISOString() } };
  const visited: string[] = [];
  const errors: { state: string; name: string; message: string }[] = [];
  const end = (status: Run['status'], output: unknown): Run => ({ status, output, visited, errors });
  let name = definition.StartAt;
  let value = structuredClone(input);
  for (;;) {
    const state = definition.States[name];
    if (state === undefined) throw new Error(`the definition has no state ${name}`);
    if (clock.nowMs() - startedMs > definition.TimeoutSeconds * 1000) return end('TIMED_OUT', value);
    visited.push(name);
    switch (state.Type) {
      case 'Succeed':
        return end('SUCCEEDED', value);
      case 'Fail':
        return { ...end('FAILED', value), cause: 'Cause' in state ? state.Cause : String(at(state.CausePath, value)) };
      case 'Wait':
        await clock.sleep(Number(at(state.SecondsPath, value)) * 1000);
        name = state.Next;
        break;
      case 'Choice':
        name = chosen(state.Choices, value) ?? state.Default;
        break;
      case 'Task': {
        const result = await perform(machine, name, state, value, context, errors);
        name = result.next;
        value = result.value;
        break;
      }
    }
  }
}

async function perform(
  machine: Machine,
  name: string,
  state: Task,
  value: unknown,
  context: unknown,
  errors: { state: string; name: string; message: string }[],
): Promise<{ readonly next: string; readonly value: unknown }> {
  const tried = new Map<Retrier, number>();
  for (;;) {
    try {
      const { Payload } = fill(state.Parameters, value, context) as { readonly Payload: Json };
      // What crosses is JSON: a value that does not survive it must not help the code under test.
      const answer: unknown = overTheWire(await machine.invoke(overTheWire(Payload)));
      return { next: state.Next, value: at(state.OutputPath, { Payload: answer }) };
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      errors.push({ state: name, name: error.name, message: error.message });
      const retrier = state.Retry.find((r) => matches(r.ErrorEquals, error.name));
      const before = retrier === undefined ? 0 : (tried.get(retrier) ?? 0);
      if (retrier !== undefined && before < retrier.MaxAttempts) {
        tried.set(retrier, before + 1);
        const seconds = (retrier.IntervalSeconds ?? 1) * (retrier.BackoffRate ?? 2) ** before;
        await machine.clock.sleep(Math.min(seconds, retrier.MaxDelaySeconds ?? seconds) * 1000);
        continue;
      }
      return caught(state.Catch, error, value);
    }
  }
}

const overTheWire = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

function caught(catchers: readonly Catcher[], error: Error, value: unknown): { next: string; value: unknown } {
  const catcher = catchers.find((c) => matches(c.ErrorEquals, error.name));
  if (catcher === undefined) throw error;
  if (catcher.ResultPath !== '$.error') throw new Error(`the interpreter knows no ResultPath ${catcher.ResultPath}`);
  const Cause = JSON.stringify({ errorType: error.name, errorMessage: error.message });
  return { next: catcher.Next, value: { ...(value as Json), error: { Error: error.name, Cause } } };
}
