/** The switchover workflow, by running its definition against its steps, a cluster and an AWS in memory. */
import { describe, expect, it } from 'vitest';
import { WRITER_GROUP } from '../../fakes/index.ts';
import type { Run } from '../../support/asl.ts';
import { PostgresWorld } from '../../support/postgres-world.ts';
import { INCIDENT, run } from './run.ts';

/** The writes are with `writer`, everybody else streams from it, and nothing is left over. */
function expectWhole(world: PostgresWorld, writer: string, where: string): void {
  const { pg, aws } = world;
  expect(world.ledger(), where).toMatchObject({ writer, claim: null, escalation: null });
  expect(pg.problems(writer), where).toEqual([]);
  expect(pg.primaries(), where).toEqual([writer]);
  const others = world.nodes.map((n) => n.id).filter((id) => id !== writer);
  expect(
    others.filter((id) => !pg.streams(id, writer)),
    where,
  ).toEqual([]);
  world.reconcile();
  const healthy = [...(aws.targetGroups.get(WRITER_GROUP)?.targets.values() ?? [])].filter(
    (t) => t.state === 'healthy',
  );
  expect(
    healthy.map((t) => t.id),
    where,
  ).toEqual([writer]);
  const before = pg.journal.length;
  pg.write();
  expect(
    pg.journal.slice(before).map((a) => a.node),
    where,
  ).toEqual([writer]);
}

const told = (world: PostgresWorld, ended: Run): string =>
  JSON.stringify([ended.visited, ended.errors, world.record(INCIDENT)], null, 1);

describe('a switchover', () => {
  it.each([
    ['to the most advanced replica, by {"cluster":"orders"}', () => new PostgresWorld(), {}, 1],
    ['to the node that was asked for', () => new PostgresWorld(), { to: 2 }, 2],
    [
      'of an asynchronous cluster of two, without slots',
      () => new PostgresWorld({ nodes: 2, postgres: { durability: 'async', slots: 'none' } }),
      {},
      1,
    ],
    ['of five nodes', () => new PostgresWorld({ nodes: 5 }), { to: 3 }, 3],
  ] as const)('moves the writes %s', async (_, arrange, input, winner) => {
    const world = arrange();
    const to = 'to' in input ? { to: world.id(input.to) } : {};
    const ended = await run(world, to);
    expect(ended.status, told(world, ended)).toBe('SUCCEEDED');
    expectWhole(world, world.id(winner), told(world, ended));
    expect(world.aws.callsOf('Instances.stop')).toEqual([]);
    expect(world.aws.published).toHaveLength(1);
  });

  it('is not started twice: the second one moves nothing back', async () => {
    const world = new PostgresWorld();
    const input = { node: world.id(0), incident: 'rolling-1', mode: 'switchover', reason: 'rolling' };
    await run(world, input);
    const again = await run(world, input);
    expect(again.visited).toEqual(['Claim', 'CheckpointOrReport', 'Report', 'Done']);
    expectWhole(world, world.id(1), told(world, again));
  });

  it('to the node that is the primary already does nothing', async () => {
    const world = new PostgresWorld();
    const ended = await run(world, { to: world.id(0) });
    expect(ended.visited).toEqual(['Claim', 'CheckpointOrReport', 'Report', 'Done']);
    expect(world.aws.callsOf('HostCommands.start')).toEqual([]);
  });
});

const THEIRS = {
  execution: 'arn:other',
  incident: 'x',
  mode: 'replace',
  node: null,
  joiner: null,
  donor: null,
  launch: null,
  claimedAtMs: 1,
} as const;

