/** Rejoin's side: the rehearsal's world, the app deployed into an emulated AWS over real PostgreSQL servers. */
import { appendFileSync } from 'node:fs';
import { build, type Built } from '../../rehearsal/build.ts';
import type { Cleanup } from '../../rehearsal/cleanup.ts';
import { engineFor, NODES } from '../../rehearsal/engines/index.ts';
import type { RehearsalOptions } from '../../rehearsal/options.ts';
import { whole } from '../../rehearsal/scenarios/healing.ts';
import { terminateWriter } from '../../rehearsal/scenarios/terminate-writer.ts';
import { Timeline } from '../../rehearsal/ui/timeline.ts';
import type { Fault, Node, System } from './kinds.ts';
import type { Silence } from './network.ts';
import type { Ec2Delays } from './options.ts';
import { OURS } from './verdicts.ts';

export interface RejoinOptions {
  readonly ec2: Ec2Delays;
  readonly ec2Tells: boolean;
  readonly silence: Silence;
  /** Takes what the rehearsal would show on the terminal. */
  readonly log: string;
}

const SILENT = 'EC2 says running and sends no event until the plane stops the instance';
const READY_WITHIN_SECONDS = 90;

/** Builds the world and waits until the plane has the cluster as declared. What it starts is handed to `cleanup`. */
export async function startRejoin(options: RejoinOptions, cleanup: Cleanup): Promise<System> {
  const timeline = new Timeline(false, (line) => appendFileSync(options.log, `${line}\n`));
  const built = await build(rehearsalOptions(options.ec2), timeline, cleanup);
  cleanup.add('the timeline', () => timeline.quiet());
  const { world, hosts, engine } = built;
  await world.until('the plane to have the cluster as declared', whole(world.nodeCount), READY_WITHIN_SECONDS);
  // The benchmark's client writes instead, alone, as it does at the peer.
  world.client.kill();
  return {
    name: OURS,
    writer: built.endpoints.writer,
    application: engine.app,
    monitor: { ...engine.probeUser, database: 'postgres' },
    databasePort: engine.port,
    nodes: () => hosts.list().filter((host) => host.state !== 'terminated' && host.state !== 'stopped'),
    busy: () => Promise.resolve(busyWith(built)),
    strike: (fault, node) => strike(fault, node, built, options),
    // The plane makes it whole again: nobody turns anything on.
    recover: () => Promise.resolve({ kind: 'by-itself' }),
    reseed: null,
    story: (sinceMs) => {
      const sinceBeginning = sinceMs - (Date.now() - timeline.nowMs());
      return timeline.entries
        .filter((entry) => entry.atMs >= sinceBeginning)
        .map(({ atMs, what }) => ({ atMs: Math.round(atMs - sinceBeginning), what }));
    },
    settings: () => ({
      durability: 'quorum',
      ...options.ec2,
      loadBalancer: 'the emulated NLB follows its target groups at once; a real one takes seconds',
      hostKilled: options.ec2Tells
        ? 'EC2 says shutting-down at once and terminated after powerOffMs; each event reaches the queue eventMs later'
        : SILENT,
      hostFrozen: SILENT,
    }),
  };
}

/** The world of `terminate-writer`; its scenario is not run, the benchmark strikes by itself. */
const rehearsalOptions = (ec2: Ec2Delays): RehearsalOptions => ({
  scenario: terminateWriter,
  engine: engineFor('postgres', { durability: 'quorum' }),
  reportFile: null,
  keep: false,
  delays: ec2,
  events: 'normal',
  kills: false,
  seed: 1,
  dir: null,
});

function busyWith({ world }: Built): string | null {
  const state = world.state();
  return whole(NODES)(state) ? null : `not as declared yet:\n${world.describe()}`;
}

async function strike(fault: Fault, node: Node, { hosts, world }: Built, options: RejoinOptions): Promise<void> {
  switch (fault) {
    case 'host-killed':
      await options.silence.silence(node.address); // first, so that not even the kernel's last words get out
      await hosts.powerLoss([node.id]);
      if (options.ec2Tells) await world.terminate(node.id); // EC2 says so, and it never boots again
      return;
    case 'process-killed':
      await hosts.crash(node.id);
      return;
    case 'host-frozen':
      await hosts.freeze(node.id);
      return;
    default:
      return fault satisfies never;
  }
}
