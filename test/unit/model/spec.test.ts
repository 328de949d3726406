import { describe, expect, it } from 'vitest';
import { describeProblems, parseSpec, type ClusterSpec, type PostgresEngine } from '../../../lambdas/model/spec.ts';

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

const postgres = (engine: Partial<PostgresEngine> = {}, nodes = 3): ClusterSpec => ({
  ...good,
  nodes,
  engine: {
    ...{ kind: 'postgres', port: 5432, durability: 'quorum', maxLagBytes: 16_777_216, slots: 'physical' },
    replicationUser: 'rejoin_replication',
    ...engine,
  },
});

describe('cluster specification', () => {
  it('accepts a good one as it is, also through JSON', () => {
    expect(parseSpec(JSON.parse(JSON.stringify(good)))).toEqual({ ok: true, spec: good });
  });

  it.each([
    ['three nodes', postgres()],
    ['an even number of nodes, as nobody votes', postgres({}, 4)],
    ['nine nodes', postgres({}, 9)],
    ['two nodes that wait for nobody', postgres({ durability: 'async' }, 2)],
    ['all but one replica to be waited for', postgres({ acknowledgements: 3 }, 5)],
    ['no lag at all, no slots, TLS', postgres({ maxLagBytes: 0, slots: 'none', tls: 'required' })],
  ])('accepts PostgreSQL with %s', (_what, spec) => {
    expect(parseSpec(JSON.parse(JSON.stringify(spec)))).toEqual({ ok: true, spec });
  });

  it.each<[string, unknown, string, string]>([
    ['two nodes and a quorum: the loss of one would stop all writes', postgres({}, 2), 'nodes', '2'],
    ['one node', postgres({ durability: 'async' }, 1), 'nodes', '1'],
    ['ten nodes', postgres({}, 10), 'nodes', '10'],
    ['every replica to be waited for', postgres({ acknowledgements: 2 }), 'engine.acknowledgements', '2'],
    ['no replica to be waited for', postgres({ acknowledgements: 0 }), 'engine.acknowledgements', '0'],
    ['half a replica', postgres({ acknowledgements: 1.5 }, 5), 'engine.acknowledgements', '1.5'],
    [
      'acknowledgements where nobody is waited for',
      postgres({ durability: 'async', acknowledgements: 1 }),
      'engine.acknowledgements',
      '1',
    ],
    ['a negative lag', postgres({ maxLagBytes: -1 }), 'engine.maxLagBytes', '-1'],
    ['a lag of two pebibytes', postgres({ maxLagBytes: 2 ** 51 }), 'engine.maxLagBytes', String(2 ** 51)],
    ['a role in capitals', postgres({ replicationUser: 'Replicator' }), 'engine.replicationUser', '"Replicator"'],
    ['a role that SQL would read further', postgres({ replicationUser: 'a"b' }), 'engine.replicationUser', 'a'],
    ['a role longer than a name', postgres({ replicationUser: 'a'.repeat(64) }), 'engine.replicationUser', 'aaa'],
    ['a durability in between', postgres({ durability: 'some' as 'async' }), 'engine.durability', '"some"'],
    ['logical slots', postgres({ slots: 'logical' as 'none' }), 'engine.slots', '"logical"'],
    ['no durability', { ...good, engine: { ...postgres().engine, durability: undefined } }, 'engine.durability', ''],
    ['the durability of another engine', { ...good, engine: { ...good.engine, durability: 'async' } }, 'engine', ''],
  ])('refuses PostgreSQL with %s', (_title, value, path, received) => {
    const result = parseSpec(value);
    if (result.ok) throw new Error('accepted');
    const problem = result.problems.find((p) => p.path === path);
    expect(problem, JSON.stringify(result.problems)).toBeDefined();
    expect(problem?.received).toContain(received);
    expect(problem?.mend.length).toBeGreaterThan(10);
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
    const result = parseSpec({ ...good, nodes: 1, policy: 'x' });
    if (result.ok) throw new Error('accepted');
    const text = describeProblems('orders', result.problems);
    expect(text).toContain('nodes is 1');
    expect(text).toContain('policy is "x"');
  });
});
