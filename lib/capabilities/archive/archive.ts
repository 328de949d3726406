/** Continuous archiving and restore (docs/archive.md): the bucket, what ships into it, what looks after it, and the workflows. */
import type { Duration } from 'aws-cdk-lib';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import * as archive from '../../permissions-archive.ts';
import * as allow from '../../permissions.ts';
import type { Foundation } from '../foundation.ts';
import type { PlaneFunction } from '../plane-function.ts';
import type { RecoveryProps } from '../recovery.ts';
import { archiveBucket, archiveBucketArn } from './bucket.ts';
import { Keeper } from './keeper.ts';
import { Shipper } from './shipper.ts';
import type { ArchiveWorkflows } from './workflows.ts';
import { archiveWorkflows } from './workflows.ts';

export interface ArchiveProps extends RecoveryProps {
  /** Object Lock of each version; none of zero length. */
  readonly lock: Duration;
}

export class Archive extends Construct {
  readonly bucket: Bucket;
  readonly shippers: readonly Shipper[];
  readonly workflows: ArchiveWorkflows;
  /** The only function that may remove something. */
  readonly keeper: Keeper;
  private readonly foundation: Foundation;
  private readonly hosts = new Set<string>();

  constructor(scope: Construct, id: string, props: ArchiveProps) {
    super(scope, id);
    this.foundation = props.foundation;
    this.bucket = archiveBucket(this, props.foundation, props.lock);
    const shared = { ...props, bucket: this.bucket };
    this.shippers = [
      new Shipper(this, 'ShipPostgres', { ...shared, name: 'ship-postgres', folders: ['wal', 'history'] }),
      new Shipper(this, 'ShipGalera', { ...shared, name: 'ship-galera', folders: ['binlog'] }),
    ];
    this.workflows = archiveWorkflows(this, shared);
    this.keeper = new Keeper(this, 'Keeper', { ...shared, workflows: this.workflows });
    for (const { role } of this.writers)
      this.bucket.addToResourcePolicy(archive.removesNothing(this.bucket, role.roleArn));
  }

  /** Functions that log in to databases. */
  get readers(): readonly PlaneFunction[] {
    return [...this.writers, this.keeper.function];
  }

  private get writers(): readonly PlaneFunction[] {
    const { backup, restore } = this.workflows;
    return [...this.shippers, backup, restore].map((part) => part.function);
  }

  /** Lets the replacement plan what a joiner's data are restored from: it reads what is there, and adds the plan. */
  letSeed({ lambda, role }: PlaneFunction): void {
    const { bucket, foundation } = this;
    lambda.addEnvironment('ARCHIVE_BUCKET', bucket.bucketName);
    role.addToPolicy(archive.listArchive(bucket));
    role.addToPolicy(archive.readArchive(bucket));
    role.addToPolicy(archive.addToArchive(bucket, 'restore'));
    role.addToPolicy(allow.useKey(this, foundation.key, ['s3']));
    bucket.addToResourcePolicy(archive.removesNothing(bucket, role.roleArn));
  }

  /** Lets hosts of this role send base backups of the cluster and read its archive. */
  letHosts(cluster: string, roleArn: string): void {
    const { bucket, foundation } = this;
    for (const statement of archive.hostsArchive(bucket, cluster, roleArn)) bucket.addToResourcePolicy(statement);
    if (this.hosts.has(roleArn)) return;
    this.hosts.add(roleArn);
    bucket.addToResourcePolicy(archive.removesNothing(bucket, roleArn));
    archive.hostsKey(this, foundation.key, archiveBucketArn(this, foundation.prefix), roleArn);
  }
}
