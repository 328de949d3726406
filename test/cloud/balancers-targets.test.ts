/** The target state machine, decision by decision. */
import { describe, expect, it } from 'vitest';
import {
  afterCheck,
  draining,
  endsConnections,
  healthOf,
  receivers,
  registered,
  type GroupSettings,
  type Target,
  type TargetStatus,
} from '../../rehearsal/cloud/balancers-targets.ts';

const settings: GroupSettings = {
  port: 3306,
  checkPort: null,
  checkIntervalMs: 5000,
  checkTimeoutMs: 1000,
  healthyThreshold: 3,
  unhealthyThreshold: 2,
};
const target = (id: string, status: TargetStatus): Target => ({ ...registered(id, 3306), status });
const after = (start: Target, checks: string): Target =>
  [...checks].reduce((t, c) => afterCheck(t, c === 'p' ? null : 'refused', settings), start);

describe('a target', () => {
  it.each<[TargetStatus, string, TargetStatus]>([
    ['initial', 'p', 'healthy'],
    ['initial', 'f', 'initial'],
    ['initial', 'ff', 'unhealthy'],
    ['initial', 'fp', 'healthy'],
    ['healthy', 'f', 'healthy'],
    ['healthy', 'fpf', 'healthy'],
    ['healthy', 'ff', 'unhealthy'],
    ['unhealthy', 'pp', 'unhealthy'],
    ['unhealthy', 'ppfp', 'unhealthy'],
    ['unhealthy', 'ppp', 'healthy'],
    ['draining', 'fff', 'draining'],
  ])('that is %s is after checks %s: %s', (from, checks, to) => {
    expect(after(target('i-1', from), checks).status).toBe(to);
  });

  it('drains until the moment that was counted at its deregistration', () => {
    const first = draining(target('i-1', 'healthy'), 1_000, 30);
    expect(first).toMatchObject({ status: 'draining', drainedAtMs: 31_000 });
    expect(draining(first, 20_000, 30)).toBe(first);
  });

  it('that times out says so', () => {
    const hung = { ...target('i-1', 'unhealthy'), failure: 'timeout' as const };
    expect(healthOf(hung, true).reason).toBe('Target.Timeout');
  });
});

describe('new connections', () => {
  it.each<[string, Target[], string[]]>([
    ['go to the healthy', [target('a', 'healthy'), target('b', 'unhealthy'), target('c', 'initial')], ['a_3306']],
    ['go to all when none is healthy', [target('a', 'unhealthy'), target('b', 'initial')], ['a_3306', 'b_3306']],
    ['never go to one that drains', [target('a', 'draining')], []],
    ['never go to a stopped instance', [{ ...target('a', 'initial'), instanceDown: true }], []],
  ])('%s', (_what, all, expected) => {
    expect([...receivers(all)]).toEqual(expected);
  });
});

describe('old connections', () => {
  const on = { 'target_health_state.unhealthy.connection_termination.enabled': 'true' };
  const off = { 'target_health_state.unhealthy.connection_termination.enabled': 'false' };
  const healthy = target('a', 'healthy');
  it.each<[string, Target, Target, Record<string, string>, boolean]>([
    ['end when the target turns unhealthy', healthy, target('a', 'unhealthy'), on, true],
    ['go on when the attribute is off', healthy, target('a', 'unhealthy'), off, false],
    ['end once, not with every check', target('a', 'unhealthy'), target('a', 'unhealthy'), on, false],
    ['go on while it is healthy', target('a', 'initial'), healthy, on, false],
  ])('%s', (_what, before, next, attributes, expected) => {
    expect(endsConnections(before, next, attributes)).toBe(expected);
  });
});
