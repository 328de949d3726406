/** Lambda `rolling`: one step of the state machine `rolling`, which starts `replace` and `switchover`. */
import { awsWorkflows } from '../cloud/aws-workflows.ts';
import { sfn } from '../cloud/clients.ts';
import { environment } from '../cloud/environment.ts';
import { recoveryAdapters } from '../cloud/recovery-adapters.ts';
import { runStep } from '../recovery/step.ts';
import type { StepEvent } from '../recovery/step.ts';
import { rollingOver } from './steps.ts';

const env = environment('REPLACE_STATE_MACHINE_ARN', 'SWITCHOVER_STATE_MACHINE_ARN');
const workflows = awsWorkflows(sfn, {
  replace: env.REPLACE_STATE_MACHINE_ARN,
  switchover: env.SWITCHOVER_STATE_MACHINE_ARN,
});
const ports = recoveryAdapters();
const rolling = rollingOver(workflows);

export const handler = (event: StepEvent) => runStep(rolling, event, ports);
