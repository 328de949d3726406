/** Runs the switchover workflow in a world. */
import { switchover } from '../../../lambdas/switchover/steps.ts';
import { switchoverDefinition } from '../../../lib/workflows/switchover.ts';
import type { Run } from '../../support/asl.ts';
import type { PostgresWorld } from '../../support/postgres-world.ts';

export const definition = switchoverDefinition({
  functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:switchover',
});

export const EXECUTION = 'arn:aws:states:eu-west-1:123456789012:execution:switchover:by-hand';
export const INCIDENT = 'manual-by-hand';

/** As a person types it in the console. */
export const run = (world: PostgresWorld, input: Readonly<Record<string, unknown>> = {}): Promise<Run> =>
  world.run(definition, switchover, { cluster: 'orders', ...input }, EXECUTION);
