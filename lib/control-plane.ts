/**
 * The control plane of one account and Region: what is deployed once, whatever the number of clusters.
 *
 *   const plane = new ControlPlane(this, 'Rejoin', { vpc, notify });
 *   plane.manage('orders', { engine: Engine.galera(), nodes: 3, … });
 *
 * A cluster in another stack declares itself with `new ManagedCluster(…)`; `plane.allow(cluster.access)` lets the plane's
 * functions reach its databases, read its secret, change its zone and pass its instances' role.
 */
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Annotations, Duration, RemovalPolicy } from 'aws-cdk-lib';
import type { ISecurityGroup, IVpc, SubnetSelection } from 'aws-cdk-lib/aws-ec2';
import { SubnetType } from 'aws-cdk-lib/aws-ec2';
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import type { IRole } from 'aws-cdk-lib/aws-iam';
import type { IKey, Key } from 'aws-cdk-lib/aws-kms';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { IHostedZone } from 'aws-cdk-lib/aws-route53';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { acknowledgeFindings } from './acknowledgements.ts';
import { Archive } from './capabilities/archive/archive.ts';
import { ClusterAccessGrants } from './capabilities/cluster-access.ts';
import { planeKey } from './capabilities/encryption.ts';
import type { Foundation } from './capabilities/foundation.ts';
import { HostDocuments } from './capabilities/host-documents.ts';
import { ledgerTable } from './capabilities/ledger.ts';
import { functionSecurityGroup, openDatabasePort, vpcEndpoints } from './capabilities/network.ts';
import { notificationTopic } from './capabilities/notifications.ts';
import { Operate } from './capabilities/operate.ts';
import type { FunctionNetwork } from './capabilities/plane-function.ts';
import { WorkQueue } from './capabilities/queues.ts';
import { RECONCILE_TIMEOUT, Reconcile } from './capabilities/reconcile.ts';
import type { AwsQuotas } from './capabilities/reconcile.ts';
import { endOf, recoveryWorkflows } from './capabilities/recovery.ts';
import type { RecoveryWorkflows } from './capabilities/recovery.ts';
import { SIGNALS_TIMEOUT, Signals } from './capabilities/signals.ts';
import { Watch } from './capabilities/watch.ts';
import type { ClusterAccess } from './managed-cluster.ts';
import { ManagedCluster } from './managed-cluster.ts';
import { DEFAULT_PREFIX, DEFAULT_RUNBOOK, WORKFLOW_NAMES } from './names.ts';
import type { ManageProps } from './spec/declaration.ts';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');

export interface ControlPlaneProps {
  /** Where the databases are. */
  readonly vpc: IVpc;
  /** Where the functions run: private subnets with a way to AWS's APIs. Unless given, the VPC's own of that type. */
  readonly vpcSubnets?: SubnetSelection;
  /** Where people are told. Unless given, an encrypted topic is made (`plane.topic`), to be subscribed to. */
  readonly notify?: ITopic;
  /** The databases' security group: opened to the functions on the ports of the clusters. */
  readonly databaseSecurityGroup?: ISecurityGroup;
  /** Further ports that functions may reach databases on: of clusters declared elsewhere and not given to `allow`. */
  readonly databasePorts?: readonly number[];
  /** How long logs are kept; three months unless given. */
  readonly retention?: RetentionDays;
  /** Roles of the instance profiles in launch templates that `manage` cannot look into. */
  readonly instanceRoles?: readonly IRole[];
  /** Zones of clusters declared elsewhere. */
  readonly zones?: readonly IHostedZone[];
  /** Credentials of clusters declared elsewhere. */
  readonly secrets?: readonly ISecret[];
  /** Keys that the launch templates' volumes are encrypted with, when not EBS's own. */
  readonly volumeKeys?: readonly IKey[];
  /** Makes VPC endpoints for the functions' calls; false unless given. */
  readonly vpcEndpoints?: boolean;
  /** What AWS lets the account ask in a second, where it has been raised. */
  readonly quotas?: AwsQuotas;
  /** Between two probes of a node; 1 s unless given. */
  readonly probeInterval?: Duration;
  /** Between two reconciles of a cluster from which nothing is heard; 3 min unless given. */
  readonly sweep?: Duration;
  /**
   * Object Lock (governance) of each version in the archive's bucket: nobody without a right of its own ends it earlier;
   * 35 days unless given, none with zero. No longer than the clusters' retention, or what the retention lets go stays until it ends.
   */
  readonly archiveLock?: Duration;
  /** Ledger, key and logs when the stack goes: kept unless given. The archive's bucket is always kept. */
  readonly removalPolicy?: RemovalPolicy;
  /** In front of names; `rejoin` unless given. */
  readonly prefix?: string;
  /** Where alarms send the reader; `docs/runbook.md` unless given, better its URL in your own repository. */
  readonly runbook?: string;
  /** Folder of the built bundles; `dist/lambdas` unless given. */
  readonly bundleDir?: string;
  /** DEBUG, INFO, WARN or ERROR; INFO unless given. */
  readonly logLevel?: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR';
}

export class ControlPlane extends Construct {
  readonly topic: ITopic;
  readonly key: Key;
  readonly ledger: Table;
  /** Of the functions that reach databases; allow it in when the databases' group is not given as a property. */
  readonly functionSecurityGroup: ISecurityGroup;
  readonly signals: Signals;
  readonly reconcile: Reconcile;
  readonly watch: Watch;
  readonly workflows: RecoveryWorkflows;
  readonly operate: Operate;
  readonly archive: Archive;
  readonly documents: HostDocuments;
  private readonly grants: ClusterAccessGrants;
  private readonly clusters = new Set<string>();
  private readonly foundation: Foundation;

