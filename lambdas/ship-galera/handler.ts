/** Lambda `ship-galera`: ships one MariaDB cluster's log. Started each minute by the cluster's rule, and by itself. */
import type { Context } from 'aws-lambda';
import { galeraShipEngine } from '../archive/ship/galera/engine.ts';
import { parseShipEvent } from '../archive/ship/request.ts';
import { ship } from '../archive/ship/run.ts';
import { shipAdapters } from '../cloud/ship-adapters.ts';

const ports = shipAdapters();
const engine = galeraShipEngine(ports);

export const handler = (event: unknown, context: Context): Promise<string> => {
  const deadlineMs = ports.clock.nowMs() + context.getRemainingTimeInMillis();
  return ship({ ...parseShipEvent(event), holder: context.awsRequestId, deadlineMs }, ports, engine);
};
