/** What a platform engineer writes about one cluster: constructs and durations, turned into the stored specification by `draft.ts`. */
import { Duration } from 'aws-cdk-lib';
import type { ISubnet, ILaunchTemplate } from 'aws-cdk-lib/aws-ec2';
import type { ITargetGroup } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import type { IRole } from 'aws-cdk-lib/aws-iam';
import type { IHostedZone } from 'aws-cdk-lib/aws-route53';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import { Policy, type DatabaseTls } from '../../lambdas/model/spec.ts';

export { Policy };
export type { DatabaseTls };

export interface GaleraDeclaration {
  readonly kind: 'galera';
  readonly port: number;
  readonly tls?: DatabaseTls;
}

export interface PostgresDeclaration {
  readonly kind: 'postgres';
  readonly port: number;
  readonly tls?: DatabaseTls;
  readonly durability: 'quorum' | 'async';
  readonly acknowledgements?: number;
  readonly maxLagBytes: number;
  readonly slots: 'physical' | 'none';
  readonly replicationUser: string;
}

export type EngineDeclaration = GaleraDeclaration | PostgresDeclaration;

export interface PostgresOptions {
  /** Where clients, replicas and probes connect; 5432 unless given. */
  readonly port?: number;
  /** How the plane connects, as for `galera`. */
  readonly tls?: DatabaseTls;
  /**
   * `quorum`: a commit is acknowledged when `acknowledgements` replicas have it on disk too, and none is lost with the
   * primary. `async`: when the primary has it; what no replica had received is lost with it.
   */
  readonly durability: 'quorum' | 'async';
  /** Half of the nodes, rounded down, unless given; at most two fewer than nodes. With `quorum` only. */
  readonly acknowledgements?: number;
  /**
   * The most WAL, in bytes, that a candidate may lack where it cannot be proven that it lacks nothing, and from which on a
   * replica takes no reads; 16 MiB unless given.
   */
  readonly maxLagBytes?: number;
  /** `physical` unless given: the plane keeps a replication slot for each replica. `none`: `wal_keep_size` has to do. */
  readonly slots?: 'physical' | 'none';
  /** The user that replicas stream as; `rejoin_replication` unless given. Its password lies on the hosts only. */
  readonly replicationUser?: string;
}

export const Engine = {
  /**
   * MariaDB Galera. `port`: where clients and probes connect, 3306 unless given. `tls`: how probes do, `off` unless given;
   * `required` verifies the nodes' certificates by the public roots, `{ ca }` by your own CA (PEM).
   */
  galera: (options: { readonly port?: number; readonly tls?: DatabaseTls } = {}): GaleraDeclaration => ({
    kind: 'galera',
    port: options.port ?? 3306,
    ...(options.tls !== undefined && { tls: options.tls }),
  }),

  /** PostgreSQL: one primary, the others streaming replicas of it. */
  postgres: (options: PostgresOptions): PostgresDeclaration => ({
    kind: 'postgres',
    port: options.port ?? 5432,
    ...(options.tls !== undefined && { tls: options.tls }),
    durability: options.durability,
    ...(options.acknowledgements !== undefined && { acknowledgements: options.acknowledgements }),
    maxLagBytes: options.maxLagBytes ?? 16 * 1024 * 1024,
    slots: options.slots ?? 'physical',
    replicationUser: options.replicationUser ?? 'rejoin_replication',
  }),
} as const;

export interface TargetGroupDeclaration {
  readonly kind: 'targetGroup';
  readonly targetGroup: ITargetGroup;
  readonly route: 'writer' | 'healthy';
  readonly drain: Duration;
}

export interface DnsDeclaration {
  readonly kind: 'dns';
  readonly zone: IHostedZone;
  readonly recordName: string;
  readonly route: 'writer';
  readonly ttl: Duration;
}

export type EndpointDeclaration = TargetGroupDeclaration | DnsDeclaration;

export interface TargetGroupOptions {
  /** `writer`: one node at a time. `healthy`: every node that may serve. */
  readonly route: 'writer' | 'healthy';
  /** How long connections on a node that is drained on purpose may go on; 30 s unless given, an hour at most. */
  readonly drain?: Duration;
}

export interface DnsOptions {
  readonly route: 'writer';
  /** 5 s unless given, from 1 to 300 s. */
  readonly ttl?: Duration;
}

export const Endpoint = {
  /**
   * Targets by instance id, in a target group that Rejoin may change. It must carry the tag `rejoin:cluster`, which is set
   * here when the group belongs to this app; an imported one must be tagged by its owner.
   */
  targetGroup: (targetGroup: ITargetGroup, options: TargetGroupOptions): TargetGroupDeclaration => ({
    kind: 'targetGroup',
    targetGroup,
    route: options.route,
    drain: options.drain ?? Duration.seconds(30),
  }),
  /** An A record for the writer. `recordName` is relative to the zone (`orders`), or fully qualified with a trailing dot. */
  dns: (zone: IHostedZone, recordName: string, options: DnsOptions): DnsDeclaration => ({
    kind: 'dns',
    zone,
    recordName,
    route: options.route,
    ttl: options.ttl ?? Duration.seconds(5),
  }),
} as const;

/** Continuous archiving and restore to a moment (docs/archive.md). */
export interface ArchiveDeclaration {
  /**
   * The most that lies between an acknowledged write and its being in S3, from 2 s to an hour. Below a minute a function
   * streams all the time; from a minute on it comes once a minute and drains.
   */
  readonly rpo: Duration;
  /** Each moment of so long can be restored: whole days, from 1 to 3650. */
  readonly retention: Duration;
  /** Between two base backups, from a minute to 31 days: the shorter, the less log a restore replays. */
  readonly baseBackupEvery: Duration;
  /** Between two rehearsed restores to a throw-away node; none unless given. */
  readonly drillEvery?: Duration;
}

export interface ManageProps {
  readonly engine: EngineDeclaration;
  /** Galera: 3, 5, 7 or 9. PostgreSQL: 3 to 9, or 2 with durability `async`. */
  readonly nodes: number;
  readonly launchTemplate: ILaunchTemplate;
  /** `$Default` unless given: a fleet follows the version that its owner promoted. */
  readonly launchTemplateVersion?: string;
  /** Where nodes may be launched; at least three zones, if the loss of one is to be survived. */
  readonly subnets: readonly ISubnet[];
  /** JSON `{ "username": …, "password": … }` of the plane's user on the nodes (docs/hosts.md). */
  readonly credentials: ISecret;
  readonly endpoints: readonly EndpointDeclaration[];
  /** `Policy.HEAL` unless given. */
  readonly policy?: Policy;
  /** The block device with the database's files; `/dev/sdf` unless given. */
  readonly dataDevice?: string;
  /** How long a running instance must have been lost to its peers before it is replaced; 15 s unless given. */
  readonly deadAfter?: Duration;
  /** After a failed workflow, how long until the same node is tried again without a person; 30 min unless given. */
  readonly retryAfter?: Duration;
  /** Role of the launch template's instance profile, which the replacement passes on; found by itself in a `LaunchTemplate` of this app. */
  readonly instanceRole?: IRole;
  /** None unless given: then keep the backups that you have. */
  readonly archive?: ArchiveDeclaration;
}
