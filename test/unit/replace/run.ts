/** Runs the replacement workflow in a world. */
import type { RecoveryInput } from '../../../lambdas/model/recovery.ts';
import type { Instance } from '../../../lambdas/model/view.ts';
import { replacement } from '../../../lambdas/replace/steps.ts';
import { replaceDefinition } from '../../../lib/workflows/replace.ts';
import type { Run } from '../../support/asl.ts';
import type { World } from '../../support/recovery-world.ts';

export const definition = replaceDefinition({
  functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:replace',
});
export const INCIDENT = 'orders-lost-e1';

export const run = (world: World, mode: RecoveryInput['mode'], node: Instance | null): Promise<Run> =>
  runInput(world, { cluster: 'orders', incident: INCIDENT, mode, node: node?.id ?? null, reason: 'the node is lost' });

export const runInput = (world: World, input: unknown): Promise<Run> =>
  world.run(definition, replacement, input as RecoveryInput);
