/** What a platform team imports. */
export { ControlPlane } from './control-plane.ts';
export type { ControlPlaneProps } from './control-plane.ts';
export { ManagedCluster } from './managed-cluster.ts';
export type { ClusterAccess, ManagedClusterProps } from './managed-cluster.ts';
export { Endpoint, Engine, Policy } from './spec/declaration.ts';
export type {
  ArchiveDeclaration,
  DatabaseTls,
  DnsOptions,
  EndpointDeclaration,
  EngineDeclaration,
  GaleraDeclaration,
  ManageProps,
  PostgresDeclaration,
  PostgresOptions,
  TargetGroupOptions,
} from './spec/declaration.ts';
