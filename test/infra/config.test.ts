import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import type { ClusterConfig } from '../../lib/config.ts';
import { configSchema, parseConfig } from '../../lib/config.ts';
import { EXAMPLE, ROOT, exampleConfig, exampleStack, newApp, resourcesOf, temporary } from './fixture.ts';

const example = (): Record<string, unknown> => JSON.parse(readFileSync(EXAMPLE, 'utf8')) as Record<string, unknown>;

function runApp(context: Readonly<Record<string, string>>): {
  readonly status: number | null;
  readonly stderr: string;
} {
  const env = {
    ...process.env,
    CDK_CONTEXT_JSON: JSON.stringify(context),
    CDK_OUTDIR: temporary('app'),
  };
  return spawnSync(process.execPath, ['bin/rejoin.ts'], { cwd: ROOT, encoding: 'utf8', env });
}

describe('the configuration file', () => {
  it.each([
    [
      'a VPC id that is none',
      { vpc: { id: 'main', subnets: [] } },
      /f\.json: vpc\.id is "main": give an id such as vpc-0123456789abcdef0/,
    ],
    ['a property that nobody reads', { clustres: [] }, /Unrecognized key|clustres/],
    ['no clusters', { clusters: undefined }, /f\.json: clusters is missing: /],
    ['a number for an account', { account: 111122223333 }, /f\.json: account is 111122223333: /],
    [
      'a role that is none',
      { instanceRoleArns: ['orders'] },
      /instanceRoleArns\[0\] is "orders": give the ARN of a role/,
    ],
  ])('is refused with %s', (_what, change, message) => {
    expect(() => parseConfig('f.json', JSON.stringify({ ...example(), ...change }))).toThrow(message);
  });

  it('is refused when it is not JSON, naming the file', () => {
    expect(() => parseConfig('f.json', '{')).toThrow(/f\.json is not JSON .*compare docs\/example\.rejoin\.json/);
  });

  it('is refused with a retention that CloudWatch Logs does not take', () => {
    expect(() => exampleStack(newApp(), { ...exampleConfig(), logRetentionDays: 10 })).toThrow(
      /logRetentionDays is 10: CloudWatch Logs takes 1, 3, 5/,
    );
  });

  it('gives the quotas of the account to who asks AWS, and refuses others', () => {
    const quotas = { loadBalancingPerSecond: 100, environments: 7 };
    const template = Template.fromStack(exampleStack(newApp(), { ...exampleConfig(), quotas }));
    const paces = resourcesOf(template, 'AWS::Lambda::Function').flatMap(([, f]) => {
      const { Variables } = (f.Properties['Environment'] ?? {}) as { readonly Variables?: { readonly PACE?: string } };
      return Variables?.PACE === undefined ? [] : [JSON.parse(Variables.PACE) as Record<string, number>];
    });
    expect(paces.map((p) => [p['loadBalancingPerSecond'], p['environments']])).toEqual([
      [100, 2],
      [100, 7],
    ]);
    const wrong = (more: Readonly<Record<string, number>>) => () =>
      parseConfig('f.json', JSON.stringify({ ...example(), quotas: more }));
    expect(wrong({ describes: 60 })).toThrow(/describes/);
    expect(wrong({ environments: 2.5 })).toThrow(/quotas\.environments is 2\.5: give a whole number/);
    expect(() => exampleStack(newApp(), { ...exampleConfig(), quotas: { environments: 19 } })).toThrow(
      /quotas\.environments is 19: give a number from 2 to 18/,
    );
  });

  it('declares a PostgreSQL cluster with the defaults of Engine.postgres', () => {
    const [galera] = exampleConfig().clusters;
    if (galera === undefined) throw new Error('the example has no cluster');
    const engine = { kind: 'postgres', durability: 'quorum' } as const;
    const config = { ...exampleConfig(), clusters: [{ ...galera, engine, nodes: 4, archive: undefined }] };
    const [parameter] = resourcesOf(Template.fromStack(exampleStack(newApp(), config)), 'AWS::SSM::Parameter');
    const spec = JSON.parse(String(parameter?.[1].Properties['Value'])) as { readonly engine: unknown };
    expect(spec.engine).toEqual({
      kind: 'postgres',
      port: 5432,
      durability: 'quorum',
      maxLagBytes: 16 * 1024 * 1024,
      slots: 'physical',
      replicationUser: 'rejoin_replication',
    });
  });

  it('stores every property of a PostgreSQL engine as it is written', () => {
    const [galera] = exampleConfig().clusters;
    if (galera === undefined) throw new Error('the example has no cluster');
    const engine: ClusterConfig['engine'] = {
      kind: 'postgres',
      port: 5433,
      tls: 'required',
      durability: 'quorum',
      acknowledgements: 1,
      maxLagBytes: 0,
      slots: 'none',
      replicationUser: 'streams',
    };
    const config = { ...exampleConfig(), clusters: [{ ...galera, engine, nodes: 5, archive: undefined }] };
    const [parameter] = resourcesOf(Template.fromStack(exampleStack(newApp(), config)), 'AWS::SSM::Parameter');
    const spec = JSON.parse(String(parameter?.[1].Properties['Value'])) as { readonly engine: unknown };
    expect(spec.engine).toEqual(engine);
  });

  it.each([
    [
      'without durability',
      { kind: 'postgres' },
      /clusters\[0\]\.engine\.durability is missing: give "quorum" or "async"/,
    ],
    ['with a durability of Galera', { kind: 'galera', durability: 'quorum' }, /durability/],
    ['that nobody knows', { kind: 'oracle' }, /clusters\[0\]\.engine\.kind is "oracle": /],
  ])('is refused with an engine %s', (_what, engine, message) => {
    const clusters = (example()['clusters'] as object[]).map((c) => ({ ...c, engine }));
    expect(() => parseConfig('f.json', JSON.stringify({ ...example(), clusters }))).toThrow(message);
  });

  it('has each of its properties in docs/deploy.md', () => {
    const guide = readFileSync(join(ROOT, 'docs', 'deploy.md'), 'utf8');
    const properties = Object.keys(configSchema.shape).filter((name) => name !== '$schema');
    expect(properties.filter((name) => !guide.includes(`\`${name}`))).toEqual([]);
  });
});

describe('bin/rejoin.ts', () => {
  it('says what is missing and how to give it, without a configuration', () => {
    const { status, stderr } = runApp({});
    expect(status).toBe(1);
    expect(stderr).toMatch(/context value "config" must name a JSON file.*npx cdk deploy -c config=rejoin\.json/);
  });

  it('names a file that is not there', () => {
    const { status, stderr } = runApp({ config: 'nowhere.json' });
    expect(status).toBe(1);
    expect(stderr).toMatch(/config is "nowhere\.json": there is no file .*nowhere\.json/);
  });

  it('names what is wrong in a cluster', () => {
    const file = join(temporary('config'), 'rejoin.json');
    const config = example() as { clusters: Record<string, unknown>[] };
    writeFileSync(file, JSON.stringify({ ...config, clusters: config.clusters.map((c) => ({ ...c, nodes: 4 })) }));
    const { status, stderr } = runApp({ config: file });
    expect(status).toBe(1);
    // Without bundles the app stops earlier, and says so.
    expect(stderr).toMatch(/cluster "orders": nodes is 4: use an odd number|no bundle at .*npm run bundle/);
  });
});
