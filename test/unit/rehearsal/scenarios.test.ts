import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { answersOn } from '../../../rehearsal/answers.ts';
import { createKills } from '../../../rehearsal/cloud/kills.ts';
import type { Cloud } from '../../../rehearsal/cloud/cloud.ts';
import { engineFor, ENGINES } from '../../../rehearsal/engines/index.ts';
import { variantOf } from '../../../rehearsal/options.ts';
import { isFor, scenarioNamed, scenarios } from '../../../rehearsal/scenarios/index.ts';
import { limitsFor } from '../../../rehearsal/scenarios/scenario.ts';
import { begin } from '../../../rehearsal/variants.ts';

describe('scenarios', () => {
  it('have names of their own, and are each for an engine', () => {
    expect(new Set(scenarios.map((s) => s.name)).size).toBe(scenarios.length);
    for (const s of scenarios) expect(ENGINES.some((e) => isFor(s, e))).toBe(true);
  });

  it('are refused for an engine that they are not for, naming those that they are for', () => {
    expect(() => limitsFor(scenarioNamed('partition-primary'), 'galera', true)).toThrow(
      'the scenario partition-primary is not for galera; it is for postgres',
    );
  });

  it.each(['terminate-writer', 'hang-writer', 'crash-writer'])(
    '%s promises writes within five seconds with PostgreSQL',
    (name) => expect(limitsFor(scenarioNamed(name), 'postgres', true).writeOutageMs).toBe(5000),
  );

  it('promise no times while events are lost or functions killed, and launch as many instances', () => {
    for (const s of scenarios) {
      const limits = limitsFor(s, 'postgres', true);
      const disturbed = limitsFor(s, 'postgres', false);
      expect(disturbed).toEqual({
        writeOutageMs: null,
        writeErrors: null,
        signalToRoutedMs: null,
        launches: limits.launches,
      });
    }
  });

  it('may let nothing be lost but what the engine declares', () => {
    expect(engineFor('postgres', { durability: 'quorum' }).declaredLossBytes).toBeNull();
    expect(engineFor('postgres', { durability: 'async', maxLagBytes: 5 }).declaredLossBytes).toBe(5);
    expect(scenarios.filter((s) => s.lossIsAccepted === true).map((s) => s.name)).toEqual(['lagging-replica']);
  });
});

describe('a variant', () => {
  const cloud = () => {
    const modes: string[] = [];
    const kills = createKills();
    return { modes, kills, cloud: { kills, events: { setMode: (m: string) => modes.push(m) } } as unknown as Cloud };
  };

  it.each([
    ['normal', []],
    ['lost', ['drop']],
    ['doubled', ['double']],
  ] as const)('with events %s', (events, modes) => {
    const world = cloud();
    begin(world.cloud, { events, kills: false });
    expect(world.modes).toEqual(modes);
    expect(world.kills.arm('rejoin-failover', { step: 'Fence' }).nextCall()).toBeNull();
  });

  it('with kills strikes every step, and reconcile and watch', () => {
    const { kills, cloud: world } = cloud();
    begin(world, { events: 'normal', kills: true });
    for (const [name, payload] of [
      ['rejoin-failover', { step: 'Fence' }],
      ['rejoin-switchover', { step: 'StopOld' }],
      ['rejoin-rolling', { step: 'Next' }],
      ['rejoin-reconcile', {}],
      ['rejoin-watch', {}],
    ] as const) {
      const armed = kills.arm(name, payload);
      expect(armed.nextCall() ?? armed.atEnd(), name).toBeTruthy();
    }
  });

  it('is named in the report', () => {
    expect(variantOf({ events: 'normal', kills: false })).toBe('normal');
    expect(variantOf({ events: 'lost', kills: true })).toBe('events lost, kills');
  });
});

it('what scripts answered on a host is the last line of each, where it is an object', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'answers-'));
  try {
    for (const [command, text] of [
      ['one', 'words\n{"rewound":true}\n'],
      ['two', 'it failed\n'],
    ] as const) {
      await mkdir(join(dir, 'ssm', command, 'run'), { recursive: true });
      await writeFile(join(dir, 'ssm', command, 'run', 'stdout'), text);
    }
    expect(await answersOn(dir)).toEqual([{ rewound: true }]);
  } finally {
    await rm(dir, { recursive: true });
  }
});
