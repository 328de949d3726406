/** The hosts: Run Command, which may fail, be late, or never arrive. What a script does is the engine's. */
import type { CommandState, HostCommands } from '../lambdas/cloud/ports.ts';
import { failed } from './side.ts';
import type { ScriptEnd } from './side.ts';
import type { World } from './world.ts';

type Parameters_ = Readonly<Record<string, string>>;

/** SSM gives up on a host that does not answer. */
const UNDELIVERABLE_MS = 60_000;

export class SimHosts implements HostCommands {
  readonly #world: World;
  readonly #commands = new Map<string, CommandState>();
  constructor(world: World) {
    this.#world = world;
  }

  async online(ids: readonly string[]): Promise<readonly string[]> {
    return ids.filter((id) => this.#world.hostRuns(id) && !this.#world.mute.has(id));
  }

  async start(id: string, document: string, parameters: Parameters_): Promise<string> {
    const { random, clock } = this.#world;
    const command = `command-${this.#world.aws.nextNumber()}`;
    this.#commands.set(command, { kind: 'running' });
    const end = (state: CommandState): void => {
      this.#commands.set(command, state);
      const why = state.kind === 'failed' ? `failed: ${state.error}` : 'ended';
      this.#world.story.tell(id, `${document} ${why}`);
    };
    if ((await this.online([id])).length === 0) clock.in(UNDELIVERABLE_MS, () => end(failed(-1, 'Undeliverable')));
    else clock.in(random.int(300, 2500), () => this.#run(id, document, parameters, end));
    return command;
  }

  async state(_id: string, command: string): Promise<CommandState> {
    return this.#commands.get(command) ?? { kind: 'running' };
  }

  #run(id: string, document: string, parameters: Parameters_, end: ScriptEnd): void {
    const { random, weather, side } = this.#world;
    if (!this.#world.hostRuns(id))
      return void this.#world.clock.in(UNDELIVERABLE_MS, () => end(failed(-1, 'Undeliverable')));
    if (random.chance(weather.scriptFails)) return end(failed(1, 'the disk said no'));
    side.runScript(id, document, parameters, end);
  }
}
