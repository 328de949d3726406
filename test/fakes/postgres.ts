/** The plane's hands on a PostgreSQL cluster in memory: a Prober and a PostgresAdmin that take as long as the real ones do. */
import { Conflict, NodeRefused, NodeUnavailable } from '../../lambdas/cloud/ports.ts';
import type { DbCredentials, DbTarget, PostgresAdmin, Prober, Upstream } from '../../lambdas/cloud/ports.ts';
import type { Position } from '../../lambdas/model/lsn.ts';
import type { UsedTimelines } from '../../lambdas/model/postgres.ts';
import { slotOf } from '../../lambdas/model/postgres.ts';
import type { ClusterSpec } from '../../lambdas/model/spec.ts';
import type { Probe } from '../../lambdas/model/view.ts';
import type { FakeAws } from './aws.ts';
import type { Disk, Server } from './postgres-cluster.ts';
import { FakePostgresCluster, last, positionOf } from './postgres-cluster.ts';
import { installScripts } from './postgres-scripts.ts';

export const PROBE_DEADLINE_MS = 1000;
export const ADMIN_DEADLINE_MS = 1500;

export class FakePostgres extends FakePostgresCluster implements Prober, PostgresAdmin {
  constructor(aws: FakeAws, spec: ClusterSpec) {
    super(aws, spec);
    installScripts(this);
  }

  // ---- Prober

  async probe(target: DbTarget, credentials: DbCredentials): Promise<Probe> {
    const startMs = this.aws.clock.nowMs();
    const found = await this.aws.call('Prober.probe', [target, credentials], () => this.seen(target));
    if (found.kind !== 'silent' && found.kind !== 'unreachable') return found;
    await this.aws.clock.sleep(PROBE_DEADLINE_MS);
    return { ...found, atMs: this.aws.clock.nowMs(), tookMs: this.aws.clock.nowMs() - startMs };
  }

  /** What a probe finds, without the time that it takes. */
  protected seen(target: DbTarget): Probe {
    const atMs = this.aws.clock.nowMs();
    const said = this.heardAt(target);
    if (said !== 'answers') {
      const detail = said === 'rejected' ? '57P03 the database system is starting up' : 'fake';
      return { kind: said, atMs, tookMs: 1, detail };
    }
    return { kind: 'answered', atMs, tookMs: 3, status: this.status(target.instanceId) };
  }

  // ---- PostgresAdmin

  detach(target: DbTarget, credentials: DbCredentials): Promise<Position> {
    return this.#admin('detach', target, credentials, [], (server, disk) => {
      if (!server.recovering) throw new NodeRefused(`${server.id} is no standby`);
      Object.assign(disk, { upstreamHost: null, upstreamSlot: null });
      return positionOf(disk);
    });
  }

  follow(target: DbTarget, credentials: DbCredentials, upstream: Upstream): Promise<void> {
    return this.#admin('follow', target, credentials, [upstream], (_, disk) => {
      Object.assign(disk, { upstreamHost: upstream.host, upstreamSlot: upstream.slot });
    });
  }

  setSync(target: DbTarget, credentials: DbCredentials, expected: string | null, next: string): Promise<void> {
    return this.#admin('setSync', target, credentials, [expected, next], (server, disk) => {
      if (expected !== null && disk.names !== expected) {
        throw new Conflict(`${server.id} has ${JSON.stringify(disk.names)}, expected ${JSON.stringify(expected)}`);
      }
      disk.names = next;
    });
  }

  setSlots(
    target: DbTarget,
    credentials: DbCredentials,
    slots: { readonly create: readonly string[]; readonly drop: readonly string[] },
  ): Promise<void> {
    return this.#admin('setSlots', target, credentials, [slots], (server, disk) => {
      for (const name of slots.create) disk.slots.add(name);
      const used = this.attachedTo(server).map((s) => slotOf(s.id));
      for (const name of slots.drop) if (!used.includes(name)) disk.slots.delete(name);
    });
  }

  passOver(target: DbTarget, credentials: DbCredentials, used: UsedTimelines): Promise<boolean> {
    return this.#admin('passOver', target, credentials, [used], (server, disk) => {
      if (!this.passesOver) return false;
      for (let n = used.from; server.recovering && n <= used.to; n += 1) disk.passedOver.add(n);
      return true;
    });
  }

  promote(target: DbTarget, credentials: DbCredentials): Promise<void> {
    return this.#admin('promote', target, credentials, [], (server, disk) => {
      if (!server.recovering) return;
      server.recovering = false;
      // As `findNewestTimeLine` of PostgreSQL's timeline.c: the first number above its own without a history file.
      let timeline = last(disk).timeline + 1;
      while (disk.passedOver.has(timeline)) timeline += 1;
      disk.log = [...disk.log, this.entry({ ...last(disk), timeline }, 'none')];
    });
  }

  async verifyWritable(target: DbTarget, credentials: DbCredentials): Promise<Position> {
    const written = await this.#admin('verifyWritable', target, credentials, [], (server, disk) => {
      if (server.recovering) throw new NodeRefused(`${server.id} is in recovery: cannot write`);
      return { entry: this.append(server, false), position: positionOf(disk) };
    });
    const untilMs = this.aws.clock.nowMs() + ADMIN_DEADLINE_MS;
    for (;;) {
      this.settle();
      const server = this.server(target.instanceId);
      if (this.hears(server) === 'answers' && this.flushedBy(server)(written.entry)) return written.position;
      if (this.aws.clock.nowMs() >= untilMs) throw new NodeUnavailable(`${server.id}: no acknowledgement in time`);
      await this.aws.clock.sleep(100);
    }
  }

  checkpoint(target: DbTarget, credentials: DbCredentials): Promise<void> {
    return this.#admin('checkpoint', target, credentials, [], () => undefined);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #admin<T>(
    operation: string,
    target: DbTarget,
    credentials: DbCredentials,
    args: readonly unknown[],
    act: (server: Server, disk: Disk) => T,
  ): Promise<T> {
    const found = await this.aws.call(`PostgresAdmin.${operation}`, [target, credentials, ...args], () => {
      const said = this.heardAt(target);
      if (said !== 'answers') return { said };
      const server = this.server(target.instanceId);
      const value = act(server, this.diskOf(server));
      this.settle();
      return { value };
    });
    if ('value' in found) return found.value;
    if (found.said === 'silent' || found.said === 'unreachable') await this.aws.clock.sleep(ADMIN_DEADLINE_MS);
    throw new NodeUnavailable(`${target.instanceId}: ${operation}: ${found.said}`);
  }

  protected heardAt({ instanceId, host }: DbTarget): ReturnType<FakePostgresCluster['hears']> {
    if (this.hostOf(instanceId) !== host) throw new Error(`${instanceId} does not have the address ${host}`);
    return this.hears(this.server(instanceId));
  }
}
