/** A dump of a node's binlog, as MariaDB's dump thread sends it; what it sends is read by the product's own `EventReader`. */
import type { Dump } from '../../../lambdas/archive/ship/galera/ports.ts';
import { ConnectionEnded } from '../../../lambdas/engines/errors.ts';
import type { EventPart } from '../../../lambdas/engines/galera/binlog/reader.ts';
import { EventReader } from '../../../lambdas/engines/galera/binlog/reader.ts';
import type { Actor } from '../../actor.ts';
import { never } from '../../actor.ts';
import type { World } from '../../world.ts';
import type { Binlog, Item, LogFile } from './binlogs.ts';
import { oldestOf } from './binlogs.ts';
import { artificialGtidList, artificialRotate, withoutCreated } from './events.ts';
import type { Says } from './servers.ts';

/** The real one answers within 100 ms; here less often, which only costs time. */
const EVERY_MS = 1000;
const PATIENCE_MS = 10_000;
const ERROR = Buffer.from([0xff, 0xd4, 0x04, ...Buffer.from('#HY000')]);
const END = Buffer.from([0xfe]);
const HEAD_BYTES = 4;

export interface DumpOf {
  readonly binlog: Binlog;
  /** What comes after this transaction. */
  readonly from: number;
  readonly follow: boolean;
  says(): Says;
  /** Does the network lose the connection now. */
  breaks(): boolean;
}

export class SimDump implements Dump {
  readonly #world: World;
  readonly #actor: Actor;
  readonly #of: DumpOf;
  readonly #reader = new EventReader();
  #sequence = 0;
  #file: LogFile | null = null;
  /** Of the file's items, how many were sent or passed over. */
  #sent = 0;
  #skips = true;
  #heardMs: number;
  #over: string | null = null;

  constructor(world: World, actor: Actor, of: DumpOf) {
    this.#world = world;
    this.#actor = actor;
    this.#of = of;
    this.#heardMs = world.clock.nowMs();
  }

  /** The file that the server has open for it. */
  get reading(): LogFile | null {
    return this.#actor.dead || this.#over !== null ? null : this.#file;
  }

  replaced(): void {
    this.#over ??= 'a replica with the same server_id has connected';
  }

  close(): void {
    this.#over ??= 'the connection was closed';
  }

  async read(): Promise<readonly EventPart[] | null> {
    const said = await this.#come();
    if (said === null) return null;
    if (said.length > 0) return said;
    await this.#world.clock.sleep(EVERY_MS);
    return this.#come();
  }

  async #come(): Promise<readonly EventPart[] | null> {
    if (this.#actor.dead) return never();
    if (this.#of.breaks()) this.close();
    if (this.#over !== null) throw new ConnectionEnded(this.#over);
    const says = this.#of.says();
    const nowMs = this.#world.clock.nowMs();
    if (says !== 'silent') this.#heardMs = nowMs;
    if (says === 'refused') throw new ConnectionEnded('the server closed the connection');
    if (says === 'silent') {
      if (nowMs - this.#heardMs >= PATIENCE_MS)
        throw new ConnectionEnded(`the server said nothing for ${PATIENCE_MS} ms`);
      return [];
    }
    const parts = this.#reader.push(Buffer.concat(this.#messages().map((m) => this.#packet(m))));
    return parts.length === 0 && this.#reader.ended ? null : parts;
  }

  /** What the server has to say by now. */
  #messages(): readonly Buffer[] {
    const messages: Buffer[] = [];
    const event = (bytes: Buffer): number => messages.push(Buffer.concat([Buffer.from([0]), bytes]));
    if (this.#file === null) {
      const wrong = this.#isNotToBeHad();
      if (wrong !== null) return [Buffer.concat([ERROR, Buffer.from(wrong)])];
      const file = this.#of.binlog.files.findLast((f) => f.after <= this.#of.from);
      if (file === undefined) return [];
      this.#begin(file, event);
    }
    for (;;) {
      if (this.#file === null) return messages;
      this.#sendItems(this.#file, event);
      const { files } = this.#of.binlog;
      const next = files[files.indexOf(this.#file) + 1];
      if (next === undefined) break;
      this.#begin(next, event);
    }
    if (!this.#of.follow) messages.push(END);
    return messages;
  }

  #isNotToBeHad(): string | null {
    const { binlog, from } = this.#of;
    if (from > binlog.end.seqno)
      return `connecting slave requested to start from GTID 0-1-${from}, which is not in the master's binlog`;
    return from < oldestOf(binlog) ? 'Could not find GTID state requested by slave in any binlog files' : null;
  }

  #begin(file: LogFile, event: (bytes: Buffer) => void): void {
    const isFirst = this.#file === null;
    this.#file = file;
    this.#sent = 1;
    event(artificialRotate(file.name));
    const format = file.items[0]?.bytes;
    if (format !== undefined) event(isFirst && this.#of.from > 0 ? withoutCreated(format) : format);
  }

  #sendItems(file: LogFile, event: (bytes: Buffer) => void): void {
    let passed = false;
    for (; this.#sent < file.items.length; this.#sent += 1) {
      const item = file.items[this.#sent];
      if (item === undefined) return;
      if (this.#skips && item.write !== null && item.write.seqno <= this.#of.from) {
        passed = true;
        continue;
      }
      if (this.#skips && item.write !== null) {
        this.#skips = false;
        if (passed) event(artificialGtidList(this.#of.from));
      }
      eventsOf(item).forEach(event);
    }
  }

  #packet(message: Buffer): Buffer {
    this.#sequence += 1;
    const packet = Buffer.alloc(HEAD_BYTES + message.length);
    packet.writeUIntLE(message.length, 0, 3);
    packet.writeUInt8(this.#sequence % 256, 3);
    message.copy(packet, HEAD_BYTES);
    return packet;
  }
}

/** A transaction's events, one by one. */
function eventsOf({ bytes }: Item): readonly Buffer[] {
  const events: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32LE(at + 9);
    events.push(bytes.subarray(at, at + length));
    at += length;
  }
  return events;
}
