/** From a declaration to the stored specification's shape. Values may still be CDK tokens; `check.ts` judges them. */
import { Aws, Duration, Token } from 'aws-cdk-lib';
import type { IHostedZone } from 'aws-cdk-lib/aws-route53';
import type { ClusterSpec } from '../../lambdas/model/spec.ts';
import type { ArchiveDeclaration, EndpointDeclaration, ManageProps } from './declaration.ts';

/** Fractions are kept, so that 1.5 s is stored as declared. */
const seconds = (duration: Duration): number => duration.toSeconds({ integral: false });

/** As `RecordSet` does it: a name with a trailing dot is complete, any other is relative to the zone. */
function qualified(zone: IHostedZone, recordName: string): string {
  if (recordName.endsWith('.')) return recordName;
  const zoneName = zone.zoneName.replace(/\.$/, '');
  if (!Token.isUnresolved(zoneName) && (recordName === zoneName || recordName.endsWith(`.${zoneName}`)))
    return `${recordName}.`;
  return `${recordName}.${zoneName}.`;
}

/** Route 53 answers ids as `/hostedzone/Z…`; the bare id is what the API takes everywhere. */
const bareZoneId = (zone: IHostedZone): string => zone.hostedZoneId.replace(/^\/hostedzone\//, '');

function endpoint(declared: EndpointDeclaration): ClusterSpec['endpoints'][number] {
  switch (declared.kind) {
    case 'targetGroup':
      return {
        kind: 'targetGroup',
        arn: declared.targetGroup.targetGroupArn,
        route: declared.route,
        drainSeconds: seconds(declared.drain),
      };
    case 'dns':
      return {
        kind: 'dns',
        zoneId: bareZoneId(declared.zone),
        name: qualified(declared.zone, declared.recordName),
        route: declared.route,
        ttlSeconds: seconds(declared.ttl),
      };
  }
}

/**
 * The plane's bucket, known by name, so that a cluster in another stack needs nothing of the plane's. A bucket's name is
 * one of all accounts', hence account and Region in it.
 */
export const archiveBucketName = (prefix: string): string => `${prefix}-archive-${Aws.ACCOUNT_ID}-${Aws.REGION}`;

/** Fractions are kept, for `check.ts` to refuse: half a day of retention is not what is stored as 0. */
const archive = (declared: ArchiveDeclaration, prefix: string): NonNullable<ClusterSpec['archive']> => ({
  bucket: archiveBucketName(prefix),
  rpoSeconds: seconds(declared.rpo),
  retentionDays: declared.retention.toDays({ integral: false }),
  baseBackupSeconds: seconds(declared.baseBackupEvery),
  ...(declared.drillEvery && { drillSeconds: seconds(declared.drillEvery) }),
});

/** The specification as declared, defaults filled in, nothing judged. `prefix` is that of the plane's names. */
export function draftSpec(name: string, props: ManageProps, prefix: string): ClusterSpec {
  return {
    version: 1,
    name,
    engine: props.engine,
    nodes: props.nodes,
    launchTemplate: {
      id: props.launchTemplate.launchTemplateId ?? '',
      version: props.launchTemplateVersion ?? '$Default',
    },
    subnets: props.subnets.map((subnet) => ({ id: subnet.subnetId, zone: subnet.availabilityZone })),
    credentialsSecretArn: props.credentials.secretFullArn ?? props.credentials.secretArn,
    endpoints: props.endpoints.map(endpoint),
    policy: props.policy ?? 'HEAL',
    dataDevice: props.dataDevice ?? '/dev/sdf',
    timing: {
      deadAfterSeconds: seconds(props.deadAfter ?? Duration.seconds(15)),
      retryAfterSeconds: seconds(props.retryAfter ?? Duration.minutes(30)),
    },
    ...(props.archive && { archive: archive(props.archive, prefix) }),
  };
}
