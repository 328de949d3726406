import { describe, expect, it } from 'vitest';
import type { FleetFailure } from '../../../lambdas/model/ledger.ts';
import { BRAKE_WINDOW_MS, brakeReason } from '../../../lambdas/model/brake.ts';

const NOW_MS = 10_000_000;
const failures = (...nodes: string[]): FleetFailure[] =>
  nodes.map((n) => ({ cluster: n.split('/')[0] ?? '', node: n.split('/')[1] ?? '', atMs: NOW_MS - 1000 }));

describe('rule 7: the fleet brake', () => {
  const cases: [string, FleetFailure[], number, boolean][] = [
    ['four nodes of two clusters in a small fleet', failures('a/1', 'a/2', 'b/1', 'b/2'), 9, true],
    ['three nodes are below the floor', failures('a/1', 'a/2', 'b/1'), 9, false],
    ['four nodes of one cluster are that cluster’s trouble', failures('a/1', 'a/2', 'a/3', 'a/4'), 9, false],
    ['four of thirty are below 30 %', failures('a/1', 'a/2', 'b/1', 'b/2'), 30, false],
    ['nine of thirty are 30 %', failures(...Array.from({ length: 9 }, (_, i) => `c${i % 3}/${i}`)), 30, true],
    ['the same node counts once', failures('a/1', 'a/1', 'b/1', 'b/1'), 9, false],
    ['nothing has failed', [], 9, false],
  ];
  it.each(cases)('%s', (_, failed, fleet, engages) => {
    expect(brakeReason(failed, fleet, NOW_MS) !== null).toBe(engages);
  });

  it('forgets what is older than the window, and counts what is just within it', () => {
    const four = failures('a/1', 'a/2', 'b/1', 'b/2').map((f) => ({ ...f, atMs: NOW_MS - BRAKE_WINDOW_MS }));
    expect(brakeReason(four, 9, NOW_MS)).not.toBeNull();
    expect(brakeReason(four, 9, NOW_MS + 1)).toBeNull();
  });

  it('names the clusters, the figures and the threshold', () => {
    expect(brakeReason(failures('b/1', 'a/1', 'a/2', 'b/2'), 9, NOW_MS)).toBe(
      '4 of 9 nodes in 2 clusters (a, b) failed within 10 minutes; the brake engages at 4',
    );
  });
});
