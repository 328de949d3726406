/** The steps of the drill, by the names that its definition uses: a restore to a throw-away node, compared with a live one. */
import { executionNameOf } from '../recovery/step.ts';
import type { Capability } from '../recovery/step.ts';
import { drillName } from '../model/archive/target.ts';
import { cleanUp, compare, escalate, report } from './drill/finish.ts';
import { awaitArchived, expectation } from './drill/expect.ts';
import type { RestorePorts } from './ports.ts';
import { drillStateSchema } from './state.ts';
import type { DrillState } from './state.ts';
import { awaitRunning, launch, prepare } from './steps/launch.ts';
import { plan } from './steps/plan.ts';
import { restore, verify } from './steps/restore.ts';

export const drilling = (archive: RestorePorts): Capability<DrillState> => ({
  who: 'drill',
  schema: drillStateSchema,
  /** `archive` or a person starts it with {"cluster":"orders"}. */
  defaults: ({ execution, started, state }) => ({
    incident: executionNameOf(execution),
    node: null,
    reason: 'a rehearsed restore',
    as: drillName(clusterIn(state), Date.parse(started)),
  }),
  steps: {
    Expect: expectation(archive),
    AwaitArchived: awaitArchived(archive),
    Plan: plan(archive),
    Launch: launch(archive),
    AwaitRunning: awaitRunning(),
    Prepare: prepare(),
    Restore: restore(archive),
    Verify: verify(),
    Compare: compare,
    CleanUp: cleanUp,
    Report: report,
    Escalate: escalate,
    Withdraw: cleanUp,
  },
});

const clusterIn = (state: unknown): string =>
  typeof state === 'object' && state !== null && 'cluster' in state && typeof state.cluster === 'string'
    ? state.cluster
    : '';
