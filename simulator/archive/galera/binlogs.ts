/**
 * Each Galera node's own binlog: the transactions that it applied, in files that are its own, of which the oldest are purged. Files lie
 * on the data volume: they go with it to another instance, and with what a state transfer erases.
 */
import type { GaleraModel } from '../../galera/cluster.ts';
import type { Branch, Data } from '../../galera/history.ts';
import { isPartOf } from '../../galera/history.ts';
import type { World } from '../../world.ts';
import * as events from './events.ts';
import type { Written } from './events.ts';

const MAGIC_BYTES = 4;
/** `max_binlog_size`, and what `binlog_expire_logs_seconds` comes to: in transactions, of which a client writes one a second. */
const FILE_WRITES = 40;
const KEPT_WRITES = 160;
/** What the nodes have logged before the night. */
const LOGGED_BEFORE = 60;

export interface Item {
  readonly offset: number;
  readonly bytes: Buffer;
  /** Null: it is no transaction. */
  readonly write: Written | null;
}

export interface LogFile {
  readonly name: string;
  /** The last transaction before it. */
  readonly after: number;
  /** From the format description on. */
  readonly items: Item[];
  bytes: number;
  writes: number;
}

export interface Binlog {
  readonly files: LogFile[];
  /** What is in with all of it. */
  end: Data;
  /** The run of a process that writes it; null: none does. */
  server: string | null;
}

/** In which history a seqno was written that somebody at this one has. */
export function ownerOf(branch: Branch, seqno: number): Branch {
  let owner = branch;
  while (owner.parent !== null && seqno <= owner.forkAt) owner = owner.parent;
  return owner;
}

export const keyOfWrite = ({ branch, seqno }: { readonly branch: number; readonly seqno: number }): string =>
  `${branch}/${seqno}`;

export const oldestOf = ({ files, end }: Binlog): number => files[0]?.after ?? end.seqno;

export class Binlogs {
  readonly #world: World;
  readonly #model: GaleraModel;
  readonly #ofVolume = new Map<string, Binlog>();
  readonly #atMs = new Map<string, number>();
  readonly #startMs: number;
  #journaled = 0;
  #names = 0;
  /** Files that a dump is reading now. */
  inUse: () => ReadonlySet<LogFile> = () => new Set();
  /** Every file that there was: a volume takes its files to another instance. */
  readonly known = new Map<string, LogFile>();

  constructor(world: World, model: GaleraModel) {
    this.#world = world;
    this.#model = model;
    this.#startMs = world.clock.nowMs();
  }

  /** As the instance has it now; null when it has none. */
  of(id: string): Binlog | null {
    const volume = this.#world.volumeOf(id);
    if (volume === null) return null;
    this.#follow(id, volume);
    return this.#ofVolume.get(volume) ?? null;
  }

  /** Once a second. */
  tick(): void {
    for (const { id, state } of this.#world.instancesOf()) if (state === 'running') this.of(id);
  }

  written(branch: Branch, seqno: number): Written {
    const owner = ownerOf(branch, seqno).id;
    const { journal } = this.#model;
    for (; this.#journaled < journal.length; this.#journaled += 1) {
      const told = journal[this.#journaled];
      if (told !== undefined) this.#atMs.set(`${told.branch.id}/${told.seqno}`, told.atMs);
    }
    const write = { branch: owner, seqno };
    return { ...write, atMs: this.#atMs.get(keyOfWrite(write)) ?? this.#startMs - 60_000 };
  }

  #follow(id: string, volume: string): void {
    const { process, joining, transfer, starts } = this.#model.node(id);
    const isDown = process === 'none' || joining || transfer?.kind === 'sst';
    const before = this.#ofVolume.get(volume);
    if (before !== undefined && (isDown || before.server !== serverOf(id, starts)))
      this.#close(volume, before, this.#model.data(id));
    if (isDown) return;
    const known = this.#ofVolume.get(volume);
    if (transfer !== null) {
      if (known !== undefined) this.#open(known, id, starts);
      return;
    }
    const data = this.#model.applied(id);
    if (data === null) return;
    const log = known !== undefined && isPartOf(lower(known.end, data), data) ? known : this.#made(volume, data);
    this.#open(log, id, starts);
    this.#append(log, data);
    this.#purge(log);
  }

  #made(volume: string, data: Data): Binlog {
    const isFirst = this.#world.clock.nowMs() === this.#startMs;
    const end = isFirst ? { ...data, seqno: data.seqno - LOGGED_BEFORE } : data;
    const log: Binlog = { files: [], end, server: null };
    this.#ofVolume.set(volume, log);
    return log;
  }

  #open(log: Binlog, id: string, starts: number): void {
    if (log.server !== null) return;
    log.server = serverOf(id, starts);
    this.#beginFile(log, this.#world.clock.nowMs());
  }

