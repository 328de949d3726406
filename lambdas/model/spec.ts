/**
 * The cluster's specification: what a platform engineer declares in CDK and what every Lambda reads back.
 * One schema serves synth and run time; it is stored as JSON in the SSM parameter `/rejoin/clusters/<name>`.
 */
import * as z from 'zod/mini';
import { declaredNeed } from './quorum.ts';

export const SPEC_PREFIX = '/rejoin/clusters/';

/** Tag that says which cluster an instance, volume or target group belongs to. Rejoin changes nothing without it. */
export const CLUSTER_TAG = 'rejoin:cluster';
/** Tag on what a workflow launched: the incident it was launched for. */
export const INCIDENT_TAG = 'rejoin:incident';
/** Tag on a launched instance: the instance id that it replaces (absent when it fills a gap). */
export const REPLACES_TAG = 'rejoin:replaces';
/** Set by EC2 itself on what is launched from a template: the version's number. */
export const TEMPLATE_VERSION_TAG = 'aws:ec2launchtemplate:version';

/** OBSERVE logs the plan; ROUTE also changes routing; HEAL also starts workflows. */
export const Policy = { OBSERVE: 'OBSERVE', ROUTE: 'ROUTE', HEAL: 'HEAL' } as const;
export type Policy = (typeof Policy)[keyof typeof Policy];

const port = z
  .number()
  .check(z.int(), z.gte(1, 'a TCP port is from 1 to 65535'), z.lte(65_535, 'a TCP port is from 1 to 65535'));

const seconds = (low: number, high: number): z.ZodMiniNumber =>
  z
    .number()
    .check(z.gte(low, `give from ${low} to ${high} seconds`), z.lte(high, `give from ${low} to ${high} seconds`));

/**
 * How probes speak to the database. `off`: in clear, as when left out. `required`: TLS, with a certificate that Node's
 * public roots vouch for. `{ ca }`: TLS, with one that this CA alone vouches for. A node is addressed by its IP address,
 * so its certificate's names are not looked at.
 */
export const databaseTlsSchema = z.union(
  [
    z.enum(['off', 'required']),
    z.strictObject({
      ca: z
        .string()
        .check(
          z.regex(
            /^-{5}BEGIN CERTIFICATE-{5}\s[^]+\s-{5}END CERTIFICATE-{5}\s*$/,
            'give the text of a CA certificate in PEM, with its lines BEGIN CERTIFICATE and END CERTIFICATE',
          ),
        ),
    }),
  ],
  'give "off", "required", or { "ca": … } with the text of a CA certificate in PEM',
);
export type DatabaseTls = z.infer<typeof databaseTlsSchema>;

export const galeraEngineSchema = z.strictObject({
  kind: z.literal('galera'),
  port,
  tls: z.exactOptional(databaseTlsSchema),
});

/** Bytes that fit a JavaScript number. */
const bytes = (low: number): z.ZodMiniNumber =>
  z.number().check(z.int(), z.gte(low, `give at least ${low} bytes`), z.lte(2 ** 50, 'give at most 1 PiB, in bytes'));

/**
 * One primary, the others streaming replicas of it.
 * - `durability: 'quorum'`: a commit is acknowledged when `acknowledgements` standbys have it on disk (half of the nodes,
 *   rounded down, unless said): a majority has every acknowledged commit. `'async'`: when the primary has it.
 * - `maxLagBytes`: the most WAL that a candidate may lack, where it cannot be proven that it lacks nothing; and from which
 *   on a replica takes no reads.
 * - `slots: 'physical'`: the plane keeps one replication slot for each replica. `'none'`: `wal_keep_size` has to do.
 */
export const postgresEngineSchema = z.strictObject({
  kind: z.literal('postgres'),
  port,
  tls: z.exactOptional(databaseTlsSchema),
  durability: z.enum(['quorum', 'async'], 'give "quorum" or "async"'),
  acknowledgements: z.exactOptional(z.number().check(z.int(), z.gte(1, 'give at least 1 acknowledgement'))),
  maxLagBytes: bytes(0),
  slots: z.enum(['physical', 'none'], 'give "physical" or "none"'),
  /** The user that replicas stream as; its password lies on the hosts only. */
  replicationUser: z
    .string()
    .check(z.regex(/^[a-z_][a-z0-9_]{0,62}$/, 'give a role name: up to 63 lower-case letters, digits and underscores')),
});

export const targetGroupEndpointSchema = z.strictObject({
  kind: z.literal('targetGroup'),
  arn: z
    .string()
    .check(
      z.regex(
        /^arn:[a-z-]+:elasticloadbalancing:[a-z0-9-]+:\d{12}:targetgroup\/[^/]+\/[0-9a-zA-Z]+$/,
        'give the ARN of a target group, arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID',
      ),
    ),
  /** `writer`: one node at a time. `healthy`: every node that may serve. */
  route: z.enum(['writer', 'healthy']),
  /** How long connections on a drained node may go on before they are ended (planned changes only). */
  drainSeconds: seconds(0, 3600),
});

