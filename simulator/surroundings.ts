/** What goes on by itself: hosts, health checks, events, the schedule, and a client that writes. */
import type { TargetState } from '../lambdas/model/view.ts';
import type { World } from './world.ts';

const TICK_MS = 500;
const HEALTH_CHECK_TICKS = 10;
const CLIENT_TICKS = 2;
const MINUTE_TICKS = 120;

export class Surroundings {
  readonly #world: World;
  readonly #states = new Map<string, string>();
  readonly #failing = new Map<string, number>();
  readonly #endedAtMs = new Map<string, number>();
  #ticks = 0;

  constructor(world: World) {
    this.#world = world;
  }

  begin(): void {
    const { clock } = this.#world;
    const tick = (): void => {
      this.#tick();
      clock.in(TICK_MS, tick);
    };
    clock.in(0, tick);
  }

  #tick(): void {
    const { aws, cloud, database, guard, functions, planeOn } = this.#world;
    if (this.#ticks % 4 === 0) void cloud.instances.byIds([]);
    database.tick();
    if (this.#ticks % CLIENT_TICKS === 0) this.#write();
    if (this.#ticks % HEALTH_CHECK_TICKS === 0) this.#checkHealth();
    if (this.#ticks % MINUTE_TICKS === 0 && planeOn) functions.watch();
    this.#forget();
    this.#tellStates();
    guard.tick();
    aws.calls.length = 0;
    this.#ticks += 1;
  }

  #write(): void {
    const { aws, groups, random, database, unattended } = this.#world;
    const targets = [...(aws.targetGroups.get(groups.writer)?.targets.values() ?? [])].filter(
      (t) => t.state !== 'draining',
    );
    const healthy = targets.filter((t) => t.state === 'healthy');
    const to = random.pick(healthy.length > 0 ? healthy : targets);
    unattended.wrote(database.clients(to?.id));
  }

  /** NLB: a TCP check; a hung process still accepts. Two failures in a row make a target unhealthy. */
  #checkHealth(): void {
    for (const group of this.#world.aws.targetGroups.values()) {
      for (const [key, t] of group.targets) {
        if (t.state === 'draining' || this.#world.isForeign(t.id)) continue;
        group.targets.set(key, { ...t, state: this.#health(key, t.id, t.state) });
      }
    }
  }

  #health(key: string, id: string, before: TargetState): TargetState {
    const { aws, database } = this.#world;
    if (aws.instances.get(id)?.state !== 'running') return 'unused';
    const listens = this.#world.hostRuns(id) && database.listens(id);
    const failures = listens ? 0 : (this.#failing.get(key) ?? 0) + 1;
    this.#failing.set(key, failures);
    return failures === 0 ? 'healthy' : failures === 1 ? before : 'unhealthy';
  }

  #tellStates(): void {
    for (const { id, state } of this.#world.instancesOf()) {
      if (this.#states.get(id) === state) continue;
      const first = !this.#states.has(id);
      this.#states.set(id, state);
      if (state === 'terminated') this.#endedAtMs.set(id, this.#world.clock.nowMs());
      if (first && this.#ticks === 0) continue;
      this.#world.story.tell('ec2', `${id} is ${state}`);
      this.#world.emit('aws.ec2', 'EC2 Instance State-change Notification', { 'instance-id': id, state });
    }
  }

  /** EC2 describes for a while what has been terminated, and then knows nothing of it. */
  #forget(): void {
    const { aws, clock, weather, story } = this.#world;
    for (const [id, endedAtMs] of this.#endedAtMs) {
      if (clock.nowMs() - endedAtMs < weather.forgetsMs) continue;
      this.#endedAtMs.delete(id);
      aws.instances.delete(id);
      story.tell('ec2', `${id} is forgotten`);
    }
  }
}
