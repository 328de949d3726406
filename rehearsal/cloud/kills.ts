/** Kills a function's process at its nth AWS call: a crash at a chosen moment of a chosen step. */
import { isDeepStrictEqual } from 'node:util';
import type { KillRule } from './contract.ts';
import { nameContains } from './faults.ts';

/** One invocation that a rule waits for; told of each AWS call it makes. */
export interface ArmedKill {
  /** Counts a call. Answers the moment to kill at, if this is the call. */
  nextCall(): Exclude<KillRule['moment'], 'end'> | null;
  /** Asked when the invocation has done everything: is its answer lost. */
  atEnd(): boolean;
}

export interface Kills {
  /** Adds a rule; answers how to take it back. Throws when `atCall` is not a whole number of 1 or more. */
  add(rule: KillRule): () => void;
  /**
   * Kills each step of these functions once (invocations whose payload names a `step`): the first at its first AWS call
   * before it is carried out, the second after it, the third when all is done and only the answer is missing, and so on.
   */
  everyStep(functionNames: readonly string[]): void;
  clear(): void;
  /** For an invocation that begins. */
  arm(functionName: string, payload: unknown): ArmedKill;
  /** How many invocations each rule has killed. */
  readonly hits: ReadonlyMap<KillRule, number>;
}

/** Who was killed, and when: `failover Promote after`, as often as it happened. */
export const killed = (kills: Kills): string[] =>
  [...kills.hits].flatMap(([rule, times]) => {
    const step = rule.payload?.['step'];
    const what = [rule.functionName, ...(typeof step === 'string' ? [step] : []), rule.moment].join(' ');
    return Array.from({ length: times }, () => what);
  });

/** Every property of `wanted` is in `value` with an equal value; structures are compared the same way. */
export function matchesPayload(wanted: unknown, value: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null || Array.isArray(wanted)) return isDeepStrictEqual(wanted, value);
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(wanted).every(([key, part]) => matchesPayload(part, (value as Record<string, unknown>)[key]));
}

const MOMENTS: readonly KillRule['moment'][] = ['before', 'after', 'end'];

export function createKills(): Kills {
  const rules: KillRule[] = [];
  const hits = new Map<KillRule, number>();
  const everyStepOf = new Set<string>();
  const stepsSeen = new Set<string>();

  const add = (rule: KillRule): void => {
    rules.push(rule);
    hits.set(rule, 0);
  };

  /** A rule for a step that is seen for the first time. */
  const noticeStep = (functionName: string, payload: unknown): void => {
    const step = (payload as { step?: unknown } | null)?.step;
    const wanted = [...everyStepOf].find((name) => nameContains(functionName, name));
    if (wanted === undefined || typeof step !== 'string' || stepsSeen.has(`${wanted} ${step}`)) return;
    const moment = MOMENTS[stepsSeen.size % MOMENTS.length] ?? 'before';
    stepsSeen.add(`${wanted} ${step}`);
    add({ functionName: wanted, payload: { step }, atCall: 1, moment, times: 1 });
  };

  /** Counts the rule's hit when it may still kill. */
  const strike = (rule: KillRule): boolean => {
    const killed = hits.get(rule) ?? 0;
    if (killed >= rule.times || !rules.includes(rule)) return false;
    hits.set(rule, killed + 1);
    return true;
  };

  return {
    hits,
    add(rule) {
      if (!Number.isInteger(rule.atCall) || rule.atCall < 1) {
        throw new Error(`atCall is ${rule.atCall}; give the number of the AWS call to kill at, from 1`);
      }
      add(rule);
      return () => {
        const at = rules.indexOf(rule);
        if (at >= 0) rules.splice(at, 1);
      };
    },
    everyStep(functionNames) {
      for (const name of functionNames) everyStepOf.add(name);
    },
    clear() {
      rules.length = 0;
      everyStepOf.clear();
    },
    arm(functionName, payload) {
      noticeStep(functionName, payload);
      const candidates = rules.filter(
        (rule) =>
          nameContains(functionName, rule.functionName) &&
          (rule.payload === undefined || matchesPayload(rule.payload, payload)),
      );
      let calls = 0;
      return {
        nextCall() {
          calls += 1;
          for (const rule of candidates) {
            if (rule.moment !== 'end' && rule.atCall === calls && strike(rule)) return rule.moment;
          }
          return null;
        },
        atEnd: () => candidates.some((rule) => rule.moment === 'end' && strike(rule)),
      };
    },
  };
}
