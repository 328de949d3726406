/** The steps of the rolling replacement, by the names that its definition uses. It holds no claim: its children do. */
import type { Workflows } from '../cloud/ports.ts';
import { report, stopAndTell, withdraw } from '../recovery/finish.ts';
import { executionNameOf } from '../recovery/step.ts';
import type { Capability } from '../recovery/step.ts';
import { rollingStateSchema } from './state.ts';
import type { RollingState } from './state.ts';
import { begin } from './steps/begin.ts';
import { awaitChild, startChild } from './steps/child.ts';
import { chooseNode } from './steps/choose-node.ts';

export const rollingOver = (workflows: Workflows): Capability<RollingState> => ({
  who: 'rolling',
  schema: rollingStateSchema,
  /** A person starts it with {"cluster":"orders"}: its execution's name is the incident's. */
  defaults: ({ execution }) => ({
    incident: executionNameOf(execution),
    mode: 'rolling',
    node: null,
    reason: 'a person started it',
  }),
  steps: {
    Begin: begin,
    ChooseNode: chooseNode,
    StartChild: startChild(workflows),
    AwaitChild: awaitChild(workflows),
    Report: report,
    Escalate: stopAndTell,
    Withdraw: withdraw,
  },
});