export const dnsEndpointSchema = z.strictObject({
  kind: z.literal('dns'),
  zoneId: z.string().check(z.regex(/^[A-Z0-9]{8,32}$/, 'give a hosted zone id, such as Z0123456789ABCDEFGHIJ')),
  /** Fully qualified, with the trailing dot. */
  name: z.string().check(z.regex(/^([a-z0-9_-]+\.)+$/, 'give a fully qualified lower-case name ending in a dot')),
  route: z.literal('writer'),
  ttlSeconds: seconds(1, 300),
});

export const endpointSchema = z.discriminatedUnion('kind', [targetGroupEndpointSchema, dnsEndpointSchema]);

const whole = (low: number, high: number, what: string): z.ZodMiniNumber =>
  z
    .number()
    .check(
      z.int(`give a whole number of ${what}`),
      z.gte(low, `give from ${low} to ${high} ${what}`),
      z.lte(high, `give from ${low} to ${high} ${what}`),
    );

/**
 * Continuous archiving (docs/archive.md).
 * - `rpoSeconds`: the most that lies between an acknowledged write and its being in S3. Below 60 a shipper streams all the
 *   time; from 60 on it comes once a minute, drains and goes.
 * - `retentionDays`: each moment of so many days can be restored. Older log goes.
 * - `baseBackupSeconds`: between two base backups. `drillSeconds`: between two rehearsed restores; none when left out.
 */
export const archiveSchema = z.strictObject({
  bucket: z
    .string()
    .check(z.regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "give the name of the plane's archive bucket")),
  rpoSeconds: whole(2, 3600, 'seconds'),
  retentionDays: whole(1, 3650, 'days'),
  baseBackupSeconds: whole(60, 31 * 86_400, 'seconds'),
  drillSeconds: z.exactOptional(whole(60, 366 * 86_400, 'seconds')),
});
export type ArchiveSpec = z.infer<typeof archiveSchema>;

export const clusterSpecSchema = z.strictObject({
  version: z.literal(1),
  name: z
    .string()
    .check(
      z.regex(
        /^[a-z][a-z0-9-]{0,28}[a-z0-9]$/,
        'use 2 to 30 lower-case letters, digits and hyphens, starting with a letter',
      ),
    ),
  engine: z.discriminatedUnion('kind', [galeraEngineSchema, postgresEngineSchema]),
  /** What each engine takes: `nodesProblem`. */
  nodes: z.number().check(z.int(), z.gte(2, 'a cluster has at least 2 nodes'), z.lte(9, 'use at most 9 nodes')),
  launchTemplate: z.strictObject({
    id: z.string().check(z.regex(/^lt-[0-9a-f]{8,17}$/, 'give a launch template id, lt-0123456789abcdef0')),
    /** `$Default`, `$Latest` or a number. */
    version: z.string().check(z.regex(/^(\$Default|\$Latest|\d+)$/, 'give $Default, $Latest or a version number')),
  }),
  subnets: z
    .array(
      z.strictObject({
        id: z.string().check(z.regex(/^subnet-[0-9a-f]{8,17}$/, 'give a subnet id, subnet-0123456789abcdef0')),
        zone: z
          .string()
          .check(z.regex(/^[a-z]{2}(-[a-z]+)+-\d[a-z]$/, 'give an availability zone, such as eu-west-1a')),
      }),
    )
    .check(z.minLength(1, 'give at least one subnet')),
  credentialsSecretArn: z
    .string()
    .check(
      z.regex(/^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:\d{12}:secret:.+$/, 'give the ARN of a Secrets Manager secret'),
    ),
  endpoints: z.array(endpointSchema).check(z.minLength(1, 'give at least one endpoint')),
  policy: z.enum(['OBSERVE', 'ROUTE', 'HEAL']),
  /** The block device that holds the database's files; re-attached to the replacement when it survives. */
  dataDevice: z.string().check(z.regex(/^\/dev\/[a-z0-9]+$/, 'give a device name, such as /dev/sdf')),
  timing: z.strictObject({
    /** How long a running instance must have been unresponsive, and cast out by its peers, before it is replaced. */
    deadAfterSeconds: seconds(5, 3600),
    /** After a failed workflow, how long until the same node is tried again without a person. */
    retryAfterSeconds: seconds(60, 86_400),
  }),
  archive: z.exactOptional(archiveSchema),
});

export type ClusterSpec = z.infer<typeof clusterSpecSchema>;
export type Endpoint = z.infer<typeof endpointSchema>;
export type TargetGroupEndpoint = z.infer<typeof targetGroupEndpointSchema>;
export type DnsEndpoint = z.infer<typeof dnsEndpointSchema>;
export type GaleraEngine = z.infer<typeof galeraEngineSchema>;
export type PostgresEngine = z.infer<typeof postgresEngineSchema>;
export type EngineKind = ClusterSpec['engine']['kind'];

