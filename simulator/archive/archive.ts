/**
 * The archive of the simulated cluster: the real shippers, the minute of `archive`, retention and the restore's plan, over S3 and leases
 * as bad as the night's weather. It has chance of its own, so that what it does changes nothing of what befalls the cluster.
 */
import { ship } from '../../lambdas/archive/ship/run.ts';
import type { ShipPorts } from '../../lambdas/archive/ship/ports.ts';
import type { HostCommands, PostgresAdmin, Prober, Specs } from '../../lambdas/cloud/ports.ts';
import type { ArchiveSpec, ClusterSpec } from '../../lambdas/model/spec.ts';
import { Actor } from '../actor.ts';
import { Account } from '../aws/account.ts';
import { LIMITS } from '../aws/limits.ts';
import { Plane } from '../plane.ts';
import { Random } from '../random.ts';
import type { World } from '../world.ts';
import { SimBackups } from './backups.ts';
import { SimBucket } from './bucket.ts';
import { Keeper } from './keeper.ts';
import { Restorer } from './restorer.ts';
import type { ArchiveSide } from './side.ts';
import { Truth } from './truth.ts';

/** `retentionDays`: of the days before the night there are bases and log (`keeper.ts`). */
const ARCHIVE: ArchiveSpec = { bucket: 'archive', rpoSeconds: 20, retentionDays: 1, baseBackupSeconds: 600 };
/** In production 15 minutes: here shorter, so that a night has many handovers. */
const TIMEOUT_MS = 150_000;
/** A shipper looks every 100 ms what is due; here less often, which only costs time. */
const TICK_MS = 1000;
const OFTEN_SECONDS = 1200;
const SLOW_PUT_MS = [500, 20_000] as const;

/** What the functions of the archive have, beside what all have. */
export interface ArchivePorts extends ShipPorts {
  readonly prober: Prober;
  readonly admin: PostgresAdmin;
  readonly hosts: HostCommands;
}

export class SimArchive {
  readonly random: Random;
  readonly spec: ClusterSpec;
  readonly side: ArchiveSide;
  readonly truth: Truth;
  readonly bucket: SimBucket;
  readonly backups: SimBackups;
  readonly restorer: Restorer;
  readonly keeper: Keeper;
  readonly #world: World;
  readonly #plane: Plane;
  readonly #actors = new Set<Actor>();
  #started = 0;
  #seconds = 0;

  constructor(world: World, seed: number, sideOf: (archive: SimArchive) => ArchiveSide) {
    this.#world = world;
    this.random = new Random(seed ^ 0xa5c41);
    this.spec = { ...world.spec, archive: ARCHIVE };
    this.side = sideOf(this);
    this.truth = new Truth(world, this.side);
    this.bucket = new SimBucket(world, this.truth);
    this.backups = new SimBackups(world, this);
    this.restorer = new Restorer(world, this);
    this.keeper = new Keeper(world, this);
    const { leases, ledger, secrets, hosts, log, metrics } = world.cloud;
    const cloud = {
      ...{ leases, ledger, secrets, hosts, log, metrics, bucket: this.bucket, starts: this.backups },
      // Looked at without a trace: nothing of the cluster moves because the archive looks.
      instances: {
        ofCluster: async (name: string) => (name === world.spec.name ? world.instancesOf() : []),
        byIds: async (ids: readonly string[]) => ids.flatMap((id) => world.aws.instances.get(id) ?? []),
      },
      specs: this.#specs(),
      prober: this.side.prober,
      admin: this.side.admin,
    };
    // Its requests take nothing from the cluster's buckets.
    const account = new Account(world.clock, this.random, LIMITS);
    const own = { random: { value: this.random }, cloud: { value: cloud }, account: { value: account } };
    this.#plane = new Plane(Object.create(world, own) as World);
  }

  begin(): void {
    const { clock } = this.#world;
    const tick = (): void => {
      this.#tick();
      clock.in(1000, tick);
    };
    clock.in(500, tick);
  }