  /** The process has ended: its log holds what its data directory does (`sync_binlog=1`). */
  #close(volume: string, log: Binlog, disk: Data | null): void {
    if (disk === null || !isPartOf(lower(log.end, disk), disk)) {
      this.#ofVolume.delete(volume);
      return;
    }
    if (log.server === null) return;
    log.server = null;
    this.#append(log, disk);
    for (const file of log.files) cutAfter(file, disk.seqno);
    log.end = disk;
    const last = log.files.at(-1);
    if (disk.clean && last !== undefined) add(last, events.stop(last.bytes, this.#world.clock.nowMs()));
  }

  #append(log: Binlog, data: Data): void {
    for (let seqno = log.end.seqno + 1; seqno <= data.seqno; seqno += 1) {
      let file = log.files.at(-1);
      if (file === undefined) return;
      if (file.writes >= FILE_WRITES) file = this.#rotated(log, file);
      const write = this.written(data.branch, seqno);
      add(file, events.transaction(write, file.bytes), write);
      log.end = { ...data, seqno };
    }
    log.end = { ...data, seqno: Math.max(log.end.seqno, data.seqno) };
  }

  #rotated(log: Binlog, file: LogFile): LogFile {
    add(file, events.rotate(this.#nextName(), file.bytes, this.#world.clock.nowMs()));
    return this.#beginFile(log, null);
  }

  /** Numbers are one node's own; here no two files have the same, so that an object tells where it is from. */
  #nextName(): string {
    return `binlog.${String(this.#names + 1).padStart(6, '0')}`;
  }

  /** `createdMs`: only the first file of a server that was started has it. */
  #beginFile(log: Binlog, createdMs: number | null): LogFile {
    const name = this.#nextName();
    this.#names += 1;
    const atMs = this.#world.clock.nowMs();
    const file: LogFile = { name, after: log.end.seqno, items: [], bytes: MAGIC_BYTES, writes: 0 };
    add(file, events.formatDescription({ offset: file.bytes, atMs }, createdMs));
    add(file, events.gtidList(file.after, { offset: file.bytes, atMs }));
    add(file, events.checkpoint(name, file.bytes, atMs));
    log.files.push(file);
    this.known.set(name, file);
    return file;
  }

  #purge(log: Binlog): void {
    const inUse = this.inUse();
    for (;;) {
      const [first, second] = log.files;
      if (first === undefined || second === undefined || inUse.has(first)) return;
      if (log.end.seqno - second.after < KEPT_WRITES) return;
      log.files.shift();
    }
  }
}

const serverOf = (id: string, starts: number): string => `${id} ${starts}`;

/** A crash took what comes after it. */
function cutAfter(file: LogFile, seqno: number): void {
  const cut = file.items.findIndex(({ write }) => write !== null && write.seqno > seqno);
  if (cut < 0) return;
  file.items.splice(cut);
  const last = file.items.at(-1);
  file.bytes = last === undefined ? MAGIC_BYTES : last.offset + last.bytes.length;
  file.writes = file.items.filter(({ write }) => write !== null).length;
}

/** The end that is left when the disk holds less. */
const lower = (end: Data, data: Data): Data => (end.seqno <= data.seqno ? end : { ...end, seqno: data.seqno });

function add(file: LogFile, bytes: Buffer, write: Written | null = null): void {
  file.items.push({ offset: file.bytes, bytes, write });
  file.bytes += bytes.length;
  if (write !== null) file.writes += 1;
}
