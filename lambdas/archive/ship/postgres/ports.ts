/** The outside world as PostgreSQL's shipper needs it. */
import type { DbCredentials, DbTarget, PostgresAdmin, Prober } from '../../../cloud/ports.ts';
import type { ReplicationSession } from '../../../engines/postgres/replication.ts';
import type { ShipPorts } from '../ports.ts';

export interface PostgresShipPorts extends ShipPorts {
  readonly prober: Prober;
  readonly admin: PostgresAdmin;
  /** Opens a session of replication under that name. */
  replicate(target: DbTarget, credentials: DbCredentials, name: string): Promise<ReplicationSession>;
}
