/** Lambda `failover`: one step of the state machine `failover`. */
import { recoveryAdapters } from '../cloud/recovery-adapters.ts';
import { runStep } from '../recovery/step.ts';
import type { StepEvent } from '../recovery/step.ts';
import { failover } from './steps.ts';

const ports = recoveryAdapters();

export const handler = (event: StepEvent) => runStep(failover, event, ports);