describe('a switchover is refused, and touches nothing,', () => {
  const refusals: readonly (readonly [string, (world: PostgresWorld) => Readonly<Record<string, unknown>>, RegExp])[] =
    [
      [
        'to no instance of the cluster',
        () => ({ to: 'i-0123456789abcdef0' }),
        /i-0123456789abcdef0 cannot take the writes: it is no replica of orders; expected one of i-/,
      ],
      [
        'to a replica that does not stream',
        (world) => {
          world.pg.crash(world.id(2));
          return { to: world.id(2) };
        },
        /does not answer us as a standby/,
      ],
      [
        'to a replica that lags',
        (world) => {
          world.pg.hold(world.id(2));
          for (let n = 0; n < 100; n += 1) world.pg.write();
          return { to: world.id(2) };
        },
        /lags by \d+ bytes, at most 4096/,
      ],
      [
        'to a replica that is not in the quorum',
        (world) => {
          world.setLedger({ sync: { sets: [{ need: 1, standbys: [world.id(1)] }], barrierLsn: null } });
          return { to: world.id(2) };
        },
        /not in the quorum/,
      ],
      [
        'when too few replicas would be left to acknowledge',
        (world) => {
          world.pg.crash(world.id(2));
          return { to: world.id(1) };
        },
        /0 replicas would be left to acknowledge .*expected 1/,
      ],
      [
        'when no replica is ready',
        (world) => {
          for (const i of [1, 2]) world.pg.crash(world.id(i));
          return {};
        },
        /no replica of i-.* can take the writes/,
      ],
      [
        'while a node is in maintenance',
        (world) => {
          world.setLedger({ maintenance: { node: world.id(2), by: 'Ada', sinceMs: 1 } });
          return {};
        },
        /in maintenance by Ada/,
      ],
      [
        'while another holds the claim',
        (world) => {
          world.setLedger({ claim: THEIRS });
          return {};
        },
        /claimed by arn:other/,
      ],
      [
        'while the brake is engaged',
        (world) => {
          world.aws.brake = { engaged: true, reason: 'many failures', sinceMs: 1 };
          return {};
        },
        /brake is engaged/,
      ],
      [
        'when the primary does not serve',
        (world) => {
          world.pg.freeze(world.id(0));
          return {};
        },
        /the primary of orders does not serve/,
      ],
    ];

  it.each(refusals)('%s', async (_, arrange, sentence) => {
    const world = new PostgresWorld();
    const input = arrange(world);
    const { claim } = world.ledger();
    const ended = await run(world, input);
    expect(ended.status).toBe('FAILED');
    expect(ended.errors[0]?.name).toBe('SwitchoverRefused');
    expect(ended.errors[0]?.message).toMatch(sentence);
    expect(world.aws.calls.filter((c) => /^(PostgresAdmin|HostCommands)\./.test(c.operation))).toEqual([]);
    expect(world.ledger()).toMatchObject({ claim, writer: world.id(0), escalation: null });
    expect(world.aws.published[0]?.subject).toBe('Rejoin: orders: switchover gave up: SwitchoverRefused');
  });

  it.each([
    [{ to: 'orders-1' }, /to: give the id of a replica/],
    [{ to: 7 }, /to: /],
    [{ node: 'x' }, /node: give the id of the primary/],
  ])('with the input %j, naming what is accepted', async (input, sentence) => {
    const world = new PostgresWorld();
    const ended = await run(world, input);
    expect(ended.status).toBe('FAILED');
    expect(ended.errors[0]?.message).toMatch(sentence);
    expect(world.aws.callsOf('Ledger.claim')).toEqual([]);
  });
});

describe('a Lambda killed before or after any call of a switchover', () => {
  it('is made up for', async () => {
    const whole = new PostgresWorld();
    await run(whole);
    for (let call = 1; call <= whole.calls; call += 1) {
      for (const moment of ['before', 'after'] as const) {
        const world = new PostgresWorld();
        world.killAt({ call, moment });
        const ended = await run(world);
        const where = `${call} ${moment}: ${told(world, ended)}`;
        expect(ended.status, where).toBe('SUCCEEDED');
        expectWhole(world, world.id(1), where);
      }
    }
  }, 60_000);
});

