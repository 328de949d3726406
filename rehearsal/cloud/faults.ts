/** Injected failures of AWS calls: latency, throttling, errors; chosen by a seeded die, so that a run can be repeated. */
import type { AwsRequest, FaultRule } from './contract.ts';

/** A small generator of numbers in [0, 1): mulberry32. Equal seeds give equal sequences. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Who makes a call, as far as the gateway can tell. */
export interface Caller {
  /**
   * `rehearsal` (the platform team and our own machinery), `function`, `engine` (Step Functions), `mapping` (Lambda's
   * pollers, under the function's role), `other` (hosts, people).
   */
  readonly kind: 'rehearsal' | 'function' | 'engine' | 'mapping' | 'other';
  /** Function name, state machine name or access key id. */
  readonly name: string;
}

export interface Faults {
  /** Adds a rule; answers how to take it back. Throws when the probability is not within 0 to 1. */
  add(rule: FaultRule): () => void;
  clear(): void;
  /** What to do to this call; null to leave it alone. Uses up one of the rule's `times`. */
  strike(request: Pick<AwsRequest, 'service' | 'operation'>, caller: Caller): FaultRule | null;
  /** How many calls each rule has hit so far. */
  readonly hits: ReadonlyMap<FaultRule, number>;
}

/** CloudFormation writes `Replace` into a name where we say `replace`. */
export const nameContains = (name: string, part: string): boolean => name.toLowerCase().includes(part.toLowerCase());

const applies = (rule: FaultRule, request: Pick<AwsRequest, 'service' | 'operation'>, caller: Caller): boolean => {
  if (caller.kind === 'rehearsal' || caller.kind === 'mapping') return false;
  if (rule.functionName !== undefined) {
    if (caller.kind !== 'function' || !nameContains(caller.name, rule.functionName)) return false;
  } else if (caller.kind === 'engine' && rule.service === '*') {
    // The engine is AWS itself; only a rule that names the service means its calls.
    return false;
  }
  return (
    (rule.service === '*' || rule.service === request.service) &&
    (rule.operation === '*' || rule.operation === request.operation)
  );
};

export function createFaults(random: () => number): Faults {
  const rules: FaultRule[] = [];
  const hits = new Map<FaultRule, number>();
  return {
    hits,
    add(rule) {
      if (!(rule.probability >= 0 && rule.probability <= 1)) {
        throw new Error(`probability is ${rule.probability}; give the share of calls to hit, 0 to 1`);
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
    strike(request, caller) {
      for (const rule of rules) {
        const struck = hits.get(rule) ?? 0;
        if (!applies(rule, request, caller) || struck >= (rule.times ?? Infinity)) continue;
        if (random() >= rule.probability) continue;
        hits.set(rule, struck + 1);
        return rule;
      }
      return null;
    },
  };
}
