import { describe, expect, it } from 'vitest';
import { describeProblems, parseSpec, type ClusterSpec } from '../../../lambdas/model/spec.ts';

const group = (name: string): string =>
  `arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/${name}/0123456789abcdef`;

const good: ClusterSpec = {
  version: 1,
  name: 'orders',
  engine: { kind: 'galera', port: 3306 },
  nodes: 3,
  launchTemplate: { id: 'lt-0123456789abcdef0', version: '$Default' },
  subnets: [{ id: 'subnet-0123456789abcdef0', zone: 'eu-west-1a' }],
  credentialsSecretArn: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:orders/probe-AbCdEf',
  endpoints: [
    { kind: 'targetGroup', arn: group('writer'), route: 'writer', drainSeconds: 30 },
    { kind: 'targetGroup', arn: group('read'), route: 'healthy', drainSeconds: 30 },
    { kind: 'dns', zoneId: 'Z0123456789', name: 'orders.example.internal.', route: 'writer', ttlSeconds: 5 },
  ],
  policy: 'HEAL',
  dataDevice: '/dev/sdf',
  timing: { deadAfterSeconds: 15, retryAfterSeconds: 1800 },
};

describe('cluster specification', () => {
  it('accepts a good one as it is, also through JSON', () => {
    expect(parseSpec(JSON.parse(JSON.stringify(good)))).toEqual({ ok: true, spec: good });
  });

  it.each<[string, unknown, string, string]>([
    ['a name that DNS would refuse', { ...good, name: 'Orders!' }, 'name', '"Orders!"'],
    ['an even number of nodes', { ...good, nodes: 4 }, 'nodes', '4'],
    ['too few nodes', { ...good, nodes: 1 }, 'nodes', '1'],
    ['a port out of range', { ...good, engine: { kind: 'galera', port: 70_000 } }, 'engine.port', '70000'],
    ['an engine nobody knows', { ...good, engine: { kind: 'oracle', port: 1 } }, 'engine.kind', '"oracle"'],
    ['no endpoint', { ...good, endpoints: [] }, 'endpoints', '[]'],
    [
      'a time to live of an hour',
      { ...good, endpoints: [{ ...good.endpoints[2], ttlSeconds: 3600 }] },
      'endpoints[0].ttlSeconds',
      '3600',
    ],
    [
      'a target group by name',
      { ...good, endpoints: [{ ...good.endpoints[0], arn: 'orders' }] },
      'endpoints[0].arn',
      '"orders"',
    ],
    ['a policy in lower case', { ...good, policy: 'heal' }, 'policy', '"heal"'],
    [
      'two writer groups',
      { ...good, endpoints: [good.endpoints[0], { ...good.endpoints[1], route: 'writer' }] },
      'endpoints',
      '2 target groups',
    ],
    [
      'the same group twice',
      { ...good, endpoints: [good.endpoints[1], good.endpoints[1]] },
      'endpoints[1]',
      'targetgroup/read',
    ],
    ['no specification at all', null, '', 'null'],
  ])('refuses %s, naming property and value', (_title, value, path, received) => {
    const result = parseSpec(value);
    if (result.ok) throw new Error('accepted');
    const problem = result.problems.find((p) => p.path === path);
    expect(problem, JSON.stringify(result.problems)).toBeDefined();
    expect(problem?.received).toContain(received);
    expect(problem?.mend.length).toBeGreaterThan(10);
  });

  it('refuses a property it does not know, so that a typing error is not taken for a default', () => {
    const result = parseSpec({ ...good, polcy: 'HEAL' });
    expect(result.ok).toBe(false);
  });

  it('names every problem at once in sentences', () => {
    const result = parseSpec({ ...good, nodes: 2, policy: 'x' });
    if (result.ok) throw new Error('accepted');
    const text = describeProblems('orders', result.problems);
    expect(text).toContain('nodes is 2');
    expect(text).toContain('policy is "x"');
  });
});