/** One thing wrong with a specification. `path` is as written in JSON, such as `endpoints[0].ttlSeconds`. */
export interface SpecProblem {
  readonly path: string;
  readonly received: string;
  readonly mend: string;
}

export type SpecResult =
  { readonly ok: true; readonly spec: ClusterSpec } | { readonly ok: false; readonly problems: readonly SpecProblem[] };

const at = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((v, key) => (v as Record<PropertyKey, unknown> | undefined | null)?.[key], value);

const written = (path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (out, key) => (typeof key === 'number' ? `${out}[${key}]` : out === '' ? String(key) : `${out}.${String(key)}`),
    '',
  );

/**
 * Checks an unknown value against the schema and the rules that span properties.
 * Never throws: answers every problem found, each naming the property, the value received and the mend.
 */
export function parseSpec(value: unknown): SpecResult {
  const parsed = clusterSpecSchema.safeParse(value);
  if (!parsed.success) {
    return {
      ok: false,
      problems: parsed.error.issues.map((issue) => ({
        path: written(issue.path),
        received: JSON.stringify(at(value, issue.path)) ?? 'nothing',
        mend: issue.message,
      })),
    };
  }
  const problems = acrossProperties(parsed.data);
  return problems.length > 0 ? { ok: false, problems } : { ok: true, spec: parsed.data };
}

/** Why the engine cannot run on so many nodes; null when it can. */
function nodesProblem({ engine, nodes }: Pick<ClusterSpec, 'engine' | 'nodes'>): string | null {
  switch (engine.kind) {
    case 'galera':
      if (nodes < 3) return 'a Galera cluster that survives the loss of a node has at least 3 nodes';
      return nodes % 2 === 1 ? null : 'use an odd number, so that a split always leaves a majority';
    case 'postgres':
      return engine.durability === 'quorum' && nodes < 3
        ? 'with durability "quorum" use at least 3 nodes: with 2, the loss of one would stop all writes'
        : null;
  }
}

/** Without a base backup within it, nothing of the retention can be restored. */
function archiveProblems({ archive }: ClusterSpec): SpecProblem[] {
  if (archive === undefined) return [];
  const retentionSeconds = archive.retentionDays * 86_400;
  if (archive.baseBackupSeconds <= retentionSeconds) return [];
  return [
    {
      path: 'archive.baseBackupSeconds',
      received: String(archive.baseBackupSeconds),
      mend: `give at most the retention of ${archive.retentionDays} day(s), ${retentionSeconds} seconds`,
    },
  ];
}

function acrossProperties(spec: ClusterSpec): SpecProblem[] {
  const problems = archiveProblems(spec);
  const nodes = nodesProblem(spec);
  if (nodes !== null) problems.push({ path: 'nodes', received: String(spec.nodes), mend: nodes });
  const { engine } = spec;
  if (engine.kind === 'postgres' && engine.acknowledgements !== undefined) {
    const most = spec.nodes - 2;
    if (engine.durability === 'async' || engine.acknowledgements > most) {
      problems.push({
        path: 'engine.acknowledgements',
        received: String(engine.acknowledgements),
        mend:
          engine.durability === 'async'
            ? 'leave it out with durability "async", which waits for nobody'
            : `give at most ${most} with ${spec.nodes} nodes, so that the loss of one replica does not stop all writes`,
      });
    }
  }
  const writers = spec.endpoints.filter((e) => e.kind === 'targetGroup' && e.route === 'writer');
  if (writers.length > 1) {
    problems.push({
      path: 'endpoints',
      received: `${writers.length} target groups with route "writer"`,
      mend: 'give one target group with route "writer", so that one place says who the writer is',
    });
  }
  if (engine.kind === 'postgres' && engine.slots === 'none' && engine.durability === 'quorum') {
    const need = declaredNeed(spec.nodes, engine.acknowledgements);
    if (need > 1) {
      problems.push({
        path: 'engine.slots',
        received: '"none"',
        mend: `use "physical": without slots a replica that reconnects can count twice among ${need} acknowledgements`,
      });
    }
  }
  const seen = new Set<string>();
  spec.endpoints.forEach((endpoint, i) => {
    const key = endpoint.kind === 'targetGroup' ? endpoint.arn : `${endpoint.zoneId} ${endpoint.name}`;
    if (seen.has(key)) {
      problems.push({
        path: `endpoints[${i}]`,
        received: JSON.stringify(key),
        mend: 'name each target group and record once',
      });
    }
    seen.add(key);
  });
  return problems;
}

/** The sentence a person reads when a specification is refused. */
export function describeProblems(cluster: string, problems: readonly SpecProblem[]): string {
  return problems
    .map((p) => `cluster ${JSON.stringify(cluster)}: ${p.path || 'the specification'} is ${p.received}: ${p.mend}`)
    .join('\n');
}
