/**
 * A second fault at any call of a failover: whatever comes of it, nothing acknowledged is lost, no two nodes acknowledge, and what
 * failed is mended by the next try once the hosts are back.
 */
import { describe, expect, it } from 'vitest';
import { PostgresWorld } from '../../support/postgres-world.ts';
import { run } from './run.ts';

const SECOND = 'arn:aws:states:eu-west-1:123456789012:execution:failover:orders-2';

type Fault = (world: PostgresWorld) => void;

const first: Readonly<Record<string, () => PostgresWorld>> = {
  'the primary hangs': () => {
    const world = new PostgresWorld();
    world.pg.freeze(world.id(0));
    return world;
  },
  'the process of the primary is gone': () => {
    const world = new PostgresWorld();
    world.pg.crash(world.id(0));
    return world;
  },
  'the primary hangs, five nodes': () => {
    const world = new PostgresWorld({ nodes: 5 });
    world.pg.freeze(world.id(0));
    return world;
  },
  'the primary is cut off, and still takes writes': () => {
    const world = new PostgresWorld();
    world.pg.cut(world.id(0), { plane: true, peers: true });
    return world;
  },
};

/** Whom the failover makes the primary: the second node, unless another is already the writer. */
const candidate = (world: PostgresWorld): string => {
  const { writer } = world.ledger();
  return writer === null || writer === world.id(0) ? world.id(1) : writer;
};

const second: Readonly<Record<string, Fault>> = {
  'the candidate crashes': (world) => world.pg.crash(candidate(world)),
  'the candidate hangs': (world) => world.pg.freeze(candidate(world)),
  'the candidate is cut off from us': (world) => world.pg.cut(candidate(world), { plane: true }),
  'the candidate is cut off from its peers': (world) => world.pg.cut(candidate(world), { peers: true }),
  'the candidate is terminated': (world) => world.terminates(candidate(world)),
  'the candidate restarts': (world) => {
    const id = candidate(world);
    world.pg.crash(id);
    world.pg.boot(id);
  },
  'the other replica crashes': (world) => world.pg.crash(world.id(2)),
  'the other replica hangs': (world) => world.pg.freeze(world.id(2)),
  'the other replica stands still': (world) => world.pg.hold(world.id(2)),
  'the old primary comes back': (world) => {
    world.pg.thaw(world.id(0));
    world.pg.cut(world.id(0), { plane: false, peers: false });
    if (world.aws.instances.get(world.id(0))?.state === 'running' && !world.pg.primaries().includes(world.id(0))) {
      world.pg.boot(world.id(0));
    }
  },
};

/** Everything that has a host comes back, as hosts start it. */
function heal(world: PostgresWorld): void {
  for (const [id, server] of world.pg.servers) {
    world.pg.cut(id, { plane: false, peers: false });
    world.pg.hold(id, false);
    world.pg.thaw(id);
    if (world.aws.instances.get(id)?.state === 'running' && server.process === 'down' && server.disk !== null)
      world.pg.boot(id);
  }
}

describe.each(Object.entries(first))('%s, and then', (_, arrange) => {
  it.each(Object.entries(second))(
    '%s, at any call',
    async (__, fault) => {
      const whole = arrange();
      await run(whole);
      for (let call = 1; call <= whole.calls; call += 1) {
        const world = arrange();
        world.beforeCall = () => {
          if (world.calls === call) fault(world);
        };
        const ended = await run(world);
        const where = (): string =>
          `at call ${call}: ${JSON.stringify([ended.visited, ended.errors, world.record('orders-lost-e1')], null, 1)}`;
        const { writer, claim } = world.ledger();
        expect(claim, where()).toBeNull();
        expect(world.pg.problems(ended.status === 'SUCCEEDED' ? writer : null), where()).toEqual([]);
        heal(world);
        const again = await run(world, {}, SECOND);
        expect(
          again.status,
          `${where()} and then ${JSON.stringify([again.errors, world.record('orders-lost-e1')], null, 1)}`,
        ).toBe('SUCCEEDED');
        expect(world.pg.problems(world.ledger().writer), where()).toEqual([]);
      }
    },
    120_000,
  );
});
