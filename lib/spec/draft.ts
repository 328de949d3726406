/** From a declaration to the stored specification's shape. Values may still be CDK tokens; `check.ts` judges them. */
import { Duration, Token } from 'aws-cdk-lib';
import type { IHostedZone } from 'aws-cdk-lib/aws-route53';
import type { ClusterSpec } from '../../lambdas/model/spec.ts';
import type { EndpointDeclaration, ManageProps } from './declaration.ts';

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

/** The specification as declared, defaults filled in, nothing judged. */
export function draftSpec(name: string, props: ManageProps): ClusterSpec {
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
  };
}