  constructor(scope: Construct, id: string, props: ControlPlaneProps) {
    super(scope, id);
    const foundation = this.ground(props);
    this.foundation = foundation;
    const { prefix } = foundation;
    this.key = foundation.key;
    this.topic = foundation.topic;
    const network = this.network(props);
    this.functionSecurityGroup = network.securityGroup;
    this.ledger = ledgerTable(this, foundation);
    this.documents = new HostDocuments(this, 'Documents', { prefix, scripts: resolve(ROOT, 'nodes') });

    const signals = new WorkQueue(this, 'SignalsQueue', {
      foundation,
      name: 'signals',
      fifo: false,
      functionTimeout: SIGNALS_TIMEOUT,
    });
    const reconcile = new WorkQueue(this, 'ReconcileQueue', {
      foundation,
      name: 'reconcile',
      fifo: true,
      functionTimeout: RECONCILE_TIMEOUT,
    });
    const shared = { foundation, network, ledger: this.ledger, signals, reconcile };

    this.workflows = recoveryWorkflows(this, { ...shared, documents: this.documents });
    this.signals = new Signals(this, 'Signals', { foundation, signals, reconcile, quotas: props.quotas });
    this.signals.listen('WorkflowState', endOf(this.workflows));
    this.reconcile = new Reconcile(this, 'Reconcile', { ...shared, workflows: this.workflows, quotas: props.quotas });
    this.watch = new Watch(this, 'Watch', {
      ...shared,
      probeInterval: props.probeInterval ?? Duration.seconds(1),
      sweep: props.sweep ?? Duration.minutes(3),
    });
    this.operate = new Operate(this, 'Operate', {
      ...{ foundation, ledger: this.ledger, reconcile, signals, documents: this.documents },
    });
    this.archive = new Archive(this, 'Archive', {
      ...{ ...shared, documents: this.documents },
      lock: props.archiveLock ?? Duration.days(35),
    });
    this.archive.letSeed(this.workflows.replace.function);

    this.grants = this.clusterAccess(props, network);
    this.grants.encryptVolumes(props.volumeKeys ?? []);
    this.allow({
      ...(props.secrets && { secrets: props.secrets }),
      ...(props.zones && { zones: props.zones }),
      ...(props.instanceRoles && { instanceRoles: props.instanceRoles }),
    });
    acknowledgeFindings(this);
  }

  /**
   * Declares a cluster. Throws at synth when the specification is wrong, naming property, value and mend.
   * `name` is also the value of the tag `rejoin:cluster` by which instances belong to it.
   */
  manage(name: string, props: ManageProps): ManagedCluster {
    if (this.clusters.has(name)) {
      throw new Error(
        `cluster ${JSON.stringify(name)} is declared twice: give each cluster of an account and Region its own name`,
      );
    }
    this.clusters.add(name);
    const { prefix, topic, runbook } = this.foundation;
    const cluster = new ManagedCluster(this, `Cluster-${name}`, { ...props, name, plane: { prefix, topic, runbook } });
    this.allow(cluster.access);
    if ((props.policy ?? 'HEAL') === 'HEAL' && !this.grants.passesRoles) {
      Annotations.of(cluster).addWarningV2(
        'rejoin:instance-role',
        `cluster ${JSON.stringify(name)}: the role of the launch template's instance profile is not known: give instanceRole ` +
          'here or instanceRoles to the ControlPlane, or EC2 refuses to launch a replacement for want of iam:PassRole',
      );
    }
    return cluster;
  }

  /** Lets the functions touch what belongs to a cluster that is declared in another stack. */
  allow(access: ClusterAccess): void {
    this.grants.add(access);
  }

  private clusterAccess(props: ControlPlaneProps, { securityGroup }: FunctionNetwork): ClusterAccessGrants {
    const { replace, failover } = this.workflows;
    const steps = WORKFLOW_NAMES.map((name) => this.workflows[name].function);
    const grants = new ClusterAccessGrants(this, {
      readers: [this.reconcile.function, this.watch.function, ...steps, ...this.archive.readers],
      router: this.reconcile.function,
      launchers: [replace.function, failover.function, this.archive.workflows.restore.function],
      archive: this.archive,
      openPort: (port) => openDatabasePort(securityGroup, props.databaseSecurityGroup, port),
    });
    grants.add({ ports: props.databasePorts ?? [] });
    return grants;
  }

  private ground(props: ControlPlaneProps): Foundation {
    const prefix = props.prefix ?? DEFAULT_PREFIX;
    const removalPolicy = props.removalPolicy ?? RemovalPolicy.RETAIN;
    const key = planeKey(this, prefix, removalPolicy);
    return {
      prefix,
      key,
      removalPolicy,
      retention: props.retention ?? RetentionDays.THREE_MONTHS,
      bundleDir: props.bundleDir ?? resolve(ROOT, 'dist', 'lambdas'),
      topic: props.notify ?? notificationTopic(this, prefix, key),
      runbook: props.runbook ?? DEFAULT_RUNBOOK,
      logLevel: props.logLevel ?? 'INFO',
    };
  }

  private network(props: ControlPlaneProps): FunctionNetwork {
    const vpcSubnets = props.vpcSubnets ?? { subnetType: SubnetType.PRIVATE_WITH_EGRESS };
    const securityGroup = functionSecurityGroup(this, props.vpc);
    if (props.vpcEndpoints) vpcEndpoints(this, props.vpc, vpcSubnets, securityGroup);
    return { vpc: props.vpc, vpcSubnets, securityGroup };
  }
}
