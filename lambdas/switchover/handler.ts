/** Lambda `switchover`: one step of the state machine `switchover`. */
import { recoveryAdapters } from '../cloud/recovery-adapters.ts';
import { runStep } from '../recovery/step.ts';
import type { StepEvent } from '../recovery/step.ts';
import { switchover } from './steps.ts';

const ports = recoveryAdapters();

export const handler = (event: StepEvent) => runStep(switchover, event, ports);
