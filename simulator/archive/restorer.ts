/** People who ask the restore's planner: it must refuse what cannot be, and plan what can (safety rule 11). */
import { restoring } from '../../lambdas/restore/steps.ts';
import type { RestoreState } from '../../lambdas/restore/state.ts';
import type { RecoveryPorts } from '../../lambdas/recovery/ports.ts';
import { runStep } from '../../lambdas/recovery/step.ts';
import { CloudUnavailable } from '../../lambdas/cloud/ports.ts';
import type { World } from '../world.ts';
import type { ArchivePorts, SimArchive } from './archive.ts';
import type { Asked } from './side.ts';

const TIMEOUT_MS = 60_000;
const EXECUTION = 'arn:aws:states:eu-west-1:123456789012:execution:rejoin-restore:';

export class Restorer {
  readonly #world: World;
  readonly #archive: SimArchive;
  #asked = 0;
  accepted = 0;
  refused = 0;

  constructor(world: World, archive: SimArchive) {
    this.#world = world;
    this.#archive = archive;
  }

  ask(): void {
    const asked = this.#perhapsOdd() ?? this.#archive.side.ask();
    if (asked === null) return;
    this.#asked += 1;
    const name = `restore-${this.#asked}`;
    void this.#archive
      .invoke(name, TIMEOUT_MS, (ports) => this.#plan(name, asked, ports))
      .then(null, (e: unknown) => {
        // Killed, or timed out: Step Functions would try again.
        this.#world.story.tell(name, String(e));
      });
  }

  /** What is refused whatever the archive has. */
  #perhapsOdd(): Asked | null {
    const { random, spec } = this.#archive;
    if (!random.chance(0.25)) return null;
    const iso = (ms: number): string => new Date(ms).toISOString().slice(0, 19);
    const nowMs = this.#world.clock.nowMs();
    const odd: readonly Asked[] = [
      { target: iso(nowMs - 60_000), must: 'refuse', why: 'a time without a zone' },
      { target: `${iso(nowMs + 120_000)}Z`, must: 'refuse', why: 'a moment in the future' },
      { target: `${iso(nowMs - 90 * 86_400_000)}Z`, must: 'refuse', why: 'a moment before everything' },
      { target: 'latest', as: spec.name, must: 'refuse', why: 'the name of the live cluster' },
    ];
    return random.pick(odd) ?? null;
  }

  async #plan(name: string, asked: Asked, ports: ArchivePorts): Promise<void> {
    const { guard, story, spec } = this.#world;
    const capability = restoring({ bucket: ports.bucket, bucketName: 'archive' });
    const event = (step: string, state: object) => ({
      ...{ step, execution: `${EXECUTION}${name}`, started: new Date(this.#world.clock.nowMs()).toISOString() },
      state: { cluster: spec.name, target: asked.target, dryRun: true, as: asked.as ?? null, ...state },
    });
    const run = (step: string, state: object = {}): Promise<RestoreState> =>
      runStep(capability, event(step, state), ports as unknown as RecoveryPorts);
    try {
      const { plan } = await run('Plan');
      this.accepted += 1;
      if (asked.must === 'refuse') guard.violate('11', `${asked.target} is planned: ${asked.why}`);
      const wrong = plan === null ? 'there is no plan' : this.#archive.side.judge(asked, plan);
      if (wrong !== null) guard.violate('11', `the plan for ${asked.target}: ${wrong}`);
      await this.#touches(plan, run);
    } catch (error) {
      if (error instanceof CloudUnavailable) throw error;
      if (!(error instanceof Error) || error.name !== 'RestoreRefused') throw error;
      this.refused += 1;
      story.tell(name, error.message);
      if (asked.must === 'accept') guard.violate('11', `${asked.target} is refused (${error.message}): ${asked.why}`);
    }
  }

  /** A state that names a live member: nothing may be done to it. */
  async #touches(
    plan: RestoreState['plan'],
    run: (step: string, state: object) => Promise<RestoreState>,
  ): Promise<void> {
    const { instancesOf, guard } = this.#world;
    const member = this.#archive.random.pick(instancesOf().filter((i) => i.state === 'running'));
    if (member === undefined) return;
    try {
      await run('Prepare', { plan, joiner: member.id });
    } catch (error) {
      if (error instanceof Error && error.name === 'RestoreFailed') return;
      throw error;
    }
    guard.violate('11', `a restore prepares ${member.id}, which is a live member`);
  }
}
