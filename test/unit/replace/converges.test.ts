/** The replacement workflow, by running its definition against its steps and an AWS in memory. */
import { describe, expect, it } from 'vitest';
import type { RecoveryInput } from '../../../lambdas/model/recovery.ts';
import type { Instance } from '../../../lambdas/model/view.ts';
import { READER_GROUP } from '../../fakes/index.ts';
import type { Kill } from '../../support/recovery-world.ts';
import { World, failed } from '../../support/recovery-world.ts';
import { INCIDENT, run } from './run.ts';

/** What must be true after any recovery that went well. */
function expectWhole(world: World): void {
  expect(world.serving()).toHaveLength(3);
  expect(world.ledger().claim).toBeNull();
  expect(world.ledger().escalation).toBeNull();
  const live = [...world.aws.instances.values()].filter((i) => i.state === 'running' || i.state === 'pending');
  expect(live.map((i) => i.id)).toEqual(expect.arrayContaining([...world.serving()]));
  expect(live).toHaveLength(3);
  const loose = [...world.aws.volumes.values()].filter((v) => v.attachedTo === null);
  expect(loose).toEqual([]);
  for (const id of world.serving()) {
    expect(world.aws.targetGroups.get(READER_GROUP)?.targets.get(`${id}:3306`)?.state).toBe('healthy');
  }
}

const scenarios: Readonly<
  Record<string, (world: World) => { mode: RecoveryInput['mode']; node: Instance | null; launches: number }>
> = {
  'a crashed database is started again in place': (world) => {
    world.dies(world.node(2).id);
    return { mode: 'rejoin', node: world.node(2), launches: 0 };
  },
  'a rejoin that fails becomes a replacement': (world) => {
    world.dies(world.node(2).id);
    world.fails = (document, id) =>
      document === 'galera-join' && id === world.node(2).id ? failed('disk is broken') : null;
    return { mode: 'rejoin', node: world.node(2), launches: 1 };
  },
  'a terminated node is replaced, its volume survives': (world) => {
    world.terminates(world.node(2).id);
    return { mode: 'replace', node: world.node(2), launches: 1 };
  },
  'a hung node is stopped, then replaced with its volume': (world) => {
    world.dies(world.node(2).id, 'silent');
    return { mode: 'replace', node: world.node(2), launches: 1 };
  },
  'a join from the surviving volume fails, a peer seeds it': (world) => {
    world.terminates(world.node(2).id);
    let first = true;
    world.fails = (document) => {
      if (document !== 'galera-join' || !first) return null;
      first = false;
      return failed('the data is corrupt');
    };
    return { mode: 'replace', node: world.node(2), launches: 1 };
  },
  'a missing node is added': (world) => {
    world.aws.instances.delete(world.node(2).id);
    for (const v of world.node(2).volumes) world.aws.volumes.delete(v.volumeId);
    return { mode: 'add', node: null, launches: 1 };
  },
};

describe('the replacement workflow brings the cluster back', () => {
  it.each(Object.entries(scenarios))('%s', async (_, arrange) => {
    const world = new World();
    const { mode, node, launches } = arrange(world);
    const ended = await run(world, mode, node);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(ended.visited.at(-1)).toBe('Done');
    expectWhole(world);
    expect(world.launched()).toHaveLength(launches);
    expect(world.aws.published).toHaveLength(1);
  });
});

describe('a Lambda killed before or after any call of any step', () => {
  it.each(Object.entries(scenarios))(
    '%s all the same, launches nothing twice and leaves nothing behind',
    async (_, arrange) => {
      const whole = new World();
      const { mode, node } = arrange(whole);
      await run(whole, mode, node);
      const total = whole.calls;
      expect(total).toBeGreaterThan(20);
      for (let call = 1; call <= total; call += 1) {
        for (const moment of ['before', 'after'] as const) await survives(arrange, { call, moment });
      }
    },
    120_000,
  );

  async function survives(arrange: (typeof scenarios)[string], kill: Kill): Promise<void> {
    const world = new World();
    const { mode, node, launches } = arrange(world);
    world.killAt(kill);
    const ended = await run(world, mode, node);
    const where = `${JSON.stringify(kill)}: ${JSON.stringify(ended.errors)}`;
    expect(ended.errors[0]?.name, where).toBeOneOf(['Runtime.ExitError', 'JoinFailed']);
    expect(ended.status, where).toBe('SUCCEEDED');
    expect(world.launched(), where).toHaveLength(launches);
    expectWhole(world);
  }
});

describe('a Lambda killed before or after any call while the workflow gives up', () => {
  const arrange = (): World => {
    const world = new World();
    world.terminates(world.node(2).id);
    world.fails = (document) => (document === 'galera-join' ? failed('cannot join') : null);
    return world;
  };

  it('gives up all the same: told, counted once, nothing of it left running, the claim let go', async () => {
    const whole = arrange();
    await run(whole, 'replace', whole.node(2));
    for (let call = 1; call <= whole.calls; call += 1) {
      for (const moment of ['before', 'after'] as const) {
        const world = arrange();
        world.killAt({ call, moment });
        const ended = await run(world, 'replace', world.node(2));
        const where = `${call} ${moment}: ${JSON.stringify(ended.errors)}`;
        expect(
          ended.errors.some((e) => e.name === 'Runtime.ExitError'),
          where,
        ).toBe(true);
        expect(ended.status, where).toBe('FAILED');
        expect(
          world.launched().map((i) => i.state),
          where,
        ).toEqual([expect.stringMatching(/shutting-down|terminated/)]);
        expect(world.ledger(), where).toMatchObject({ claim: null, escalation: { attempts: 1, incident: INCIDENT } });
        expect(world.aws.published.length, where).toBeGreaterThan(0);
      }
    }
  }, 120_000);
});
