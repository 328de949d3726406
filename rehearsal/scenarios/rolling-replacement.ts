import { whole } from './healing.ts';
import type { Scenario } from './scenario.ts';

const WITHIN_SECONDS = 600;
const LIMITS = { writeOutageMs: 3000, writeErrors: null, signalToRoutedMs: null, launches: 3 };

export const rollingReplacement: Scenario = {
  name: 'rolling-replacement',
  summary: 'a new version of the launch template: every node is replaced, one after another, the writer last',
  promises: { galera: LIMITS, postgres: LIMITS },
  run: async (world) => {
    const writer = world.writer();
    const old = new Set(world.members());
    const gone: string[] = [];
    world.hosts.listen({
      state: (id, state) => {
        if (state === 'terminated' && old.has(id)) gone.push(id);
      },
    });
    const faultAtMs = Date.now();
    const version = await world.newTemplateVersion();
    world.timeline.add(
      'fault',
      `version ${version} of the launch template; an engineer starts the state machine rolling`,
    );
    const { status, why } = await world.execute('rolling', {}, WITHIN_SECONDS);
    if (status !== 'SUCCEEDED') throw new Error(`the rolling replacement ended as ${status}: ${why}`);
    await world.until(
      `${world.nodeCount} new nodes, everything else as it was`,
      (s) => whole(world.nodeCount)(s) && s.nodes.every((n) => !old.has(n.id) || n.ec2 === 'terminated'),
      WITHIN_SECONDS,
    );
    if (gone.length !== old.size || gone.at(-1) !== writer) {
      throw new Error(
        `the old nodes were terminated in the order ${gone.join(', ')}; expected all ${old.size}, the writer ${writer} last`,
      );
    }
    world.timeline.add('check', `every node is new; the old writer ${writer} was the last to go`);
    return { faultAtMs, signalAtMs: null, routedAtMs: null, rejoinedAtMs: Date.now() };
  },
};
