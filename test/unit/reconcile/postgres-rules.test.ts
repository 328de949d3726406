/** Single rules of reconcile for PostgreSQL that no scenario shows by itself. */
import { describe, expect, it } from 'vitest';
import { objection } from '../../../lambdas/reconcile/cases.ts';
import { diagnose } from '../../../lambdas/reconcile/diagnose.ts';
import { engineOf } from '../../../lambdas/reconcile/engines.ts';
import { plan } from '../../../lambdas/reconcile/plan.ts';
import { postgresObjections } from '../../../lambdas/reconcile/postgres/cases.ts';
import { MOST_MS, secondLook } from '../../../lambdas/reconcile/postgres/second-look.ts';
import { situationOf } from '../../../lambdas/reconcile/situation.ts';
import { NOW_MS, idOf } from './scenario.ts';
import { postgresViewOf } from './postgres-scenario.ts';
import type { PostgresScenario } from './postgres-scenario.ts';

const view = (s: Omit<PostgresScenario, 'engine'>) => postgresViewOf({ engine: 'postgres', ...s });

describe('the clock of a failed probe', () => {
  it('starts when the probe began: what it waited for in vain was missing then', () => {
    const seen = view({ nodes: { c: { says: 'silent' } } });
    const noted = plan(seen, diagnose(seen), seen.atMs).changes.find((c) => c.kind === 'NoteSuspicion');
    expect(noted).toMatchObject({ node: idOf('c'), suspicion: { sinceMs: NOW_MS - 1000, kind: 'silent' } });
  });
});

describe('rule 6: whatever finds it necessary', () => {
  const c = { node: idOf('c'), diagnosis: 'NODE_TERMINATED', mode: 'replace', reason: 'x', dueAtMs: null } as const;
  const objected = (s: Omit<PostgresScenario, 'engine'>, node: string) => {
    const seen = view(s);
    const situation = situationOf(engineOf(seen), seen, diagnose(seen));
    return objection(situation, { ...c, node: idOf(node) }, seen.atMs, postgresObjections)?.code ?? null;
  };

  it('a replica is recovered while the primary serves', () => {
    expect(objected({}, 'c')).toBeNull();
  });

  it.each([
    ['while no primary serves', { nodes: { a: { says: 'standby', follows: 'nobody' } } }, 'c'],
    ['when it is the primary itself', {}, 'a'],
  ] as const)('none is replaced %s', (_, s, node) => {
    expect(objected(s, node)).toBe('REFUSED_QUORUM');
  });
});

describe('a second look at the replicas', () => {
  const failing = (heardSecondsAgo: number, more: Omit<PostgresScenario, 'engine' | 'nodes'> = {}) =>
    view({
      ...more,
      nodes: {
        a: { says: 'silent', suspectForSeconds: 2 },
        b: { heardSecondsAgo },
        c: { heardSecondsAgo: 9 },
      },
    });

  it.each([
    ['needs no waiting when their silence was too short only when they were asked', 1.4, 1200, 0],
    ['waits for what is missing of it', 2, 0, 510],
  ])('%s', (_, heardSecondsAgo, laterMs, waitMs) => {
    const look = secondLook(failing(heardSecondsAgo), NOW_MS + laterMs);
    expect(look).toMatchObject({ waitMs });
    expect(look?.ask.map((n) => n.instance.id)).toEqual([idOf('b'), idOf('c')]);
  });

  it('never waits for longer than a second', () => {
    expect(secondLook(failing(2.5 - MOST_MS / 1000), NOW_MS)).toBeNull();
  });

  it.each([
    [
      'they have been silent for long enough',
      view({
        nodes: { a: { says: 'silent', suspectForSeconds: 2 }, b: { heardSecondsAgo: 3 }, c: { heardSecondsAgo: 3 } },
      }),
    ],
    ['the primary failed a single probe', view({ nodes: { a: { says: 'silent' }, b: { heardSecondsAgo: 2 } } })],
    [
      'the primary’s host says that the process is gone',
      view({ nodes: { a: { says: 'refused', suspectForSeconds: 2 } } }),
    ],
    ['a workflow has the claim', failing(2, { claim: { mode: 'failover', node: 'a' } })],
    [
      'the primary has been out of sight for long',
      view({
        nodes: { a: { says: 'silent', suspectForSeconds: 60 }, b: { heardSecondsAgo: 2 }, c: { heardSecondsAgo: 9 } },
      }),
    ],
  ])('is not taken when %s', (_, seen) => {
    expect(secondLook(seen, NOW_MS)).toBeNull();
  });
});
