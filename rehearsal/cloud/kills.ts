/** Kills a function's process at its nth AWS call: a crash at a chosen moment of a chosen step. */
import { isDeepStrictEqual } from 'node:util';
import type { KillRule } from './contract.ts';
import { nameContains } from './faults.ts';

/** One invocation that a rule waits for; told of each AWS call it makes. */
export interface ArmedKill {
  /** Counts a call. Answers the moment to kill at, if this is the call. */
  nextCall(): KillRule['moment'] | null;
}

export interface Kills {
  /** Adds a rule; answers how to take it back. Throws when `atCall` is not a whole number of 1 or more. */
  add(rule: KillRule): () => void;
  clear(): void;
  /** For an invocation that begins. */
  arm(functionName: string, payload: unknown): ArmedKill;
  /** How many invocations each rule has killed. */
  readonly hits: ReadonlyMap<KillRule, number>;
}

/** Every property of `wanted` is in `value` with an equal value; structures are compared the same way. */
export function matchesPayload(wanted: unknown, value: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null || Array.isArray(wanted)) return isDeepStrictEqual(wanted, value);
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(wanted).every(([key, part]) => matchesPayload(part, (value as Record<string, unknown>)[key]));
}

export function createKills(): Kills {
  const rules: KillRule[] = [];
  const hits = new Map<KillRule, number>();
  return {
    hits,
    add(rule) {
      if (!Number.isInteger(rule.atCall) || rule.atCall < 1) {
        throw new Error(`atCall is ${rule.atCall}; give the number of the AWS call to kill at, from 1`);
      }
      rules.push(rule);
      hits.set(rule, 0);
      return () => {
        const at = rules.indexOf(rule);
        if (at >= 0) rules.splice(at, 1);
      };
    },
    clear() {
      rules.length = 0;
    },
    arm(functionName, payload) {
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
            const killed = hits.get(rule) ?? 0;
            if (rule.atCall !== calls || killed >= rule.times || !rules.includes(rule)) continue;
            hits.set(rule, killed + 1);
            return rule.moment;
          }
          return null;
        },
      };
    },
  };
}