describe('a fault at any call of a switchover', () => {
  const faults: Readonly<Record<string, (world: PostgresWorld) => void>> = {
    'the candidate crashes': (world) => world.pg.crash(world.id(1)),
    'the candidate hangs': (world) => world.pg.freeze(world.id(1)),
    'the candidate is cut off from its peers': (world) => world.pg.cut(world.id(1), { peers: true }),
    'the candidate restarts': (world) => {
      world.pg.crash(world.id(1));
      world.pg.boot(world.id(1));
    },
    'the old primary crashes': (world) => world.pg.crash(world.id(0)),
    'the old primary hangs': (world) => world.pg.freeze(world.id(0)),
    'the old primary is started by a person': (world) => {
      if (world.pg.server(world.id(0)).process === 'down') world.pg.boot(world.id(0));
    },
    'the other replica crashes': (world) => world.pg.crash(world.id(2)),
    'the brake is engaged': (world) => {
      world.aws.brake = { engaged: true, reason: 'many failures', sinceMs: 1 };
    },
  };

  it.each(Object.entries(faults))(
    '%s: nothing acknowledged is lost, and no two nodes acknowledge',
    async (_, fault) => {
      const whole = new PostgresWorld();
      await run(whole);
      for (let call = 1; call <= whole.calls; call += 1) {
        const world = new PostgresWorld();
        world.beforeCall = () => {
          if (world.calls === call) fault(world);
        };
        const ended = await run(world);
        const where = `at call ${call}: ${told(world, ended)}`;
        expect(world.ledger(), where).toMatchObject({ claim: null, escalation: null });
        const { writer } = world.ledger();
        const serves = writer !== null && world.pg.primaries().includes(writer);
        expect(world.pg.problems(serves ? writer : null), where).toEqual([]);
        if (ended.status === 'SUCCEEDED') expect(writer, where).not.toBe(world.id(0));
      }
    },
    60_000,
  );

  it('before the promotion: the old primary takes the writes again, and the replicas follow it', async () => {
    const world = new PostgresWorld();
    world.onCall = (call) => {
      if (call.operation === 'HostCommands.start' && call.args[1] === 'postgres-stop') world.pg.crash(world.id(1));
    };
    const ended = await run(world);
    expect(ended.status).toBe('FAILED');
    expect(ended.visited).toContain('Resume');
    expect(world.pg.primaries(), told(world, ended)).toEqual([world.id(0)]);
    expect(world.pg.streams(world.id(2), world.id(0))).toBe(true);
    expect(world.pg.problems(world.id(0))).toEqual([]);
    expect(world.ledger().newestTimeline).toBe(2);
  });

  it.each(['TargetGroups.health', 'HostCommands.start'])(
    'after the promotion, at %s: the new primary is lost, and the claim is free for a failover within seconds',
    async (operation) => {
      const world = new PostgresWorld();
      let lostAtMs: number | null = null;
      world.onCall = (call) => {
        const isAfter = world.pg.primaries().includes(world.id(1));
        if (!isAfter || lostAtMs !== null || call.operation !== operation) return;
        world.terminates(world.id(1));
        lostAtMs = world.aws.clock.nowMs();
      };
      const ended = await run(world);
      expect(ended.visited, told(world, ended)).toContain('Withdraw');
      expect(world.ledger()).toMatchObject({ claim: null, writer: world.id(1) });
      expect(world.aws.clock.nowMs() - (lostAtMs ?? 0)).toBeLessThan(20_000);
    },
  );

  it('before the promotion: the old primary begins no timeline that another may have begun', async () => {
    const world = new PostgresWorld();
    world.setLedger({ newestTimeline: 4 });
    world.onCall = (call) => {
      if (call.operation === 'HostCommands.start' && call.args[1] === 'postgres-stop') world.pg.crash(world.id(1));
    };
    await run(world);
    expect(world.pg.status(world.id(0)).timeline).toBe(5);
  });
});

