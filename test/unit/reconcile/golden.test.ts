/**
 * Golden scenarios: a folder each, `state.json` (what is the case) and `expect.json` (what is diagnosed, done and declined).
 * `REJOIN_WRITE_GOLDEN=1` writes what comes out now: read the difference as a review of the behaviour.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { REFUSALS } from '../../../lambdas/model/change.ts';
import { DIAGNOSES } from '../../../lambdas/model/diagnosis.ts';
import { diagnose } from '../../../lambdas/reconcile/diagnose.ts';
import { plan } from '../../../lambdas/reconcile/plan.ts';
import { shortChanges, shortDiagnoses, shortOutcome, shortRefusals, viewOf } from './scenario.ts';
import type { Scenario } from './scenario.ts';
import { postgresViewOf } from './postgres-scenario.ts';
import type { PostgresScenario } from './postgres-scenario.ts';

interface Expectation {
  readonly diagnoses: readonly string[];
  readonly changes: readonly string[];
  readonly refusals: readonly string[];
  readonly outcome: string;
}

const root = fileURLToPath(new URL('../../golden/', import.meta.url));
const names = readdirSync(root).sort();
const read = (name: string, file: string): unknown => JSON.parse(readFileSync(`${root}${name}/${file}`, 'utf8'));

function whatComesOut(scenario: Scenario | PostgresScenario): Expectation {
  const view = 'engine' in scenario ? postgresViewOf(scenario) : viewOf(scenario);
  const diagnoses = diagnose(view);
  const planned = plan(view, diagnoses, view.atMs);
  return {
    diagnoses: shortDiagnoses(diagnoses),
    changes: shortChanges(planned),
    refusals: shortRefusals(planned.refusals),
    outcome: shortOutcome(planned),
  };
}

describe('golden scenarios', () => {
  it.each(names)('%s', (name) => {
    const actual = whatComesOut(read(name, 'state.json') as Scenario | PostgresScenario);
    if (process.env['REJOIN_WRITE_GOLDEN'] === '1') {
      writeFileSync(`${root}${name}/expect.json`, `${JSON.stringify(actual, null, 2)}\n`);
    }
    expect(actual).toEqual(read(name, 'expect.json'));
  });

  const expectations = (): Expectation[] => names.map((n) => read(n, 'expect.json') as Expectation);

  it.each(DIAGNOSES)('some scenario shows %s', (code) => {
    expect(expectations().some((e) => e.diagnoses.some((d) => d.split(' ')[0] === code))).toBe(true);
  });

  // Not the plan's but the start's, which knows of the others' (launch-turns.test.ts).
  it.each(REFUSALS.filter((code) => code !== 'REFUSED_PACED'))('some scenario shows %s', (code) => {
    expect(expectations().some((e) => e.refusals.some((r) => r.split(' ')[0] === code))).toBe(true);
  });
});
