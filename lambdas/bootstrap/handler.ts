/** Lambda `bootstrap`: one step of the state machine `bootstrap`. */
import { recoveryAdapters } from '../cloud/recovery-adapters.ts';
import { runStep } from '../recovery/step.ts';
import type { StepEvent } from '../recovery/step.ts';
import { bootstrapping } from './steps.ts';

const ports = recoveryAdapters();

export const handler = (event: StepEvent) => runStep(bootstrapping, event, ports);
