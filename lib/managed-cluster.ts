/**
 * One cluster's declaration, deployed: the SSM parameter that the functions read, and Rejoin's mark on its target groups.
 * It may live in any stack of the plane's account and Region: adding one redeploys no function.
 */
import { Annotations, Stack, Tags, Token } from 'aws-cdk-lib';
import { LaunchTemplate } from 'aws-cdk-lib/aws-ec2';
import type { IRole } from 'aws-cdk-lib/aws-iam';
import type { IHostedZone } from 'aws-cdk-lib/aws-route53';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { ParameterTier, StringParameter } from 'aws-cdk-lib/aws-ssm';
import { CfnTargetGroup } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { Construct } from 'constructs';
import type { ClusterSpec } from '../lambdas/model/spec.ts';
import { CLUSTER_TAG, SPEC_PREFIX } from '../lambdas/model/spec.ts';
import { ClusterArchive } from './capabilities/archive/cluster.ts';
import { DEFAULT_PREFIX, DEFAULT_RUNBOOK } from './names.ts';
import { checkSpec } from './spec/check.ts';
import type { ArchiveDeclaration, ManageProps } from './spec/declaration.ts';
import { draftSpec } from './spec/draft.ts';

/** A standard SSM parameter holds 4 KB; tokens resolve to longer text than their marks, hence the margin. */
const STANDARD_TIER_CHARACTERS = 3000;

/** The plane as a cluster in another stack names it: nothing of it has to be imported. */
export interface PlaneOfCluster {
  /** As `ControlPlaneProps.prefix`; `rejoin` unless given. */
  readonly prefix?: string;
  /** Where the archive's alarms go; none are made without. */
  readonly topic?: ITopic;
  /** As `ControlPlaneProps.runbook`. */
  readonly runbook?: string;
}

export interface ManagedClusterProps extends ManageProps {
  /** 2 to 30 lower-case letters, digits and hyphens. Instances belong to the cluster by the tag `rejoin:cluster` with this value. */
  readonly name: string;
  readonly plane?: PlaneOfCluster;
}

/** What the plane must be allowed to touch for a cluster: hand it to `ControlPlane.allow` when the cluster is in another stack. */
export interface ClusterAccess {
  readonly secrets?: readonly ISecret[];
  readonly zones?: readonly IHostedZone[];
  readonly instanceRoles?: readonly IRole[];
  /** That its databases listen on. */
  readonly ports?: readonly number[];
  /** Whose all this is; left out where it may be any cluster's. */
  readonly cluster?: string;
  /** Its hosts send base backups to the archive and read what is in it. */
  readonly archived?: boolean;
}

export class ManagedCluster extends Construct {
  readonly name: string;
  readonly access: ClusterAccess;
  readonly parameter: StringParameter;

  /** Throws at synth for a wrong specification: one line a problem, naming property, value and mend. */
  constructor(scope: Construct, id: string, props: ManagedClusterProps) {
    super(scope, id);
    const prefix = props.plane?.prefix ?? DEFAULT_PREFIX;
    const draft = draftSpec(props.name, props, prefix);
    checkSpec(this, draft);
    this.name = props.name;
    const text = Stack.of(this).toJsonString(draft);
    this.parameter = new StringParameter(this, 'Spec', {
      parameterName: `${SPEC_PREFIX}${props.name}`,
      description: `Rejoin: specification of the database cluster ${props.name}`,
      stringValue: text,
      tier: JSON.stringify(draft).length > STANDARD_TIER_CHARACTERS ? ParameterTier.ADVANCED : ParameterTier.STANDARD,
    });
    this.mark(props);
    this.warn(draft);
    if (props.archive) this.archive(props, props.archive, prefix);
    const role = instanceRoleOf(props);
    this.access = {
      secrets: [props.credentials],
      zones: props.endpoints.flatMap((e) => (e.kind === 'dns' ? [e.zone] : [])),
      instanceRoles: role ? [role] : [],
      ports: [props.engine.port],
      cluster: props.name,
      archived: props.archive !== undefined,
    };
  }

  private archive({ name, engine, plane }: ManagedClusterProps, { rpo }: ArchiveDeclaration, prefix: string): void {
    const topic = plane?.topic;
    const alarms = topic === undefined ? null : { prefix, topic, runbook: plane?.runbook ?? DEFAULT_RUNBOOK };
    new ClusterArchive(this, 'Archive', { cluster: name, engine: engine.kind, rpo, prefix, alarms });
    if (alarms !== null) return;
    Annotations.of(this).addWarningV2(
      'rejoin:archive-alarms',
      `cluster ${JSON.stringify(name)}: nobody is told when its archive lags or has a hole: give plane.topic`,
    );
  }

  /** Tags the target groups that this app creates; an imported one is its owner's to tag. */
  private mark(props: ManagedClusterProps): void {
    for (const endpoint of props.endpoints) {
      if (endpoint.kind !== 'targetGroup') continue;
      if (endpoint.targetGroup.node.defaultChild instanceof CfnTargetGroup) {
        Tags.of(endpoint.targetGroup).add(CLUSTER_TAG, props.name);
      }
    }
  }

  private warn(draft: ClusterSpec): void {
    const zones = new Set(draft.subnets.map((s) => s.zone));
    if (![...zones].some((zone) => Token.isUnresolved(zone)) && zones.size < 3) {
      Annotations.of(this).addWarningV2(
        'rejoin:zones',
        `cluster "${draft.name}": subnets are in ${zones.size} zone(s) (${[...zones].join(', ')}): ` +
          'the loss of one can cost the quorum; give subnets in three zones',
      );
    }
  }
}

function instanceRoleOf(props: ManageProps): IRole | undefined {
  return props.instanceRole ?? (props.launchTemplate instanceof LaunchTemplate ? props.launchTemplate.role : undefined);
}
