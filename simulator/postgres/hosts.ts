/**
 * The scripts of `nodes/postgres` on hosts of the world. What they do to the cluster is in `test/fakes/postgres-scripts.ts`; here is
 * what that leaves out: hung servers, hosts that cannot reach each other, base backups and crash recoveries that take time, and
 * histories that pg_rewind cannot tell apart.
 */
import { failed, ok } from '../side.ts';
import type { ScriptEnd } from '../side.ts';
import type { Disk, Server } from '../../test/fakes/postgres-cluster.ts';
import type { World } from '../world.ts';
import type { SimPostgres } from './cluster.ts';

type Parameters_ = Readonly<Record<string, string>>;

export class PostgresScripts {
  readonly #world: World;
  readonly #pg: SimPostgres;
  constructor(world: World, pg: SimPostgres) {
    this.#world = world;
    this.#pg = pg;
  }

  run(id: string, document: string, parameters: Parameters_, end: ScriptEnd): void {
    const pg = this.#pg;
    const { random, aws } = this.#world;
    const server = pg.server(id);
    pg.seedMs = random.int(5000, 40_000);
    pg.recoveryMs = random.chance(0.5) ? 0 : random.int(500, 12_000);
    if (document === 'postgres-join') {
      const before = this.#beforeJoin(server, parameters);
      if (before !== null) return end(before);
    }
    if (document === 'postgres-prepare' && parameters['Source'] === 'peer' && server.process === 'down')
      pg.erase(server);
    const script = aws.scripts.get(document);
    if (script === undefined) return end(failed(64, `no document ${document}`));
    const outcome = script(id, parameters);
    const state = 'kind' in outcome ? outcome : (outcome.at(-1) ?? failed(1, `${document} said nothing`));
    if (document === 'postgres-join') this.#afterJoin(id, parameters);
    end(state);
  }

  #beforeJoin(server: Server, { Primary = '', Donor = '' }: Parameters_) {
    const pg = this.#pg;
    if (server.process === 'frozen') pg.crash(server.id);
    if (server.seedingUntilMs !== null) return ok({ joined: 'seeding', rewound: false });
    const primary = this.#at(Primary);
    if (primary === null || !pg.reach(server.id, primary.id) || !pg.runs(primary)) {
      return failed(52, `Primary ${Primary} does not answer`);
    }
    const donor = this.#at(Donor);
    if (server.disk === null && donor !== null && (!pg.reach(server.id, donor.id) || !pg.runs(donor))) {
      return failed(52, `Donor ${Donor} does not answer`);
    }
    if (server.disk !== null && primary.disk !== null && partOnOneTimeline(server.disk, primary.disk)) {
      pg.cannotRewind.add(server.id);
    } else pg.cannotRewind.delete(server.id);
    return null;
  }

  #afterJoin(id: string, { Primary = '', Donor = '' }: Parameters_): void {
    if (this.#pg.server(id).seedingUntilMs === null) return;
    const donor = this.#at(Donor) ?? this.#at(Primary);
    if (donor !== null) this.#pg.donors.set(id, donor.id);
  }

  #at(address: string): Server | null {
    return [...this.#pg.servers.values()].find((s) => this.#pg.hostOf(s.id) === address) ?? null;
  }
}

/** Where the logs part both go on with the same timeline number: pg_rewind sees nothing to do, and the script refuses. */
function partOnOneTimeline(mine: Disk, theirs: Disk): boolean {
  const at = mine.log.findIndex((e, i) => theirs.log[i] !== e);
  const [own, other] = [mine.log[at], theirs.log[at]];
  return own !== undefined && other !== undefined && own.timeline === other.timeline;
}
