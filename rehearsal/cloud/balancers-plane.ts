/** From decisions about targets to the HAProxy processes that carry them out: in order, and after the propagation time. */
import type { Haproxy, ServerMode } from './haproxy.ts';

export interface PlaneContext {
  inBackground(what: string, task: () => Promise<void>): void;
  /** False when everything stops. */
  wait(ms: number): Promise<boolean>;
  /** From a decision to the data plane that carries it out. */
  readonly propagationMs: number;
}

/** What one target should get. */
export interface Steering {
  readonly key: string;
  readonly address: string;
  readonly port: number;
  readonly mode: ServerMode;
}

export class DataPlane {
  private readonly ctx: PlaneContext;
  private readonly name: string;
  private readonly proxies: Haproxy[] = [];
  private line: Promise<void> = Promise.resolve();

  constructor(ctx: PlaneContext, name: string) {
    this.ctx = ctx;
    this.name = name;
  }

  inUse(): boolean {
    return this.proxies.length > 0;
  }

  /** All that was decided so far (and whose propagation time is over) is done. Its failures were told elsewhere. */
  settled(): Promise<void> {
    return this.line.catch(() => undefined);
  }

  async attach(proxy: Haproxy, decided: readonly Steering[]): Promise<void> {
    this.proxies.push(proxy);
    await this.steer(decided);
  }

  /**
   * What was decided reaches the balancers after the propagation time; connections of `cut` are ended once nobody new
   * can come. All changes take the same time, so they arrive in the order in which they were decided.
   */
  propagate(why: string, decided: readonly Steering[], cut: string | null, then: () => void = () => undefined): void {
    const arrive = (): void =>
      this.inLine(why, async () => {
        await this.steer(decided);
        if (cut !== null) for (const proxy of this.proxies) await proxy.cut(cut);
        then();
      });
    if (this.ctx.propagationMs === 0) return arrive();
    this.ctx.inBackground(`${why} on its way`, async () => {
      if (await this.ctx.wait(this.ctx.propagationMs)) arrive();
    });
  }

  /**
   * Takes a server out, unless it is wanted again. Without connection termination its connections live on past the
   * deregistration delay: the server goes when the last has ended.
   */
  remove(key: string, isWanted: () => boolean): void {
    this.ctx.inBackground(`removal of ${key}`, async () => {
      while (!(await this.tryRemove(key, isWanted))) if (!(await this.ctx.wait(500))) return;
    });
  }

  private async tryRemove(key: string, isWanted: () => boolean): Promise<boolean> {
    let left = false;
    await new Promise<void>((resolve) => {
      this.inLine(`removal of ${key}`, async () => {
        try {
          if (!isWanted()) for (const proxy of this.proxies) left = !(await proxy.remove(key)) || left;
        } finally {
          resolve();
        }
      });
    });
    return !left;
  }

  private async steer(decided: readonly Steering[]): Promise<void> {
    for (const proxy of this.proxies) {
      for (const { key, address, port, mode } of decided) await proxy.set(key, address, port, mode);
    }
  }

  private inLine(what: string, task: () => Promise<void>): void {
    this.ctx.inBackground(`${what} in ${this.name}`, async () => {
      const before = this.settled();
      this.line = before.then(task);
      await this.line;
    });
  }
}
