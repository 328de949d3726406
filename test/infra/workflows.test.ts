/** The definitions are valid Amazon States Language, and fit the functions that run their steps. */
import aslValidator from 'asl-validator';
import { describe, expect, it } from 'vitest';
import { backingUp } from '../../lambdas/backup/steps.ts';
import { bootstrapping } from '../../lambdas/bootstrap/steps.ts';
import { failover } from '../../lambdas/failover/steps.ts';
import { RECOVERY_ERRORS } from '../../lambdas/model/recovery.ts';
import { replacement } from '../../lambdas/replace/steps.ts';
import { drilling } from '../../lambdas/restore/drill.ts';
import { restoring } from '../../lambdas/restore/steps.ts';
import { rollingOver } from '../../lambdas/rolling/steps.ts';
import { switchover } from '../../lambdas/switchover/steps.ts';
import type { Definition, State, Task } from '../../lib/workflows/asl.ts';
import { TRANSIENT } from '../../lib/workflows/asl.ts';
import { backupDefinition } from '../../lib/workflows/backup.ts';
import { bootstrapDefinition } from '../../lib/workflows/bootstrap.ts';
import { drillDefinition } from '../../lib/workflows/drill.ts';
import { failoverDefinition } from '../../lib/workflows/failover.ts';
import { replaceDefinition } from '../../lib/workflows/replace.ts';
import { restoreDefinition } from '../../lib/workflows/restore.ts';
import { rollingDefinition } from '../../lib/workflows/rolling.ts';
import { switchoverDefinition } from '../../lib/workflows/switchover.ts';
import { FakeAws, FakeWorkflows, fakeCloud } from '../fakes/index.ts';

const args = { functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:steps' };

const archive = { ...fakeCloud(), bucketName: 'archive' };

const tasks = (d: Definition): readonly (readonly [string, Task])[] =>
  Object.entries(d.States).flatMap(([name, s]) => (s.Type === 'Task' ? [[name, s] as const] : []));

function targets(state: State): readonly string[] {
  switch (state.Type) {
    case 'Task':
      return [state.Next, ...state.Catch.map((c) => c.Next)];
    case 'Choice':
      return [state.Default, ...state.Choices.map((c) => c.Next)];
    case 'Wait':
      return [state.Next];
    case 'Succeed':
    case 'Fail':
      return [];
  }
}

describe.each([
  ['replace', replaceDefinition(args), replacement.steps],
  ['bootstrap', bootstrapDefinition(args), bootstrapping.steps],
  ['failover', failoverDefinition(args), failover.steps],
  ['switchover', switchoverDefinition(args), switchover.steps],
  ['rolling', rollingDefinition(args), rollingOver(new FakeWorkflows(new FakeAws())).steps],
  ['backup', backupDefinition(args), backingUp(archive).steps],
  ['restore', restoreDefinition(args), restoring(archive).steps],
  ['drill', drillDefinition(args), drilling(archive).steps],
] as const)('%s', (_, definition, steps) => {
  it('is valid for asl-validator', () => {
    const result = aslValidator(definition);
    expect(result.errors.map((e) => JSON.stringify(e))).toEqual([]);
  });

  it('has a function for every step and a step for every function', () => {
    expect(
      tasks(definition)
        .map(([name]) => name)
        .toSorted(),
    ).toEqual(Object.keys(steps).toSorted());
    for (const [name, t] of tasks(definition)) expect((t.Parameters.Payload as { step: string }).step).toBe(name);
  });

  it('leads only to states that exist, and reaches every one', () => {
    const reached = new Set([definition.StartAt]);
    for (const name of reached) {
      const state = definition.States[name];
      if (state === undefined) throw new Error(`${name} does not exist`);
      for (const next of targets(state)) reached.add(next);
    }
    expect([...reached].toSorted()).toEqual(Object.keys(definition.States).toSorted());
  });

  it('gives every step a timeout, retries of what passes by itself, and a way out', () => {
    for (const [name, t] of tasks(definition)) {
      expect(t.TimeoutSeconds, name).toBeGreaterThan(0);
      const retried = t.Retry.flatMap((r) => (r.MaxAttempts > 0 ? r.ErrorEquals : []));
      expect(retried.includes('States.ALL') ? TRANSIENT : retried, name).toEqual(TRANSIENT);
      expect(t.Catch.at(-1)?.ErrorEquals, name).toEqual(['States.ALL']);
      expect(
        t.Catch.every((c) => c.ResultPath === '$.error'),
        name,
      ).toBe(true);
    }
  });

  it('retries no error that a step means, and catches only errors that exist', () => {
    for (const [name, t] of tasks(definition)) {
      for (const caught of t.Catch.flatMap((c) => c.ErrorEquals)) {
        // GivesWay never ends a workflow badly, so nobody has to look it up.
        expect([...RECOVERY_ERRORS, 'GivesWay', 'States.ALL'], name).toContain(caught);
      }
    }
    expect(TRANSIENT.filter((e) => (RECOVERY_ERRORS as readonly string[]).includes(e))).toEqual([]);
  });

  it('ends as a whole some day', () => {
    expect(definition.TimeoutSeconds).toBeLessThanOrEqual(24 * 3600);
  });
});
