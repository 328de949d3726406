/** A replacement whose data come from the archive, and all that sends it to a peer instead. */
import { describe, expect, it } from 'vitest';
import { keyOf } from '../../../lambdas/model/archive/keys.ts';
import { slotOf } from '../../../lambdas/model/postgres.ts';
import { INCIDENT_TAG } from '../../../lambdas/model/spec.ts';
import { failed } from '../../support/recovery-world.ts';
import type { Kill } from '../../support/recovery-world.ts';
import { INCIDENT, SYSTEM, SeedWorld } from '../../support/seed-world.ts';

/** All three serve, on the primary's history, and nothing is left over. */
function expectWhole(world: SeedWorld, where = ''): void {
  const { claim, escalation, writer } = world.ledger();
  expect({ claim, escalation }, where).toEqual({ claim: null, escalation: null });
  const live = [...world.aws.instances.values()].filter((i) => i.state === 'running').map((i) => i.id);
  expect(live, where).toHaveLength(3);
  expect([...world.serving()].sort(), where).toEqual(live.sort());
  expect(world.launched(), where).toHaveLength(1);
  expect(world.pg.primaries(), where).toEqual([writer]);
  expect(world.pg.problems(writer), where).toEqual([]);
}

const lines = (world: SeedWorld): string => world.record(INCIDENT).join('\n');

describe('a replica whose volume is lost', () => {
  it('gets its data from the archive: no peer gives a copy', async () => {
    const world = new SeedWorld();
    world.losesAll(world.node(2));
    const ended = await world.replace(world.node(2));
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(ended.errors).toEqual([]);
    expectWhole(world);
    expect(world.pg.copies).toEqual([]);
    const [joiner] = world.launched();
    const [restore] = world.started('postgres-restore');
    expect(restore?.[0]).toBe(joiner?.id);
    expect(restore?.[2]).toEqual({
      Bucket: 'rejoin-archive',
      Plan: expect.stringMatching(/^orders\/restore\/orders-1\/plan-[0-9a-f]{12}$/) as string,
      Finish: 'standby',
    });
    expect(lines(world)).toMatch(
      new RegExp(
        `${joiner?.id} has its data from the archive: the base backup b1 of .* and 2 objects of log up to 1/0/`,
      ),
    );
    expect(world.aws.published[0]?.body).toContain('has its data from the archive');
  });

  it('has its slot on the primary before anybody looks how far the archive reaches', async () => {
    const world = new SeedWorld();
    world.losesAll(world.node(2));
    let slotAtLook: boolean | null = null;
    world.onCall = ({ operation }) => {
      const [joiner] = world.launched();
      if (!operation.startsWith('ArchiveBucket.') || slotAtLook !== null || joiner === undefined) return;
      slotAtLook = world.pg.server(world.node(0).id).disk?.slots.has(slotOf(joiner.id)) ?? false;
    };
    await world.replace(world.node(2));
    expect(slotAtLook).toBe(true);
  });

  it('waits until the archive has what the primary keeps no more', async () => {
    const world = new SeedWorld();
    world.losesAll(world.node(2));
    for (let i = 0; i < 5; i += 1) world.pg.write();
    let shipped = false;
    world.onCall = ({ operation }) => {
      if (operation !== 'ArchiveBucket.list' || shipped || world.aws.callsOf(operation).length < 12) return;
      shipped = true;
      const old = [...world.aws.objects.keys()].filter((k) => k.includes('/wal/') && k.includes('3000000-'));
      for (const key of old) world.aws.objects.delete(key);
      world.archives();
    };
    const ended = await world.replace(world.node(2));
    expect(ended.errors).toEqual([]);
    expectWhole(world);
    expect(world.pg.copies).toEqual([]);
    expect(shipped).toBe(true);
  });

  it('is asked after until the restore ends', async () => {
    const world = new SeedWorld();
    world.losesAll(world.node(2));
    world.pg.restoreMs = 5 * 60_000;
    const ended = await world.replace(world.node(2));
    expect(ended.errors).toEqual([]);
    expectWhole(world);
    expect(new Set(world.started('postgres-restore').map((c) => JSON.stringify(c))).size).toBe(1);
    expect(world.pg.copies).toEqual([]);
  });

  it('is tried on the archive when its surviving volume cannot be used', async () => {
    const world = new SeedWorld();
    world.terminates(world.node(2).id);
    world.fails = (document, _, { Source }) =>
      document === 'postgres-prepare' && Source === 'volume' ? failed('no whole data directory') : null;
    const ended = await world.replace(world.node(2));
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expectWhole(world);
    expect(world.pg.copies).toEqual([]);
    expect(lines(world)).toContain('anew from the archive');
  });
});