  /** Every invocation under way ends. */
  off(): void {
    for (const actor of this.#actors) actor.die('Runtime.ExitError', 'the plane is switched off');
  }

  /** The faults are over. */
  calm(): void {
    this.bucket.awayUntilMs = 0;
  }

  /** What is not as it should be; nothing once all that was acknowledged some time ago is in S3. */
  unfinished(): readonly string[] {
    const behind = this.side.behind();
    return behind === null ? [] : [`the archive lacks ${behind}`];
  }

  #tick(): void {
    const { planeOn, weather } = this.#world;
    this.side.tick();
    this.truth.tick();
    if (this.#seconds % 60 === 1 && planeOn) {
      this.ship();
      if (this.random.chance(weather.invokedTwice)) this.#world.clock.in(this.random.int(0, 4000), () => this.ship());
    }
    if (this.#isDue(120, 3) && planeOn) this.keeper.minute();
    if (this.#isDue(60, 29) && planeOn) this.restorer.ask();
    // S3 is away only while the weather is bad.
    if (weather.fails > 0 && this.random.chance(weather.fails / 60)) {
      const seconds = this.random.int(5, 150);
      this.bucket.awayUntilMs = this.#world.clock.nowMs() + seconds * 1000;
      this.#world.story.tell('s3', `is away for ${seconds} s`);
    }
    this.#seconds += 1;
  }

  /** A night that does not heal is long: what looks at the whole archive comes seldom by then. */
  #isDue(everySeconds: number, at: number): boolean {
    return this.#seconds % (this.#seconds < OFTEN_SECONDS ? everySeconds : 10 * everySeconds) === at;
  }

  /** One invocation of the shipper. */
  ship(): void {
    if (!this.#world.planeOn) return;
    this.#started += 1;
    const name = `ship-${this.#started}`;
    void this.invoke(name, TIMEOUT_MS, (ports, actor) => {
      const deadlineMs = ports.clock.nowMs() + TIMEOUT_MS;
      return ship({ cluster: this.spec.name, holder: actor.name, deadlineMs }, ports, this.side.shipper(ports, actor));
    }).then(
      (outcome) => this.#world.story.tell(name, outcome),
      (error: unknown) => this.#world.story.tell(name, String(error)),
    );
  }

  invoke<T>(name: string, timeoutMs: number, work: (ports: ArchivePorts, actor: Actor) => Promise<T>): Promise<T> {
    const actor = new Actor(name, null, this.random.int(-300, 300));
    this.#actors.add(actor);
    return new Promise((resolve, reject) => {
      const end = (): boolean => this.#actors.delete(actor) && !actor.dead;
      actor.onDeath = (error) => {
        this.#actors.delete(actor);
        reject(error);
      };
      this.#world.clock.in(timeoutMs, () => {
        if (this.#actors.has(actor)) actor.die('Sandbox.Timedout', `timed out after ${timeoutMs / 1000} s`);
      });
      work(this.#portsOf(actor), actor).then(
        (value) => void (end() && resolve(value)),
        (error: unknown) => void (end() && reject(error instanceof Error ? error : new Error(String(error)))),
      );
    });
  }

  #portsOf(actor: Actor): ArchivePorts {
    const ports = this.#plane.portsOf(actor) as unknown as ArchivePorts & { readonly bucket: SimBucket };
    const list = async function* (...asked: Parameters<SimBucket['listed']>) {
      yield* await ports.bucket.listed(...asked);
    };
    const { clock } = ports;
    const put: SimBucket['put'] = async (key, body) => {
      if (actor.name.startsWith('ship-')) this.truth.ships(actor);
      // Some take long, so that later pieces are there before: a shipper that is killed by then leaves a hole.
      if (this.random.chance(this.#world.weather.kill)) await clock.sleep(this.random.int(...SLOW_PUT_MS));
      return ports.bucket.put(key, body);
    };
    return {
      ...ports,
      bucket: Object.create(ports.bucket, { list: { value: list }, put: { value: put } }) as ArchivePorts['bucket'],
      clock: { nowMs: () => clock.nowMs(), sleep: (ms) => clock.sleep(ms === 100 ? TICK_MS : ms) },
      log: this.#logOf(actor),
      /** As it is: what zstd's threads make comes when they are done, which is another moment in each run. */
      frame: async (chunks, take) => {
        const frame = take(chunks.reduce((sum, c) => sum + c.length, 0));
        let at = 0;
        for (const chunk of chunks) {
          frame.set(chunk, at);
          at += chunk.length;
        }
        return frame;
      },
      // An invocation of itself is asked for, and may be lost: the next minute's comes anyway.
      handOver: async () => {
        if (this.random.chance(this.#world.weather.eventLost / 4)) return;
        this.#world.clock.in(this.random.int(50, 800), () => this.ship());
      },
    };
  }

  #logOf(actor: Actor): ShipPorts['log'] {
    const tell = (message: string, extra: Record<string, unknown> = {}): void => {
      const { error, why } = extra;
      const detail = error instanceof Error ? String(error) : typeof why === 'string' ? why : '';
      this.#world.story.tell(actor.name, `${message} ${detail}`.trim());
    };
    return { info: () => undefined, warn: tell, error: tell };
  }

  #specs(): Specs {
    const result = { ok: true, spec: this.spec } as const;
    return {
      get: async (cluster) => (cluster === this.spec.name ? result : null),
      list: async () => [{ cluster: this.spec.name, result }],
    };
  }
}
