/** What belongs to clusters and not to the plane: each function gets its part of it, and no more. */
import type { IRole } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { IConstruct } from 'constructs';
import type { ClusterAccess } from '../managed-cluster.ts';
import * as allow from '../permissions.ts';
import type { Archive } from './archive/archive.ts';
import type { PlaneFunction } from './plane-function.ts';

export interface ClusterAccessProps {
  /** Functions that log in to databases. */
  readonly readers: readonly PlaneFunction[];
  /** The function that changes DNS records. */
  readonly router: PlaneFunction;
  /** The functions that launch instances. */
  readonly launchers: readonly PlaneFunction[];
  /** Lets hosts in. */
  readonly archive: Pick<Archive, 'letHosts'>;
  /** Opens the way from the functions to a port of the databases. */
  readonly openPort: (port: number) => void;
}

export class ClusterAccessGrants {
  private readonly scope: IConstruct;
  private readonly props: ClusterAccessProps;
  private readonly granted = new Set<string>();
  private passes = false;
  /** Roles that were given for no cluster: they may be any cluster's. */
  private readonly ofNoCluster = new Set<string>();
  /** Archived clusters whose hosts' role is not known. */
  private readonly withoutRole = new Set<string>();

  constructor(scope: IConstruct, props: ClusterAccessProps) {
    this.scope = scope;
    this.props = props;
  }

  /** Repeated access is granted once. */
  add(access: ClusterAccess): void {
    for (const secret of access.secrets ?? []) this.once(arnOf(secret), () => this.secret(secret));
    for (const zone of access.zones ?? []) {
      this.once(zone.hostedZoneArn, () =>
        this.props.router.role.addToPolicy(allow.changeRecords([zone.hostedZoneArn])),
      );
    }
    for (const port of access.ports ?? []) this.once(`port ${port}`, () => this.props.openPort(port));
    const roles = access.instanceRoles ?? [];
    for (const role of roles) this.once(role.roleArn, () => this.passRole(role));
    this.hosts(access, roles);
  }

  /** A cluster's archive is open to its own hosts' role; where that is not known, to all that were given for no cluster. */
  private hosts({ cluster, archived }: ClusterAccess, roles: readonly IRole[]): void {
    const arns = roles.map((role) => role.roleArn);
    if (cluster === undefined) {
      for (const arn of arns) this.ofNoCluster.add(arn);
      for (const name of this.withoutRole) for (const arn of arns) this.letHosts(name, arn);
    } else if (archived === true) {
      if (arns.length === 0) this.withoutRole.add(cluster);
      for (const arn of arns.length > 0 ? arns : this.ofNoCluster) this.letHosts(cluster, arn);
    }
  }

  private letHosts(cluster: string, roleArn: string): void {
    this.once(`${roleArn} in the archive of ${cluster}`, () => this.props.archive.letHosts(cluster, roleArn));
  }

  encryptVolumes(keys: readonly IKey[]): void {
    if (keys.length === 0) return;
    for (const { role } of this.props.launchers)
      for (const statement of allow.encryptVolumes(keys.map((k) => k.keyArn))) role.addToPolicy(statement);
  }

  private once(what: string, grant: () => void): void {
    if (this.granted.has(what)) return;
    this.granted.add(what);
    grant();
  }

  private secret(secret: ISecret): void {
    for (const { role } of this.props.readers) {
      role.addToPolicy(allow.readSecret(arnOf(secret)));
      if (secret.encryptionKey) role.addToPolicy(allow.decryptSecret(this.scope, secret.encryptionKey.keyArn));
    }
  }

  /** Whether any launch template with an instance profile can be launched from. */
  get passesRoles(): boolean {
    return this.passes;
  }

  private passRole(role: IRole): void {
    this.passes = true;
    for (const launcher of this.props.launchers) launcher.role.addToPolicy(allow.passRoles([role.roleArn]));
  }
}

/** A secret imported without its six random characters is matched with any. */
const arnOf = (secret: ISecret): string => secret.secretFullArn ?? `${secret.secretArn}-??????`;