describe('safety', () => {
  it('rule 3: the candidate is promoted only after the old primary has shut down cleanly, and has what it had', async () => {
    const world = new PostgresWorld();
    const at: unknown[] = [];
    world.beforeCall = (call) => {
      if (call.operation !== 'PostgresAdmin.promote') return;
      const commits = world.pg.commitsOf(world.id(0));
      at.push([
        world.pg.server(world.id(0)).process,
        [...commits].filter((c) => !world.pg.commitsOf(world.id(1)).has(c)),
      ]);
    };
    await run(world);
    expect(at).toEqual([['down', []]]);
  });

  it('rule 3: a shutdown that was not clean is no fence', async () => {
    const world = new PostgresWorld();
    world.aws.scripts.set('postgres-stop', () => ({
      kind: 'succeeded',
      output: '{"stopped":true,"clean":false,"timeline":1,"lsn":"0/1"}',
    }));
    const ended = await run(world);
    expect(ended.status).toBe('FAILED');
    expect(world.ledger().writer).toBe(world.id(0));
    expect(world.pg.primaries()).toEqual([world.id(0)]);
  });

  it('rule 6: the old primary is not shut down for a candidate that has gone meanwhile', async () => {
    const world = new PostgresWorld();
    world.onCall = (call) => {
      if (call.operation === 'PostgresAdmin.checkpoint') world.pg.crash(world.id(1));
    };
    const ended = await run(world);
    expect(ended.status).toBe('FAILED');
    expect(world.aws.callsOf('HostCommands.start')).toEqual([]);
    expect(world.pg.primaries()).toEqual([world.id(0)]);
  });

  it('rule 4: a candidate that lacks the end of the log is not promoted', async () => {
    const world = new PostgresWorld();
    world.onCall = (call) => {
      if (call.operation === 'PostgresAdmin.checkpoint') world.pg.hold(world.id(1));
    };
    const ended = await run(world);
    expect(ended.status).toBe('FAILED');
    expect(ended.errors.some((e) => e.message.includes('expected it beyond'))).toBe(true);
    expect(world.pg.primaries()).toEqual([world.id(0)]);
  });

  it.each([
    'Ledger.claim',
    'PostgresAdmin.checkpoint',
    'HostCommands.start',
    'PostgresAdmin.detach',
    'PostgresAdmin.follow',
  ])('rule 5: a claim lost right after %s ends every further act', async (operation) => {
    const world = new PostgresWorld();
    const taken: string[] = [];
    let lost = false;
    world.onCall = (call) => {
      if (lost && /promote|HostCommands.start/.test(call.operation)) taken.push(call.operation);
      if (call.operation !== operation) return;
      lost = true;
      world.setLedger({ claim: THEIRS });
    };
    const ended = await run(world);
    expect(ended.visited.at(-1)).toBe('Withdrawn');
    expect(taken).toEqual([]);
    expect(world.ledger()).toMatchObject({ claim: THEIRS, writer: world.id(0) });
  });

  it('rule 7: the brake engaged before the shutdown stops it', async () => {
    const world = new PostgresWorld();
    world.onCall = (call) => {
      if (call.operation === 'PostgresAdmin.checkpoint')
        world.aws.brake = { engaged: true, reason: 'many failures', sinceMs: 1 };
    };
    await run(world);
    expect(world.aws.callsOf('HostCommands.start')).toEqual([]);
    expect(world.pg.primaries()).toEqual([world.id(0)]);
  });

  it('rule 12: the shutdown and the promotion are on the record before they happen', async () => {
    const world = new PostgresWorld();
    const unrecorded: string[] = [];
    let seen = 0;
    world.beforeCall = (call) => {
      const line = { 'HostCommands.start': /shuts the database on/, 'PostgresAdmin.promote': /^promotes / }[
        call.operation
      ];
      if (line === undefined || call.args[1] === 'postgres-join') return;
      seen += 1;
      if (!world.record(INCIDENT).some((l) => line.test(l))) unrecorded.push(call.operation);
    };
    await run(world);
    expect(seen).toBe(2);
    expect(unrecorded).toEqual([]);
  });
});
