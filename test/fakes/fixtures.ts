/** A cluster as most tests want it: three nodes in three zones, one writer group, one reader group, one DNS record. */
import type { GaleraStatus } from '../../lambdas/model/galera.ts';
import { EMPTY_LEDGER } from '../../lambdas/model/ledger.ts';
import type { ClusterSpec } from '../../lambdas/model/spec.ts';
import { TEMPLATE_VERSION_TAG } from '../../lambdas/model/spec.ts';
import { dataVolumeOf } from '../../lambdas/model/view.ts';
import type { Instance, Probe } from '../../lambdas/model/view.ts';
import type { FakeAws } from './aws.ts';

const arn = (name: string): string =>
  `arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/${name}/0123456789abcdef`;

export const WRITER_GROUP = arn('orders-writer');
export const READER_GROUP = arn('orders-readers');
export const ZONE_ID = 'Z0123456789ABCDEFGHIJ';
export const RECORD_NAME = 'orders.db.example.internal.';
export const STATE_UUID = '6a7c1b1e-1f64-11f0-9c3a-000000000001';

/** A valid specification; `overrides` replaces whole properties. */
export const aSpec = (overrides: Partial<ClusterSpec> = {}): ClusterSpec => ({
  version: 1,
  name: 'orders',
  engine: { kind: 'galera', port: 3306 },
  nodes: 3,
  launchTemplate: { id: 'lt-0123456789abcdef0', version: '$Default' },
  subnets: ['a', 'b', 'c'].map((z, i) => ({ id: `subnet-0000000000000000${i}`, zone: `eu-west-1${z}` })),
  credentialsSecretArn: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:orders-AbCdEf',
  endpoints: [
    { kind: 'targetGroup', arn: WRITER_GROUP, route: 'writer', drainSeconds: 10 },
    { kind: 'targetGroup', arn: READER_GROUP, route: 'healthy', drainSeconds: 10 },
    { kind: 'dns', zoneId: ZONE_ID, name: RECORD_NAME, route: 'writer', ttlSeconds: 5 },
  ],
  policy: 'HEAL',
  dataDevice: '/dev/sdf',
  timing: { deadAfterSeconds: 10, retryAfterSeconds: 900 },
  ...overrides,
});

/** What a Synced node of a healthy three-node cluster says. */
export const aStatus = (overrides: Partial<GaleraStatus> = {}): GaleraStatus => ({
  engine: 'galera',
  ready: true,
  state: 'Synced',
  component: 'Primary',
  clusterSize: 3,
  viewId: 3,
  stateUuid: STATE_UUID,
  seqno: 1000,
  members: ['10.0.0.4', '10.0.0.5', '10.0.0.6'],
  nodeName: 'node',
  readOnly: false,
  ...overrides,
});

export const answered = (status: GaleraStatus, atMs = 0): Probe => ({ kind: 'answered', atMs, tookMs: 3, status });

/**
 * A healthy cluster in the fake AWS: its instances run and answer as Synced, the first is the writer, targets are
 * healthy and the DNS record is ours. Answers the instances.
 */
export function healthyCluster(aws: FakeAws, spec: ClusterSpec = aSpec()): readonly Instance[] {
  aws.addCluster(spec);
  const instances = Array.from({ length: spec.nodes }, (_, i) => {
    const subnet = spec.subnets[i % spec.subnets.length];
    return aws.addInstance({
      cluster: spec.name,
      zone: subnet?.zone ?? 'eu-west-1a',
      subnetId: subnet?.id ?? null,
      tags: { [TEMPLATE_VERSION_TAG]: '1' },
      volumes: [{ volumeId: aws.nextId('vol'), device: spec.dataDevice, deleteOnTermination: false }],
    });
  });
  const members = instances.flatMap((i) => i.privateIp ?? []);
  for (const i of instances) {
    const status = aStatus({ nodeName: i.id, members, clusterSize: instances.length });
    aws.probes.set(i.id, (atMs) => answered(status, atMs));
  }
  const writer = instances[0];
  for (const endpoint of spec.endpoints) {
    if (endpoint.kind === 'targetGroup') {
      const group = aws.addTargetGroup(endpoint.arn);
      group.drainSeconds = endpoint.drainSeconds;
      group.endsConnections = true;
      const targets = endpoint.route === 'writer' ? instances.slice(0, 1) : instances;
      for (const i of targets) aws.setTarget(endpoint.arn, i.id, spec.engine.port, 'healthy');
    } else {
      aws
        .addZone(endpoint.zoneId)
        .set(endpoint.name, { values: members.slice(0, 1), ttlSeconds: endpoint.ttlSeconds, owner: spec.name });
    }
  }
  aws.ledgers.set(spec.name, {
    ...EMPTY_LEDGER,
    epoch: 1,
    writer: writer?.id ?? null,
    writerVolume: writer === undefined ? null : dataVolumeOf(writer, spec.dataDevice),
  });
  return instances;
}
