/** Lambda `ship-postgres`: ships one PostgreSQL cluster's log. Started each minute by the cluster's rule, and by itself. */
import type { Context } from 'aws-lambda';
import { postgresShipEngine } from '../archive/ship/postgres/engine.ts';
import { parseShipEvent } from '../archive/ship/request.ts';
import { ship } from '../archive/ship/run.ts';
import { shipAdapters } from '../cloud/ship-adapters.ts';
import { postgresAdmin } from '../engines/postgres/admin.ts';
import { postgresProber } from '../engines/postgres/prober.ts';
import { Replication } from '../engines/postgres/replication.ts';

const ports = {
  ...shipAdapters(),
  ...{ prober: postgresProber(), admin: postgresAdmin() },
  replicate: Replication.open.bind(Replication),
};
const engine = postgresShipEngine(ports);

export const handler = (event: unknown, context: Context): Promise<string> => {
  const deadlineMs = ports.clock.nowMs() + context.getRemainingTimeInMillis();
  return ship({ ...parseShipEvent(event), holder: context.awsRequestId, deadlineMs }, ports, engine);
};
