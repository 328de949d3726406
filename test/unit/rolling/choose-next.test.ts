/** Whose turn it is, as a table. */
import { describe, expect, it } from 'vitest';
import type { EngineKind } from '../../../lambdas/model/spec.ts';
import { INCIDENT_TAG, TEMPLATE_VERSION_TAG } from '../../../lambdas/model/spec.ts';
import type { Instance } from '../../../lambdas/model/view.ts';
import { chooseNext } from '../../../lambdas/rolling/choose-next.ts';

const instance = (id: string, tags: Readonly<Record<string, string>>): Instance => ({
  id,
  state: 'running',
  zone: 'eu-west-1a',
  subnetId: null,
  privateIp: null,
  launchedAtMs: 0,
  tags,
  volumes: [],
});

const by = (id: string, version: string, more: Readonly<Record<string, string>> = {}): Instance =>
  instance(id, { [TEMPLATE_VERSION_TAG]: version, 'aws:ec2launchtemplate:id': 'lt-1', ...more });

describe('chooseNext', () => {
  const table: readonly [string, EngineKind, readonly Instance[], string][] = [
    ['nobody when all run it', 'galera', [by('w', '7'), by('b', '7')], 'done'],
    ['a replica before the writer', 'galera', [by('w', '6'), by('x', '6')], 'roll x'],
    ['the first by id among replicas', 'postgres', [by('w', '6'), by('y', '6'), by('x', '6')], 'roll x'],
    ['only who is not there yet', 'postgres', [by('w', '6'), by('x', '7'), by('y', '6')], 'roll y'],
    ['a node launched by hand too', 'galera', [by('w', '7'), instance('x', {})], 'roll x'],
    [
      'one of another template with the same number',
      'galera',
      [by('x', '7', { 'aws:ec2launchtemplate:id': 'lt-2' })],
      'roll x',
    ],
    ['the writer last, drained by its own turn', 'galera', [by('w', '6'), by('x', '7')], 'roll w'],
    ['the primary last, after the writes have moved', 'postgres', [by('w', '6'), by('x', '7')], 'switchover w'],
    [
      'nobody twice, though the version has changed on the way',
      'galera',
      [by('x', '6', { [INCIDENT_TAG]: 'r1' })],
      'done',
    ],
  ];
  it.each(table)('%s (%s)', (_, engine, instances, expected) => {
    const act = chooseNext({ engine, instances, writer: 'w', templateId: 'lt-1', version: '7', incident: 'r1' });
    expect(act.kind === 'done' ? 'done' : `${act.kind} ${act.node}`).toBe(expected);
  });
});