/** Each is on the incident's record, and a peer gives the data. */
const unfit: Readonly<Record<string, { readonly arrange: (world: SeedWorld) => void; readonly why: RegExp }>> = {
  'the archive is empty': {
    arrange: (w) => w.aws.objects.clear(),
    why: /it has nothing of the database 7300000000000000001/,
  },
  'its base backup has lost its data': {
    arrange: (w) => w.aws.objects.delete(keyOf(w.place, { kind: 'base', id: 'b1' })),
    why: /can be restored: the base backup b1 has a manifest and no data/,
  },
  'its manifest is not one': {
    arrange: (w) => {
      for (const key of w.aws.objects.keys()) if (key.includes('/manifest/')) w.aws.objects.set(key, Buffer.from('{'));
    },
    why: /the manifest .* cannot be read/,
  },
  'its log has a hole': {
    arrange: (w) => {
      for (const key of [...w.aws.objects.keys()]) if (key.includes('3000000-')) w.aws.objects.delete(key);
      w.archives('0/3000080');
      for (const key of [...w.aws.objects.keys()]) if (key.includes('2000000-')) w.aws.objects.delete(key);
    },
    why: /the base backup b1 needs log from/,
  },
  'the shipper is so far behind that the log between is not kept': {
    arrange: (w) => {
      for (const key of [...w.aws.objects.keys()]) if (key.includes('3000000-')) w.aws.objects.delete(key);
      w.archives('0/3000010');
    },
    why: /its log ends at 1\/0\/3000010, and the primary keeps its log for it from 1\/0\/30000C0 on/,
  },
  'it is of another database': {
    arrange: (w) => {
      w.aws.objects.clear();
      w.archives('0/3000100', { cluster: 'orders', history: '7300000000000000002' });
    },
    why: /it has nothing of the database 7300000000000000001/,
  },
  'S3 is away': {
    arrange: (w) => {
      w.beforeCall = ({ operation }) => {
        if (operation.startsWith('ArchiveBucket.'))
          throw Object.assign(new Error('no way to S3'), { name: 'CloudUnavailable' });
      };
    },
    why: /it cannot be read: CloudUnavailable: no way to S3/,
  },
  'the script fails': {
    arrange: (w) => {
      w.fails = (document) => (document === 'postgres-restore' ? failed('part 2 is damaged') : null);
    },
    why: /postgres-restore on i-\S+ failed with exit code 1: part 2 is damaged/,
  },
  'the restore does not end': {
    arrange: (w) => {
      w.pg.restoreMs = 48 * 3_600_000;
    },
    why: /postgres-restore on i-\S+ has not ended after \d+ s/,
  },
  'what was restored is another database': {
    arrange: (w) => {
      w.fails = (document) =>
        document === 'postgres-restore'
          ? {
              kind: 'succeeded',
              output: '{"state":"restored","restoredTo":"1/0/3000100","systemId":"7300000000000000002","durationMs":1}',
            }
          : null;
    },
    why: /what was restored is the database 7300000000000000002; expected 7300000000000000001/,
  },
  'the join script knows the data for foreign ones': {
    arrange: (w) => {
      let first = true;
      w.fails = (document) => {
        if (document !== 'postgres-join' || !first) return null;
        first = false;
        return { kind: 'failed', exitCode: 51, output: '', error: 'another cluster' };
      };
    },
    why: /another cluster/,
  },
};

describe('an archive that cannot serve costs nothing but time', () => {
  it.each(Object.entries(unfit))('%s: a peer gives the data, and the record says why', async (_, { arrange, why }) => {
    const world = new SeedWorld();
    world.losesAll(world.node(2));
    arrange(world);
    const ended = await world.replace(world.node(2));
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expectWhole(world);
    expect(world.pg.copies).toEqual(world.launched().map((i) => i.id));
    expect(lines(world)).toMatch(why);
    expect(lines(world)).toMatch(/seeds \S+ anew from a peer: the archive could not be used/);
    expect(ended.errors.map((e) => e.name)).toEqual(['SeedFailed']);
  });

  it('and a donor that dies afterwards is replaced as often as without an archive', async () => {
    const world = new SeedWorld();
    world.losesAll(world.node(2));
    world.aws.objects.clear();
    world.pg.seedMs = 60_000;
    let killed = false;
    world.onCall = () => {
      const [joiner] = world.pg.copies;
      if (joiner === undefined || killed) return;
      killed = true;
      world.dies(world.node(1).id);
      world.pg.crash(joiner);
    };
    const ended = await world.replace(world.node(2));
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.pg.copies).toHaveLength(2);
  });
});

