/** The execution environments of one function: kept warm, reused, replaced when they die. */
import type { FunctionSpec } from './contract.ts';
import type { ArmedKill } from './kills.ts';
import type { Container } from './lambda-container.ts';
import type { FunctionLog } from './lambda-log.ts';

export interface Slot {
  readonly container: Container;
  /** Of the invocation that it runs. */
  requestId: string | null;
  kill: ArmedKill | null;
}

export interface Taken {
  readonly slot: Slot;
  readonly coldStart: boolean;
}

export class FunctionPool {
  readonly spec: FunctionSpec;
  readonly log: FunctionLog;
  private readonly limit: number;
  private readonly start: (log: FunctionLog) => Container;
  private readonly slots = new Map<string, Slot>();
  /** Last in, first out, as Lambda prefers the warmest. */
  private readonly idle: Slot[] = [];

  constructor(spec: FunctionSpec, limit: number, log: FunctionLog, start: (log: FunctionLog) => Container) {
    this.spec = spec;
    this.limit = limit;
    this.log = log;
    this.start = start;
  }

  /** A warm one, or a new one while the function's concurrency allows; null when it does not. */
  take(): Taken | null {
    for (let slot = this.idle.pop(); slot !== undefined; slot = this.idle.pop()) {
      if (slot.container.alive) return { slot, coldStart: false };
      this.drop(slot);
    }
    return this.slots.size < this.limit ? { slot: this.add(), coldStart: true } : null;
  }

  /** It can run another invocation. A dropped one stays dropped. */
  release(slot: Slot): void {
    if (this.slots.has(slot.container.token)) this.idle.push(slot);
  }

  /** Kills it and forgets it. */
  drop(slot: Slot): void {
    this.slots.delete(slot.container.token);
    const at = this.idle.indexOf(slot);
    if (at >= 0) this.idle.splice(at, 1);
    slot.container.kill();
  }

  dropAll(): void {
    for (const slot of [...this.slots.values()]) this.drop(slot);
  }

  /** Starts one when there is none, and waits until its bundle is loaded. */
  async prewarm(): Promise<void> {
    if (this.slots.size > 0) return;
    const slot = this.add();
    await slot.container.initialised;
    if (slot.container.alive) this.release(slot);
    else this.drop(slot);
  }

  /** The one whose credentials carry this session token. */
  holding(token: string): Slot | null {
    return this.slots.get(token) ?? null;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.slots.values()].map((slot) => slot.container.stop()));
    await this.log.close();
  }

  private add(): Slot {
    const slot: Slot = { container: this.start(this.log), requestId: null, kill: null };
    this.slots.set(slot.container.token, slot);
    return slot;
  }
}
