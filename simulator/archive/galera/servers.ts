/** A node's server as the shipper meets it, above the socket: what it says of its log (`LogObserver`), and its dump (`BinlogDump`). */
import type { Dump, LogServers, Observer } from '../../../lambdas/archive/ship/galera/ports.ts';
import type { DbTarget } from '../../../lambdas/cloud/ports.ts';
import type { DumpOptions } from '../../../lambdas/engines/galera/binlog/dump.ts';
import { parseLog } from '../../../lambdas/engines/galera/binlog/log-state.ts';
import type { ServerLog } from '../../../lambdas/engines/galera/binlog/log-state.ts';
import type { Mark } from '../../../lambdas/engines/galera/binlog/observer.ts';
import { ConnectionEnded, Refused } from '../../../lambdas/engines/errors.ts';
import { parseGtidPosition } from '../../../lambdas/model/archive/gtid.ts';
import type { Actor } from '../../actor.ts';
import { never } from '../../actor.ts';
import type { GaleraModel } from '../../galera/cluster.ts';
import type { World } from '../../world.ts';
import type { Binlog, Binlogs } from './binlogs.ts';
import { oldestOf } from './binlogs.ts';
import { SimDump } from './dump.ts';
import { DOMAIN, SERVER } from './events.ts';

const PATIENCE_MS = 5000;
const SYNC_LOOK_MS = 250;
/** `wsrep_local_state`. */
const STATES: Readonly<Record<string, string>> = { Joining: '1', 'Donor/Desynced': '2', Joined: '3', Synced: '4' };

export type Says = 'answers' | 'silent' | 'refused';

export class GaleraServers {
  readonly #world: World;
  readonly #model: GaleraModel;
  readonly binlogs: Binlogs;
  readonly #breaks: () => boolean;
  readonly #dumps = new Map<string, SimDump>();

  constructor(world: World, model: GaleraModel, binlogs: Binlogs, breaks: () => boolean) {
    this.#world = world;
    this.#model = model;
    this.binlogs = binlogs;
    this.#breaks = breaks;
    binlogs.inUse = () => new Set([...this.#dumps.values()].flatMap((dump) => dump.reading ?? []));
  }

  /** As the plane reaches it; nothing moves because it is looked at. */
  says({ instanceId: id, host }: Pick<DbTarget, 'instanceId' | 'host'>): Says {
    const { unseen } = this.#world;
    if (!this.#world.hostRuns(id) || unseen.has(id) || this.#world.addressOf(id) !== host) return 'silent';
    if (this.#model.node(id).process === 'hung') return 'silent';
    return this.#model.status(id) === null ? 'refused' : 'answers';
  }

  /** What one invocation has. */
  of(actor: Actor, begins: (id: string, binlog: Binlog, after: number) => void): LogServers {
    return {
      observe: (target, _, { patienceMs = PATIENCE_MS } = {}) =>
        this.#asked(actor, 'binlog.observe', [target], () => this.#observe(actor, target, patienceMs)),
      dump: (target, _, options) => {
        // A sabotage asks for something else.
        const args: [DbTarget, DumpOptions] = [target, options];
        return this.#asked(actor, 'binlog.dump', args, () => this.#dump(actor, ...args, begins));
      },
    };
  }

  #asked<T>(actor: Actor, operation: string, args: unknown[], go: () => Promise<T>): Promise<T> {
    const { intercept } = this.#world;
    if (actor.dead) return never();
    return intercept === null ? go() : (intercept({ actor, operation, args }, go) as Promise<T>);
  }

  async #observe(actor: Actor, target: DbTarget, patienceMs: number): Promise<Observer> {
    await this.#answers(actor, target, patienceMs);
    const ask = <T>(operation: string, go: () => Promise<T>): Promise<T> =>
      this.#asked(actor, operation, [target], async () => {
        await this.#answers(actor, target, patienceMs);
        const answer = await go();
        return actor.dead ? never() : answer;
      });
    return {
      log: () => ask('binlog.log', async () => this.log(target.instanceId)),
      prepare: () => ask('binlog.prepare', async () => undefined),
      mark: () => ask('binlog.mark', () => this.#mark(target, patienceMs)),
      close: () => undefined,
    };
  }

  /** @throws ConnectionEnded, after a while when nobody says a word. */
  async #answers(actor: Actor, target: DbTarget, patienceMs: number): Promise<void> {
    const said = this.says(target);
    if (said === 'silent') await this.#world.clock.sleep(patienceMs);
    if (actor.dead) return never();
    if (said !== 'answers') throw new ConnectionEnded(`${target.instanceId}: ${said}`);
  }

