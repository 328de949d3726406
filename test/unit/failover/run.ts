/** Runs the failover workflow in a world. */
import { failover } from '../../../lambdas/failover/steps.ts';
import { failoverDefinition } from '../../../lib/workflows/failover.ts';
import type { Run } from '../../support/asl.ts';
import type { PostgresWorld } from '../../support/postgres-world.ts';

export const definition = failoverDefinition({
  functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:failover',
});
export const INCIDENT = 'orders-lost-e1';

export const run = (
  world: PostgresWorld,
  more: Readonly<Record<string, unknown>> = {},
  execution?: string,
): Promise<Run> =>
  world.run(
    definition,
    failover,
    {
      cluster: 'orders',
      incident: INCIDENT,
      mode: 'failover',
      node: world.id(0),
      reason: 'the primary is lost',
      ...more,
    },
    execution,
  );