describe('safety', () => {
  it('a node that keeps its instance is never restored upon: its data are moved aside, and a peer gives a copy', async () => {
    const world = new SeedWorld();
    world.dies(world.node(2).id);
    world.pg.cannotRewind.add(world.node(2).id);
    let first = true;
    world.fails = (document) => {
      if (document !== 'postgres-join' || !first) return null;
      first = false;
      return { kind: 'failed', exitCode: 50, output: '', error: 'cannot be rewound' };
    };
    const ended = await world.replace(world.node(2), 'rejoin');
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.started('postgres-restore')).toEqual([]);
    expect(world.pg.copies).toEqual([world.node(2).id]);
  });

  it('nothing is restored on an instance that does not carry the mark of this incident', async () => {
    const world = new SeedWorld();
    world.losesAll(world.node(2));
    world.onCall = ({ operation, args }) => {
      if (operation !== 'HostCommands.start' || args[1] !== 'postgres-prepare') return;
      const joiner = world.aws.instances.get(String(args[0]));
      if (joiner !== undefined)
        world.aws.instances.set(joiner.id, { ...joiner, tags: { ...joiner.tags, [INCIDENT_TAG]: 'another' } });
    };
    await world.replace(world.node(2));
    expect(world.started('postgres-restore')).toEqual([]);
    expect(lines(world)).toMatch(/is not what was launched for the incident orders-lost-e1/);
  });

  it('a claim that is lost while the plan is made or the restore runs ends every further act', async () => {
    for (const operation of ['ArchiveBucket.put', 'HostCommands.state']) {
      const world = new SeedWorld();
      world.losesAll(world.node(2));
      world.pg.restoreMs = 60_000;
      world.onCall = (call) => {
        const { claim } = world.ledger();
        if (call.operation !== operation || world.started('postgres-restore').length > 1 || claim === null) return;
        if (operation === 'HostCommands.state' && world.started('postgres-restore').length === 0) return;
        world.setLedger({ claim: { ...claim, execution: 'arn:other' } });
      };
      const ended = await world.replace(world.node(2));
      expect(ended.visited.at(-1), operation).toBe('Withdrawn');
      expect(world.started('postgres-restore').length, operation).toBeLessThan(2);
      expect(world.started('postgres-join'), operation).toEqual([]);
    }
  });

  it('Galera and clusters without an archive get their data from peers', async () => {
    const world = new SeedWorld();
    const { archive, ...without } = world.spec;
    expect(archive).toBeDefined();
    world.aws.specs.set('orders', without);
    world.losesAll(world.node(2));
    const ended = await world.replace(world.node(2));
    expect(ended.errors).toEqual([]);
    expect(world.aws.calls.filter((c) => c.operation.startsWith('ArchiveBucket.'))).toEqual([]);
    expect(world.pg.copies).toHaveLength(1);
  });
});

describe('a Lambda killed before or after any call', () => {
  const survives = async (kill: Kill): Promise<void> => {
    const world = new SeedWorld();
    world.losesAll(world.node(2));
    world.pg.restoreMs = 4000;
    world.killAt(kill);
    const ended = await world.replace(world.node(2));
    const where = `${JSON.stringify(kill)}: ${JSON.stringify(ended.errors)}`;
    expect(
      ended.errors.map((e) => e.name),
      where,
    ).toContain('Runtime.ExitError');
    expect(ended.status, where).toBe('SUCCEEDED');
    expectWhole(world, where);
    expect(world.pg.copies, where).toEqual([]);
    expect([...world.aws.objects.keys()].some((k) => k.startsWith(`orders/${SYSTEM}/base/`))).toBe(true);
  };

  it('seeds from the archive all the same, launches nothing twice', async () => {
    const whole = new SeedWorld();
    whole.losesAll(whole.node(2));
    whole.pg.restoreMs = 4000;
    await whole.replace(whole.node(2));
    for (let call = 1; call <= whole.calls; call += 1) {
      for (const moment of ['before', 'after'] as const) await survives({ call, moment });
    }
  }, 120_000);
});
