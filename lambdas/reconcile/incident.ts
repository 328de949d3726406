/** Names of incidents and executions. Deterministic, so that a doubled trigger finds what is there already. */
import type { RecoveryMode } from '../model/ledger.ts';
import type { ClusterView } from '../model/view.ts';

/** Step Functions, StartExecution, `name`: 1 to 80 characters. */
const MAX_EXECUTION_NAME = 80;

/** `orders-i-0abc…-e7`; `orders-cluster-e7` when it is not about one node. */
export const incidentId = (view: Pick<ClusterView, 'spec' | 'ledger'>, node: string | null): string =>
  `${view.spec.name}-${node ?? 'cluster'}-e${view.ledger.epoch}`;

/**
 * `<cluster>-<node>-e<epoch>-<mode>-<attempt>`, with the epoch at which the incident was opened: for the node that the
 * incident is named for, `<incident>-<mode>-<attempt>`. Two nodes lost in one incident get two names. Throws when it would be longer than Step Functions allows, which the limits on cluster
 * names and instance ids exclude for epochs below a billion.
 */
export function executionName(
  cluster: string,
  node: string | null,
  incident: string,
  mode: RecoveryMode,
  attempt: number,
): string {
  const epoch = /-e(\d+)$/.exec(incident)?.[1] ?? '0';
  const name = `${cluster}-${node ?? 'cluster'}-e${epoch}-${mode}-${attempt}`;
  if (name.length > MAX_EXECUTION_NAME) {
    throw new RangeError(
      `execution name ${JSON.stringify(name)} has ${name.length} characters, Step Functions takes ${MAX_EXECUTION_NAME}: give the cluster a shorter name`,
    );
  }
  return name;
}
