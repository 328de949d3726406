/** The model of Galera that the nights are about. */
import { describe, expect, it } from 'vitest';
import { holds, isPartOf } from '../../../simulator/galera/history.ts';
import type { Branch } from '../../../simulator/galera/history.ts';
import { pairOf } from '../../../simulator/pair.ts';
import { World } from '../../../simulator/world.ts';

async function started(): Promise<{ world: World; ids: readonly string[] }> {
  const world = new World(1, 'galera');
  await world.clock.run(world.clock.nowMs() + 3000);
  world.planeOn = false;
  world.functions.off();
  return { world, ids: world.instancesOf().map((i) => i.id) };
}

const pass = (world: World, ms: number): Promise<boolean> => world.clock.run(world.clock.nowMs() + ms);

describe('histories', () => {
  const root: Branch = { id: 0, uuid: 'u', parent: null, forkAt: 0 };
  const fork: Branch = { id: 1, uuid: 'u', parent: root, forkAt: 10 };

  it('a fork holds its parent up to where it began, and nothing after', () => {
    expect(holds(fork, 20, root, 10)).toBe(true);
    expect(holds(fork, 20, root, 11)).toBe(false);
    expect(isPartOf({ branch: fork, seqno: 12 }, { branch: root, seqno: 30 })).toBe(false);
  });
});

describe('quorum', () => {
  it('survives a crash after the suspect timeout, and not a second one at the same time', async () => {
    const { world, ids } = await started();
    const [a = '', b = '', c = ''] = ids;
    world.galera.crash(a);
    expect(world.galera.write(b)).toBe(false);
    await pass(world, 6000);
    expect(world.galera.write(b)).toBe(true);
    world.galera.crash(b);
    await pass(world, 6000);
    expect(world.galera.status(c)?.component).toBe('Non-Primary');
  });

  it('is kept when nodes leave cleanly, one after the other', async () => {
    const { world, ids } = await started();
    const [a = '', b = '', c = ''] = ids;
    world.galera.stop(a);
    world.galera.stop(b);
    await pass(world, 6000);
    expect(world.galera.serves(c)).toBe(true);
  });

  it('comes back when a partition heals', async () => {
    const { world, ids } = await started();
    const [a = ''] = ids;
    world.isolated.add(a);
    await pass(world, 6000);
    expect(world.galera.serves(a)).toBe(false);
    world.isolated.clear();
    await pass(world, 6000);
    expect(world.galera.serves(a)).toBe(true);
  });
});

describe('two nodes that cannot reach each other', () => {
  it('stay together while a third relays between them, and have no quorum without it', async () => {
    const { world, ids } = await started();
    const [a = '', b = '', c = ''] = ids;
    world.cutPairs.add(pairOf(b, a));
    await pass(world, 8000);
    expect(world.galera.write(a)).toBe(true);
    expect(ids.every((id) => world.galera.serves(id))).toBe(true);
    world.galera.crash(c);
    await pass(world, 8000);
    expect(world.galera.write(a)).toBe(false);
    world.cutPairs.clear();
    await pass(world, 8000);
    expect(world.galera.write(a)).toBe(true);
  });

  it('give each other no state transfer', async () => {
    const { world, ids } = await started();
    const [a = '', b = '', c = ''] = ids;
    world.galera.stop(a);
    world.cutPairs.add(pairOf(a, c));
    world.galera.start(a);
    expect(world.galera.admit(a, [b], c)).toBe(true);
    await pass(world, 1000);
    expect(world.galera.isUp(a)).toBe(false);
  });
});

describe('acknowledged writes', () => {
  it('are missed by a component that was bootstrapped from an older position', async () => {
    const { world, ids } = await started();
    const [a = '', b = ''] = ids;
    world.galera.stop(a);
    expect(world.galera.write(b)).toBe(true);
    for (const id of ids) world.galera.crash(id);
    const data = world.galera.bootstrap(a);
    expect(data === null ? null : world.galera.lacks(data)).toContain('history 0');
  });
});
