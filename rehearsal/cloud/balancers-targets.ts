/**
 * What a Network Load Balancer does with its targets, as pure decisions.
 * Source: ELB User Guide for Network Load Balancers, "Health checks for target groups", "Deregistration delay" and
 * "Target group attributes"; reason codes: API reference, TargetHealth.
 */
export type TargetStatus = 'initial' | 'healthy' | 'unhealthy' | 'draining' | 'unused';

export interface GroupSettings {
  /** The port of targets that are registered without one. */
  readonly port: number;
  /** Null: the port that takes the traffic. */
  readonly checkPort: number | null;
  readonly checkIntervalMs: number;
  readonly checkTimeoutMs: number;
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
}

/** The attributes that a new target group of a Network Load Balancer has. */
export const DEFAULT_ATTRIBUTES: Readonly<Record<string, string>> = {
  'deregistration_delay.timeout_seconds': '300',
  'deregistration_delay.connection_termination.enabled': 'false',
  'target_health_state.unhealthy.connection_termination.enabled': 'true',
  'target_health_state.unhealthy.draining_interval_seconds': '0',
  'preserve_client_ip.enabled': 'true',
  'proxy_protocol_v2.enabled': 'false',
  'stickiness.enabled': 'false',
  'stickiness.type': 'source_ip',
  'load_balancing.cross_zone.enabled': 'use_load_balancer_configuration',
  'target_group_health.dns_failover.minimum_healthy_targets.count': '1',
  'target_group_health.dns_failover.minimum_healthy_targets.percentage': 'off',
  'target_group_health.unhealthy_state_routing.minimum_healthy_targets.count': '1',
  'target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage': 'off',
};

const BOOLEANS = Object.keys(DEFAULT_ATTRIBUTES).filter((key) => /^(true|false)$/.test(DEFAULT_ATTRIBUTES[key]!));

/** Null when the attribute may have this value, otherwise what is wrong with it. */
export function attributeProblem(key: string, value: string): string | null {
  if (DEFAULT_ATTRIBUTES[key] === undefined) return `Target group attribute key '${key}' is not recognized`;
  if (BOOLEANS.includes(key) && value !== 'true' && value !== 'false') {
    return `'${key}' must be 'true' or 'false', not '${value}'`;
  }
  if (key === 'deregistration_delay.timeout_seconds' && !(/^\d+$/.test(value) && Number(value) <= 3600)) {
    return `'${key}' must be between '0' and '3600' inclusive, not '${value}'`;
  }
  return null;
}

export interface Target {
  readonly id: string;
  readonly port: number;
  readonly status: TargetStatus;
  /** Checks in a row that agree with each other: positive passed, negative failed. */
  readonly streak: number;
  /** Why the last check failed. */
  readonly failure: 'refused' | 'timeout' | null;
  /** Draining only: when the deregistration delay is over. */
  readonly drainedAtMs: number | null;
  /** The instance is stopped: registered, and no target. */
  readonly instanceDown: boolean;
}

export const targetKey = (target: { readonly id: string; readonly port: number }): string =>
  `${target.id}_${target.port}`;

export const registered = (id: string, port: number): Target => ({
  id,
  port,
  status: 'initial',
  streak: 0,
  failure: null,
  drainedAtMs: null,
  instanceDown: false,
});

/**
 * The target after one more health check. A new target is healthy after one passed check; afterwards it takes
 * `unhealthyThreshold` failed ones in a row to lose it and `healthyThreshold` passed ones to have it back.
 */
export function afterCheck(target: Target, failure: Target['failure'], settings: GroupSettings): Target {
  if (target.status === 'draining' || target.instanceDown) return target;
  const passed = failure === null;
  const streak = passed ? Math.max(target.streak, 0) + 1 : Math.min(target.streak, 0) - 1;
  const next = { ...target, streak, failure };
  switch (target.status) {
    case 'initial':
      if (passed) return { ...next, status: 'healthy' };
      return -streak >= settings.unhealthyThreshold ? { ...next, status: 'unhealthy' } : next;
    case 'healthy':
      return -streak >= settings.unhealthyThreshold ? { ...next, status: 'unhealthy' } : next;
    case 'unhealthy':
      return streak >= settings.healthyThreshold ? { ...next, status: 'healthy' } : next;
    case 'unused':
      return next;
  }
}

export const draining = (target: Target, nowMs: number, delaySeconds: number): Target =>
  target.status === 'draining' ? target : { ...target, status: 'draining', drainedAtMs: nowMs + delaySeconds * 1000 };

export interface TargetHealth {
  readonly state: TargetStatus;
  readonly reason: string | null;
  readonly description: string | null;
}

/** As DescribeTargetHealth tells it. `inUse`: some balancer forwards to the group. */
export function healthOf(target: Target, inUse: boolean): TargetHealth {
  const say = (state: TargetStatus, reason: string | null, description: string | null): TargetHealth => ({
    state,
    reason,
    description,
  });
  if (target.status === 'draining') {
    return say('draining', 'Target.DeregistrationInProgress', 'Target deregistration is in progress');
  }
  if (!inUse) {
    return say('unused', 'Target.NotInUse', 'Target group is not configured to receive traffic from the load balancer');
  }
  if (target.instanceDown) return say('unused', 'Target.InvalidState', 'Target is in the stopped state');
  switch (target.status) {
    case 'healthy':
      return say('healthy', null, null);
    case 'unhealthy':
      return target.failure === 'timeout'
        ? say('unhealthy', 'Target.Timeout', 'Request timed out')
        : say('unhealthy', 'Target.FailedHealthChecks', 'Health checks failed');
    case 'initial':
      return target.streak === 0
        ? say('initial', 'Elb.RegistrationInProgress', 'Target registration is in progress')
        : say('initial', 'Elb.InitialHealthChecking', 'Initial health checks in progress');
    case 'unused':
      return say('unused', 'Target.NotInUse', 'Target is not in use');
  }
}

/**
 * Who gets new connections: the healthy targets. When there is none, all registered ones, whatever their state (the
 * balancer fails open). A draining target gets none.
 */
export function receivers(targets: readonly Target[]): ReadonlySet<string> {
  const candidates = targets.filter((t) => t.status !== 'draining' && !t.instanceDown);
  const healthy = candidates.filter((t) => t.status === 'healthy');
  return new Set((healthy.length > 0 ? healthy : candidates).map(targetKey));
}

/** Are the connections of a target ended that goes from one state to the next. */
export function endsConnections(before: Target, after: Target, attributes: Readonly<Record<string, string>>): boolean {
  const turnedUnhealthy = before.status !== 'unhealthy' && after.status === 'unhealthy';
  return turnedUnhealthy && attributes['target_health_state.unhealthy.connection_termination.enabled'] === 'true';
}
