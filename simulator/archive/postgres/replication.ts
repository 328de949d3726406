/** A session of streaming replication, as `lambdas/engines/postgres/replication.ts` has it above its socket. */
import type { DbTarget } from '../../../lambdas/cloud/ports.ts';
import { StatementRefused } from '../../../lambdas/engines/postgres/connection.ts';
import { ConnectionEnded, Refused } from '../../../lambdas/engines/errors.ts';
import type {
  ReplicationSession,
  ServerIdentity,
  StreamEnd,
  StreamEvents,
  StreamRequest,
} from '../../../lambdas/engines/postgres/replication.ts';
import type { Disk } from '../../../test/fakes/postgres-cluster.ts';
import { lsnText, positionOf } from '../../../test/fakes/postgres-cluster.ts';
import type { Actor } from '../../actor.ts';
import { never } from '../../actor.ts';
import type { World } from '../../world.ts';
import type { ArchiveNodes } from './nodes.ts';
import { SEGMENT_BYTES } from './nodes.ts';
import type { Wal } from './wal.ts';
import { bytesOf, historyOf, stretchOf } from './wal.ts';

const EVERY_MS = 1000;
/** A server that says nothing for so long is lost. */
const SILENT_MS = 5000;

export class SimReplication implements ReplicationSession {
  readonly #world: World;
  readonly #nodes: ArchiveNodes;
  readonly #wal: Wal;
  readonly #actor: Actor;
  readonly #target: DbTarget;
  readonly #disk: Disk;
  #paused = false;
  #ended: StreamEnd | null = null;
  #finish: (end: StreamEnd) => void = () => undefined;

  private constructor(world: World, nodes: ArchiveNodes, wal: Wal, actor: Actor, target: DbTarget, disk: Disk) {
    this.#world = world;
    this.#nodes = nodes;
    this.#wal = wal;
    this.#actor = actor;
    this.#target = target;
    this.#disk = disk;
  }

  static async open(
    world: World,
    nodes: ArchiveNodes,
    wal: Wal,
    actor: Actor,
    target: DbTarget,
  ): Promise<SimReplication> {
    const disk = await nodes.diskAt(target).catch((error: unknown) => {
      throw new Refused(String(error));
    });
    return new SimReplication(world, nodes, wal, actor, target, disk);
  }

  async identify(): Promise<ServerIdentity> {
    this.#lives();
    const { timeline, lsn } = positionOf(this.#disk);
    return { systemId: this.#disk.systemId, timeline, lsn, segmentBytes: SEGMENT_BYTES };
  }

  async slotKeepsFrom(): Promise<string | null> {
    this.#lives();
    const { slot } = this.#nodes.keptOn(this.#disk);
    return slot === null || slot.lost ? null : lsnText(slot.at);
  }

  async timelineHistory(timeline: number): Promise<string | null> {
    this.#lives();
    return historyOf(this.#disk.log, timeline);
  }

  async stream(request: StreamRequest, events: StreamEvents): Promise<StreamEnd> {
    this.#lives();
    const { slot, removedTo } = this.#nodes.keptOn(this.#disk);
    if (slot === null) throw new StatementRefused('the slot does not exist', '42704');
    if (slot.user !== null) throw new StatementRefused('the slot is active', '55006');
    if (Number(request.start) < removedTo) throw new StatementRefused('that WAL has been removed', '58P01');
    const stretch = stretchOf(this.#disk.log, request.timeline);
    if (stretch === null) throw new StatementRefused('the timeline is not in this server’s history', 'XX000');
    if (Number(request.start) > stretch.end) throw new StatementRefused('the place lies ahead of the log', 'XX000');
    this.#wal.begins(this.#target.instanceId, this.#disk.log, Number(request.start));
    slot.user = this;
    const ended = new Promise<StreamEnd>((resolve) => {
      this.#finish = resolve;
      if (this.#ended !== null) resolve(this.#ended);
    });
    void this.#send(request, events).finally(() => {
      if (slot.user === this) slot.user = null;
    });
    return this.#actor.dead ? never() : ended;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  end(why: string): void {
    this.#over({ kind: 'ended', why });
  }

  #over(end: StreamEnd): void {
    this.#ended ??= end;
    this.#finish(this.#ended);
  }

  /** What the server does, until one of both ends it. */
  async #send({ timeline, start }: StreamRequest, events: StreamEvents): Promise<void> {
    const { clock } = this.#world;
    let at = Number(start);
    let heardMs = clock.nowMs();
    this.#report(events);
    while (this.#ended === null && !this.#actor.dead) {
      const state = this.#state();
      if (state !== 'silent') heardMs = clock.nowMs();
      const stretch = stretchOf(this.#disk.log, timeline);
      if (state === 'gone' || stretch === null || stretch.end < at) return this.end('the server closed the connection');
      if (clock.nowMs() - heardMs > SILENT_MS) return this.end(`the server has said nothing for ${SILENT_MS} ms`);
      if (state === 'answers' && !this.#paused) {
        if (stretch.end > at) {
          this.#wal.sends(this.#disk.log);
          events.wal(BigInt(at), bytesOf(this.#disk.log, at, stretch.end));
          at = stretch.end;
        }
        events.told(BigInt(at), clock.nowMs(), true);
      }
      if (state === 'answers') this.#report(events);
      if (stretch.next !== null && at === stretch.end) {
        return this.#over({ kind: 'switched', timeline: stretch.next, lsn: lsnText(at) });
      }
      await clock.sleep(EVERY_MS);
    }
  }

  /** The server takes what it is told for its own: it may remove what lies before. */
  #report(events: StreamEvents): void {
    const safe = Number(events.position().safe);
    this.#wal.confirmed(this.#actor.name, this.#disk.log, safe);
    const { slot } = this.#nodes.keptOn(this.#disk);
    if (slot !== null) slot.at = Math.max(slot.at, safe);
  }

  #state(): 'answers' | 'silent' | 'gone' {
    const { instanceId, host } = this.#target;
    const said = this.#nodes.says(instanceId, host);
    if (said === 'silent' || said === 'unreachable') return 'silent';
    return said === 'answers' && this.#nodes.diskOf(instanceId) === this.#disk ? 'answers' : 'gone';
  }

  #lives(): void {
    if (this.#ended !== null || this.#state() !== 'answers') throw new ConnectionEnded('the connection was closed');
  }
}