  log(id: string): ServerLog {
    const status = this.#model.status(id);
    const binlog = this.binlogs.of(id);
    const end = gtid(binlog?.end.seqno ?? 0);
    const rows = Object.entries({
      ...{ log_bin: 'ON', log_slave_updates: 'ON', wsrep_on: 'ON', wsrep_gtid_mode: 'ON' },
      ...{ wsrep_gtid_domain_id: String(DOMAIN), gtid_domain_id: '1', gtid_binlog_pos: end, gtid_binlog_state: end },
      wsrep_cluster_state_uuid: status?.stateUuid ?? '',
      wsrep_cluster_status: status?.component ?? 'Disconnected',
      wsrep_ready: status?.ready === true ? 'ON' : 'OFF',
      wsrep_local_state: STATES[status?.state ?? ''] ?? '0',
    });
    return parseLog(rows, binlog === null ? '' : gtid(oldestOf(binlog)));
  }

  /** `wsrep_sync_wait`: a message of the group is waited for, and all that was delivered before it is applied. */
  async #mark(target: DbTarget, patienceMs: number): Promise<Mark> {
    const { clock } = this.#world;
    const { instanceId: id } = target;
    const atMs = clock.nowMs();
    if (this.#model.status(id)?.ready !== true) throw new Refused('1047 WSREP has not yet prepared node for use');
    const wanted = this.#model.position(id)?.seqno ?? 0;
    for (;;) {
      if (this.says(target) !== 'answers') throw new ConnectionEnded('the connection was closed');
      const seqno = this.binlogs.of(id)?.end.seqno ?? 0;
      if (seqno >= wanted && this.#model.isHeard(id)) return { atMs, position: parseGtidPosition(gtid(seqno)) };
      if (clock.nowMs() - atMs >= patienceMs) throw new ConnectionEnded(`no answer within ${patienceMs} ms`);
      await clock.sleep(SYNC_LOOK_MS);
    }
  }

  async #dump(
    actor: Actor,
    target: DbTarget,
    { after, follow }: DumpOptions,
    begins: (id: string, binlog: Binlog, after: number) => void,
  ): Promise<Dump> {
    await this.#answers(actor, target, PATIENCE_MS);
    const { instanceId: id } = target;
    const binlog = this.binlogs.of(id);
    if (binlog === null) throw new Refused('1236 binary log is not open');
    const from = Number(after.get(DOMAIN)?.sequence ?? 0n);
    // A replica with the same server_id: the server ends the dump of the one before.
    this.#dumps.get(id)?.replaced();
    const isIn = oldestOf(binlog) <= from && from <= binlog.end.seqno;
    if (isIn) begins(id, binlog, from);
    const dump = new SimDump(this.#world, actor, {
      binlog,
      from,
      follow,
      says: this.#saysOf(target, binlog),
      breaks: this.#breaks,
    });
    this.#dumps.set(id, dump);
    return dump;
  }

  /** Of a connection: a server that was started anew knows nothing of it. */
  #saysOf(target: DbTarget, binlog: Binlog): () => Says {
    const { server } = binlog;
    return () => {
      const said = this.says(target);
      if (said !== 'answers') return said;
      return this.binlogs.of(target.instanceId) === binlog && binlog.server === server ? said : 'refused';
    };
  }
}

export const gtid = (seqno: number): string => (seqno === 0 ? '' : `${DOMAIN}-${SERVER}-${seqno}`);
