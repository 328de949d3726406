/** The file that the app is configured with, `cdk deploy -c config=rejoin.json`. Described in docs/deploy.md. */
import * as z from 'zod/mini';
import { databaseTlsSchema } from '../lambdas/model/spec.ts';

const text = (pattern: RegExp, mend: string): z.ZodMiniString => z.string().check(z.regex(pattern, mend));
const id = (prefix: string): z.ZodMiniString =>
  text(new RegExp(`^${prefix}-[0-9a-f]{8,17}$`), `give an id such as ${prefix}-0123456789abcdef0`);
const arn = (service: string, what: string): z.ZodMiniString =>
  text(new RegExp(`^arn:[a-z-]+:${service}:`), `give the ARN of ${what}, arn:aws:${service}:…`);
const roleArn = text(/^arn:[a-z-]+:iam::\d{12}:role\/.+$/, 'give the ARN of a role, arn:aws:iam::ACCOUNT:role/NAME');

const subnet = z.strictObject({
  id: id('subnet'),
  zone: z.string(),
  /** Only needed with `vpcEndpoints`. */
  routeTableId: z.optional(id('rtb')),
});

const endpoint = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('targetGroup'),
    arn: arn('elasticloadbalancing', 'a target group'),
    route: z.enum(['writer', 'healthy']),
    drainSeconds: z.optional(z.number()),
  }),
  z.strictObject({
    kind: z.literal('dns'),
    zoneId: z.string(),
    zoneName: z.string(),
    /** Relative to the zone, or fully qualified with a trailing dot. */
    name: z.string(),
    route: z.literal('writer'),
    ttlSeconds: z.optional(z.number()),
  }),
]);

const engine = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('galera'),
    port: z.exactOptional(z.number()),
    tls: z.exactOptional(databaseTlsSchema),
  }),
  z.strictObject({
    kind: z.literal('postgres'),
    port: z.exactOptional(z.number()),
    tls: z.exactOptional(databaseTlsSchema),
    durability: z.enum(['quorum', 'async'], 'give "quorum" or "async"'),
    acknowledgements: z.exactOptional(z.number()),
    maxLagBytes: z.exactOptional(z.number()),
    slots: z.exactOptional(z.enum(['physical', 'none'], 'give "physical" or "none"')),
    replicationUser: z.exactOptional(z.string()),
  }),
]);

const cluster = z.strictObject({
  name: z.string(),
  engine,
  nodes: z.number(),
  launchTemplate: z.strictObject({ id: id('lt'), version: z.optional(z.string()) }),
  /** Unless given, those of `vpc`. */
  subnets: z.optional(z.array(subnet).check(z.minLength(1, 'give at least one subnet, or leave it out'))),
  credentialsSecretArn: arn('secretsmanager', 'a secret'),
  endpoints: z.array(endpoint),
  policy: z.optional(z.enum(['OBSERVE', 'ROUTE', 'HEAL'])),
  dataDevice: z.optional(z.string()),
  deadAfterSeconds: z.optional(z.number()),
  retryAfterSeconds: z.optional(z.number()),
  /** Of the launch template's instance profile; unless given, any of `instanceRoleArns`. */
  instanceRoleArn: z.optional(roleArn),
  archive: z.optional(
    z.strictObject({
      rpoSeconds: z.number(),
      retentionDays: z.number(),
      baseBackupSeconds: z.number(),
      drillSeconds: z.exactOptional(z.number()),
    }),
  ),
});

/** As `AwsQuotas` of the construct, which says what each takes. */
const quotas = z.strictObject({
  describesPerSecond: z.exactOptional(z.number()),
  registrationsPerSecond: z.exactOptional(z.number()),
  loadBalancingPerSecond: z.exactOptional(z.number()),
  instancesPerSecond: z.exactOptional(z.number()),
  environments: z.exactOptional(z.number().check(z.int('give a whole number'))),
});

export const configSchema = z.strictObject({
  /** For an editor. */
  $schema: z.optional(z.string()),
  /** `Rejoin` unless given. */
  stackName: z.optional(
    text(/^[A-Za-z][A-Za-z0-9-]{0,127}$/, 'use letters, digits and hyphens, starting with a letter'),
  ),
  account: z.optional(text(/^\d{12}$/, 'give the 12 digits of an account, in quotes')),
  region: z.optional(text(/^[a-z]{2}(-[a-z]+)+-\d$/, 'give a Region, such as eu-west-1')),
  vpc: z.strictObject({
    id: id('vpc'),
    /** Private subnets for the functions, and for nodes of clusters that name none. */
    subnets: z.array(subnet).check(z.minLength(1, 'give at least one private subnet')),
  }),
  databaseSecurityGroupId: z.optional(id('sg')),
  databasePorts: z.optional(z.array(z.number())),
  notifyTopicArn: z.optional(arn('sns', 'a topic')),
  /** Of that topic, when it is encrypted with a key of your own. */
  notifyTopicKeyArn: z.optional(arn('kms', 'a key')),
  instanceRoleArns: z.optional(z.array(roleArn)),
  volumeKeyArns: z.optional(z.array(arn('kms', 'a key'))),
  vpcEndpoints: z.optional(z.boolean()),
  probeIntervalMs: z.optional(
    z.number().check(z.gte(200, 'give from 200 to 60000 ms'), z.lte(60_000, 'give from 200 to 60000 ms')),
  ),
  sweepSeconds: z.optional(
    z.number().check(z.gte(10, 'give from 10 to 3600 seconds'), z.lte(3600, 'give from 10 to 3600 seconds')),
  ),
  /** What the account may ask of AWS, where that is not what a new one may. */
  quotas: z.optional(quotas),
  logRetentionDays: z.optional(z.number()),
  /** Object Lock of what is in the archive's bucket; 35 unless given, 0: none. */
  archiveLockDays: z.optional(
    z
      .number()
      .check(
        z.int('give whole days'),
        z.gte(0, 'give from 0 to 36500 days'),
        z.lte(36_500, 'give from 0 to 36500 days'),
      ),
  ),
  /** Ledger, key and logs go with the stack; only for a plane that is thrown away. */
  destroyWithStack: z.optional(z.boolean()),
  runbook: z.optional(z.string()),
  logLevel: z.optional(z.enum(['DEBUG', 'INFO', 'WARN', 'ERROR'])),
  clusters: z.array(cluster),
});

export type RejoinConfig = z.infer<typeof configSchema>;
export type ClusterConfig = RejoinConfig['clusters'][number];
export type SubnetConfig = RejoinConfig['vpc']['subnets'][number];

const at = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((v, key) => (v as Record<PropertyKey, unknown> | null | undefined)?.[key], value);

const written = (path: readonly PropertyKey[]): string =>
  path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
    .replace(/^\./, '') || 'the file';

/**
 * Reads the configuration's text. `source` names it in errors.
 * Throws one Error with a line for every problem: property, value received, mend.
 */
export function parseConfig(source: string, content: string): RejoinConfig {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (error) {
    throw new Error(`${source} is not JSON (${(error as Error).message}); compare docs/example.rejoin.json`, {
      cause: error,
    });
  }
  const parsed = configSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map(
    (issue) =>
      `${source}: ${written(issue.path)} is ${JSON.stringify(at(value, issue.path)) ?? 'missing'}: ${issue.message}`,
  );
  throw new Error(lines.join('\n'));
}
