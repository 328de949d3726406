/** A PostgreSQL cluster in the simulator. */
import { EMPTY_LEDGER } from '../../lambdas/model/ledger.ts';
import { REPLACES_TAG } from '../../lambdas/model/spec.ts';
import type { ClusterSpec } from '../../lambdas/model/spec.ts';
import { ARCHIVE_SLOT, slotOf } from '../../lambdas/model/postgres.ts';
import { declaredNeed, synchronousStandbyNames } from '../../lambdas/model/quorum.ts';
import type { Side } from '../side.ts';
import type { World } from '../world.ts';
import { asyncFaultsOf } from './async-faults.ts';
import { SimPostgres } from './cluster.ts';
import { faultsOf } from './faults.ts';
import { PostgresScripts } from './hosts.ts';
import { restoreWrites } from './person.ts';
import { PostgresRules } from './rules.ts';
import { durabilityOf } from './spec.ts';

/** Chance that a stream stands still for half a second where nobody waits for it: a primary that is lost often has what no replica has. */
const SLUGGISH = 0.4;

export interface PostgresSide extends Side {
  readonly database: SimPostgres;
}

export function postgresSide(world: World, spec: ClusterSpec): PostgresSide {
  const database = new SimPostgres(world, spec);
  const scripts = new PostgresScripts(world, database);
  const async = durabilityOf(spec) === 'async';
  if (async) database.sluggish = SLUGGISH;
  return {
    spec,
    database,
    prober: database,
    admin: database,
    rules: new PostgresRules(world, database, spec),
    faults: async ? { ...faultsOf(database), ...asyncFaultsOf(database) } : faultsOf(database),
    found([first, ...others]) {
      if (first === undefined) throw new Error('a cluster has at least one node');
      const primary = database.addPrimary(first);
      for (const i of others) database.addStandby(i, primary);
      if (async) return void world.aws.ledgers.set(spec.name, { ...EMPTY_LEDGER, epoch: 1, writer: first.id });
      const set = { need: declaredNeed(spec.nodes), standbys: others.map((i) => i.id).sort() };
      database.diskOf(primary).names = synchronousStandbyNames(set);
      const sync = { sets: [set], barrierLsn: null };
      world.aws.ledgers.set(spec.name, { ...EMPTY_LEDGER, epoch: 1, writer: first.id, sync });
    },
    runScript: (id, document, parameters, end) => scripts.run(id, document, parameters, end),
    help: () => restoreWrites(world, database),
    calm() {
      database.sluggish = 0;
      database.heldUntilMs.clear();
    },
    unfinished: () => [...(async ? alone(world, database) : durability(world, database)), ...slots(world, database)],
    stuck: { told: /NO_CANDIDATE|NODE_UNREACHABLE_BY_PLANE|gave up/, why: 'nobody may be promoted' },
  };
}

/** The primary waits for what is declared, of those that stream, and the ledger knows it. */
function durability(world: World, pg: SimPostgres): readonly string[] {
  const { writer, sync } = world.ledger();
  const primary = pg.servers.get(writer ?? '');
  if (primary?.disk == null) return [];
  const streaming = pg.attachedTo(primary).map((s) => s.id);
  const wanted = synchronousStandbyNames({ need: declaredNeed(world.spec.nodes), standbys: streaming });
  const found: string[] = [];
  if (primary.disk.names !== wanted)
    found.push(`the primary waits for ${primary.disk.names || 'nobody'}, not ${wanted}`);
  if (sync?.sets.length !== 1) found.push(`the ledger knows ${sync?.sets.length ?? 0} sets`);
  return found;
}

/**
 * The primary has a slot for each other node that lives, and nobody one that holds back log for a node that is gone, or from an earlier role.
 * What EC2 has forgotten and nobody stands in the place of, is not provably ours (safety rule 8).
 */
function slots(world: World, pg: SimPostgres): readonly string[] {
  const { writer } = world.ledger();
  const live = world.instancesOf().filter((i) => i.state !== 'terminated');
  const known = [...world.instancesOf().map((i) => i.id), ...live.map((i) => i.tags[REPLACES_TAG] ?? '')].map(slotOf);
  const isKnown = (name: string): boolean => known.includes(name);
  return live.flatMap(({ id }) => {
    const names = [...(pg.server(id).disk?.slots ?? [])]
      .filter((name) => name !== ARCHIVE_SLOT && isKnown(name))
      .toSorted();
    const wanted = id === writer ? live.flatMap((i) => (i.id === id ? [] : [slotOf(i.id)])).toSorted() : [];
    return names.join() === wanted.join()
      ? []
      : [`slots on ${id} are ${names.join() || 'none'}, not ${wanted.join() || 'none'}`];
  });
}

/** Asynchronous: the primary waits for nobody, and the ledger knows of no set. */
function alone(world: World, pg: SimPostgres): readonly string[] {
  const { writer, sync } = world.ledger();
  const names = pg.servers.get(writer ?? '')?.disk?.names ?? '';
  return [
    ...(names === '' ? [] : [`the primary waits for ${names}, and nobody is declared`]),
    ...(sync === null ? [] : [`the ledger knows ${sync.sets.length} sets, and none is declared`]),
  ];
}
