/** In-memory fakes of every port over one shared state. The same contract tests as for the AWS adapters hold for them. */
import type { PostgresAdmin } from '../../lambdas/cloud/ports.ts';
import { FakeAdmin } from './admin.ts';
import { FakeBucket, FakeLeases } from './archive.ts';
import { FakeAws } from './aws.ts';
import { FakeHostCommands, FakeNotifications, FakeProber, FakeSecrets, FakeSpecs } from './hosts.ts';
import { FakeInstances, FakeVolumes } from './instances.ts';
import { FakeLedger } from './ledger.ts';
import { FakeDnsZones, FakeTargetGroups } from './routing.ts';
import { FakeLog, FakeMetrics } from './telemetry.ts';
import { FakeReconcileRequests, FakeWorkflows } from './workflows.ts';

export * from './admin.ts';
export * from './archive.ts';
export * from './aws.ts';
export * from './clock.ts';
export * from './fixtures.ts';
export * from './hosts.ts';
export * from './instances.ts';
export * from './ledger.ts';
export * from './routing.ts';
export * from './telemetry.ts';
export * from './workflows.ts';

/** Every port at once, over one state. */
export function fakeCloud(aws: FakeAws = new FakeAws()) {
  const admin: PostgresAdmin = new FakeAdmin(aws);
  return {
    aws,
    clock: aws.clock,
    specs: new FakeSpecs(aws),
    instances: new FakeInstances(aws),
    volumes: new FakeVolumes(aws),
    targetGroups: new FakeTargetGroups(aws),
    dns: new FakeDnsZones(aws),
    ledger: new FakeLedger(aws),
    workflows: new FakeWorkflows(aws),
    requests: new FakeReconcileRequests(aws),
    hosts: new FakeHostCommands(aws),
    secrets: new FakeSecrets(aws),
    prober: new FakeProber(aws),
    admin,
    bucket: new FakeBucket(aws),
    leases: new FakeLeases(aws),
    notifications: new FakeNotifications(aws),
    log: new FakeLog(),
    metrics: new FakeMetrics(),
  };
}

export type FakeCloud = ReturnType<typeof fakeCloud>;
