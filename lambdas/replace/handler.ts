/** Lambda `replace`: one step of the state machine `replace`. */
import { recoveryAdapters } from '../cloud/recovery-adapters.ts';
import { runStep } from '../recovery/step.ts';
import type { StepEvent } from '../recovery/step.ts';
import { replacement } from './steps.ts';

const ports = recoveryAdapters();

export const handler = (event: StepEvent) => runStep(replacement, event, ports);
