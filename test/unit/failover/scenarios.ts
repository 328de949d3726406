/** Ways in which a primary is lost, and who is to be the primary after it. */
import { PostgresWorld } from '../../support/postgres-world.ts';

export interface Scenario {
  readonly world: PostgresWorld;
  /** More of the execution's input. */
  readonly input?: Readonly<Record<string, unknown>>;
  /** Instance ids of which one must be the primary; all but `lost`, unless given. */
  readonly winners?: readonly string[];
  /** Streams from the new primary at the end; every live node but the old primary, unless given. */
  readonly followers?: readonly string[];
  /** What EC2 must say of the old primary at the end. */
  readonly old: 'running' | 'stopped' | 'terminated';
  /** Acknowledged commits may be missing. */
  readonly lossy?: boolean;
}

const three = (world = new PostgresWorld()): PostgresWorld => world;

export const scenarios: Readonly<Record<string, () => Scenario>> = {
  'EC2 terminates the primary': () => {
    const world = three();
    world.terminates(world.id(0));
    return { world, old: 'terminated' };
  },
  'the primary hangs': () => {
    const world = three();
    world.pg.freeze(world.id(0));
    return { world, old: 'stopped' };
  },
  'the process of the primary is gone': () => {
    const world = three();
    world.pg.crash(world.id(0));
    return { world, old: 'running' };
  },
  'the primary is cut off from everybody, and still takes writes': () => {
    const world = three();
    world.pg.cut(world.id(0), { plane: true, peers: true });
    return { world, old: 'stopped' };
  },
  'one replica was behind, the other has everything': () => {
    const world = three();
    world.pg.hold(world.id(1));
    world.pg.write();
    world.pg.hold(world.id(1));
    world.pg.freeze(world.id(0));
    return { world, old: 'stopped', winners: [world.id(2)] };
  },
  'the old primary was rebooted and is a standby': () => {
    const world = three();
    world.pg.crash(world.id(0));
    world.pg.boot(world.id(0));
    return { world, old: 'running', winners: world.nodes.map((n) => n.id), followers: [] };
  },
  'five nodes, one replica out of reach': () => {
    const world = new PostgresWorld({ nodes: 5 });
    world.pg.cut(world.id(4), { plane: true });
    world.pg.freeze(world.id(0));
    return {
      world,
      old: 'stopped',
      winners: [1, 2, 3].map((i) => world.id(i)),
      followers: [1, 2, 3].map((i) => world.id(i)),
    };
  },
  'every database is down, every host lives': () => {
    const world = three();
    for (const n of world.nodes) world.pg.crash(n.id);
    return { world, old: 'running', winners: world.nodes.map((n) => n.id), followers: [] };
  },
  'every database is down, and recovers for seconds when it is started': () => {
    const world = three();
    world.pg.recoveryMs = 8000;
    for (const n of world.nodes) world.pg.crash(n.id);
    return { world, old: 'running', winners: world.nodes.map((n) => n.id), followers: [] };
  },
  'the primary hangs and a replica is down': () => {
    const world = three();
    world.pg.crash(world.id(2));
    world.pg.freeze(world.id(0));
    return { world, old: 'stopped', winners: [world.id(1), world.id(2)] };
  },
  'a replica is gone for good, and the primary hangs: its volume is needed': () => {
    const world = three();
    world.terminates(world.id(2));
    world.losesVolume(world.id(2));
    world.pg.freeze(world.id(0));
    return { world, old: 'stopped', followers: [] };
  },
  'async: the primary hangs, the replicas are near': () => {
    const world = new PostgresWorld({ postgres: { durability: 'async' } });
    world.pg.freeze(world.id(0));
    return { world, old: 'stopped' };
  },
  'async: the process of the primary is gone, and its disk has what the replicas lack': () => {
    const world = new PostgresWorld({ postgres: { durability: 'async' } });
    world.pg.hold(world.id(1));
    world.pg.hold(world.id(2));
    world.pg.write();
    world.pg.crash(world.id(0));
    world.pg.hold(world.id(1), false);
    world.pg.hold(world.id(2), false);
    return { world, old: 'running', winners: [world.id(0)], followers: [world.id(1), world.id(2)] };
  },
  'async: two nodes': () => {
    const world = new PostgresWorld({ nodes: 2, postgres: { durability: 'async', slots: 'none' } });
    world.terminates(world.id(0));
    return { world, old: 'terminated' };
  },
  'a person accepted what is lost': () => {
    const world = three();
    world.terminates(world.id(0));
    world.losesVolume(world.id(0));
    world.pg.cut(world.id(1), { plane: true });
    return {
      world,
      old: 'terminated',
      input: { accept: world.id(2) },
      winners: [world.id(2)],
      followers: [],
      lossy: true,
    };
  },
};
