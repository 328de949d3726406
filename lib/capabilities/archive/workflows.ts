/** The archive's workflows: a base backup, a restore, a drill; and what each may do. */
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import type { ArchiveWorkflowName } from '../../names.ts';
import * as archive from '../../permissions-archive.ts';
import * as allow from '../../permissions.ts';
import { backupDefinition } from '../../workflows/backup.ts';
import { drillDefinition } from '../../workflows/drill.ts';
import { restoreDefinition } from '../../workflows/restore.ts';
import type { RecoveryProps } from '../recovery.ts';
import { common, stepEnvironment } from '../recovery.ts';
import { Workflow } from '../workflow.ts';

export interface ArchiveWorkflowsProps extends RecoveryProps {
  readonly bucket: Bucket;
}

export type ArchiveWorkflows = Readonly<Record<ArchiveWorkflowName, Workflow>>;

/** What each runs on hosts. */
const SCRIPTS = {
  backup: ['galera-backup', 'postgres-backup'],
  restore: [
    ...['galera-prepare', 'galera-restore', 'galera-checksum'],
    ...['postgres-prepare', 'postgres-restore', 'postgres-checksum'],
  ],
} as const;

export function archiveWorkflows(scope: Construct, props: ArchiveWorkflowsProps): ArchiveWorkflows {
  const { foundation, network, bucket, documents } = props;
  const shared = {
    ...{ foundation, network },
    environment: { ...stepEnvironment(props), ARCHIVE_BUCKET: bucket.bucketName },
  };
  const statements = (name: keyof typeof SCRIPTS) => [
    ...common(scope, props),
    ...allow.runScripts(scope, documents.arnsOf(SCRIPTS[name])),
    archive.listArchive(bucket),
    archive.readArchive(bucket),
    allow.useKey(scope, foundation.key, ['s3']),
  ];
  const backup = new Workflow(scope, 'Backup', {
    ...shared,
    name: 'backup',
    // The data is the host's to send; the upload is begun and ended here, and the manifest written.
    statements: [...statements('backup'), archive.addToArchive(bucket, 'base', 'manifest')],
    definition: backupDefinition,
  });
  const restore = new Workflow(scope, 'Restore', {
    ...shared,
    name: 'restore',
    statements: [
      ...statements('restore'),
      allow.listSpecs(scope),
      archive.addToArchive(bucket, 'restore'),
      ...allow.launchInstances(scope),
      // What a restore has launched, when it fails, or when it was rehearsed: never one that the platform team started.
      allow.stopOwn(scope),
      allow.giveBackInstances(scope),
      ...[allow.giveBackVolumes(scope), allow.describeVolumes()],
    ],
    definition: restoreDefinition,
  });
  // A rehearsed restore is a restore: what it may do is the same.
  const drill = new Workflow(scope, 'Drill', {
    foundation,
    name: 'drill',
    function: restore.function,
    definition: drillDefinition,
  });
  return { backup, restore, drill };
}
