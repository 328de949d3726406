/** Builds the world of a rehearsal: the emulated account, the platform team's cluster, and Rejoin deployed into it. */
import { join } from 'node:path';
import type { Ledger } from '../lambdas/cloud/ports.ts';
import { CLUSTER, type Endpoints, openAccount, worldOf } from './account.ts';
import type { Cleanup } from './cleanup.ts';
import { startClient, type Client } from './client/client.ts';
import type { Cloud } from './cloud/cloud.ts';
import type { Hosts } from './cloud/hosts.ts';
import type { Engine } from './engines/engine.ts';
import { goElsewhere } from './elsewhere.ts';
import type { Environment } from './environment.ts';
import { breakGround, troubleOf, troublesOf, type Ground } from './ground.ts';
import type { Observer } from './observer.ts';
import type { BuildOptions } from './options.ts';
import { launchHosts } from './seed.ts';
import { incidentStory } from './stories.ts';
import type { Timeline } from './ui/timeline.ts';
import type { World } from './world.ts';

const CLIENT = { pauseMs: 5, maxLifetimeMs: 1500 };
const STORY_EVERY_MS = 400;
const QUIET_WITHIN_MS = 20_000;

export interface Built {
  readonly world: World;
  readonly cloud: Cloud;
  readonly hosts: Hosts;
  readonly engine: Engine;
  readonly observer: Observer;
  /** Where applications connect to. */
  readonly endpoints: Endpoints;
  /** Waits until nothing is under way, and the story is told to its end. */
  settle(): Promise<void>;
  iam(): { readonly refused: readonly unknown[]; readonly unused: readonly unknown[] };
  /** Errors of the rehearsal's own machinery. */
  failures(): readonly string[];
  howToReach(): string;
}

/** Builds everything; what it starts is handed to `cleanup` as it starts. */
export async function build(options: BuildOptions, timeline: Timeline, cleanup: Cleanup): Promise<Built> {
  const startedAtMs = Date.now();
  timeline.progress(() => 'building the world');
  const ground = await breakGround(options, timeline, cleanup);
  const { cloud, hosts, engine } = ground;
  timeline.add('stage', 'the emulated AWS is up; making VPC, launch template, target groups, zone and secret');
  const account = await openAccount(ground, options, timeline, cleanup, (environment) => {
    timeline.add('stage', `launching three hosts with ${engine.title}; beside it, cdk bootstrap and cdk deploy`);
    return raiseCluster(ground, environment, timeline);
  });
  const { environment, endpoints, observer } = account;
  tellStory(timeline, account.ledger, observer, cleanup, ground);
  cloud.run(account.stack);
  const client = openForBusiness(ground, endpoints, cleanup);
  const others: Ground[] = [];
  const world = worldOf(account, client, timeline, async () => {
    const other = await goElsewhere(options, timeline, cleanup, client);
    others.push(other.ground);
    return other.world;
  });
  timeline.progress(() => world.progress());
  timeline.add('stage', `Rejoin is deployed and runs; built in ${((Date.now() - startedAtMs) / 1000).toFixed(1)} s`);
  return {
    world,
    cloud,
    hosts,
    engine,
    observer,
    endpoints,
    settle: () => cloud.whenQuiet(QUIET_WITHIN_MS),
    iam: () => {
      const { refused, unused } = ground.gate.report();
      return { refused: [refused, ...others.map((o) => o.gate.report().refused)].flat(), unused };
    },
    failures: () => [ground, ...others].flatMap(troublesOf),
    howToReach: () => howToReach(ground, environment, endpoints),
  };
}

async function raiseCluster(ground: Ground, environment: Environment, timeline: Timeline): Promise<void> {
  const { engine, hosts } = ground;
  const [ids] = await Promise.all([
    launchHosts(ground.cloud.adminConfig, environment, hosts, CLUSTER),
    engine.prepareTemplate(),
  ]);
  await engine.startCluster(hosts, ids);
  timeline.add('stage', `the cluster runs: ${ids.map((id) => `${id} (${hosts.ip(id)})`).join(', ')}`);
}

/** Starts the client. Its direct writers hear of every host that comes and goes. */
function openForBusiness(ground: Ground, endpoints: Endpoints, cleanup: Cleanup): Client {
  const { engine, hosts, dir } = ground;
  const client = startClient({
    engine: engine.kind,
    ...endpoints,
    ...engine.app,
    ...CLIENT,
    journal: join(dir, 'acknowledged.txt'),
    directJournal: engine.directWriters ? join(dir, 'acknowledged-directly.txt') : null,
  });
  cleanup.add('the client', () => client.kill());
  const tell = (): void =>
    client.nodes(
      hosts
        .list()
        .filter((h) => h.cluster === CLUSTER && h.state !== 'terminated')
        .map((h) => ({ id: h.id, host: h.address, port: engine.port })),
    );
  tell();
  hosts.listen({ state: tell });
  return client;
}

/** Follows the incident's record in the background. */
function tellStory(timeline: Timeline, ledger: Ledger, observer: Observer, cleanup: Cleanup, ground: Ground): void {
  const story = incidentStory(timeline, ledger, CLUSTER);
  let looking = false;
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    story
      .look(observer.state().ledger.incident?.id ?? null)
      .catch((error: unknown) => troubleOf(ground)("the incident's record", error))
      .finally(() => (looking = false));
  }, STORY_EVERY_MS);
  cleanup.add('the story', () => clearInterval(timer));
}

function howToReach(ground: Ground, environment: Environment, endpoints: Endpoints): string {
  const { cloud, dns, dir, engine } = ground;
  return [
    '',
    'It stays up. Ctrl-C ends it.',
    `  writer endpoint   ${engine.shell(endpoints.writer)}`,
    `  reader endpoint   ${engine.shell(endpoints.reader)}`,
    `  DNS               dig @${dns.address} -p ${dns.port} ${CLUSTER}.${environment.zoneName} A`,
    `  AWS CLI           AWS_ENDPOINT_URL=${cloud.endpoint} AWS_REGION=${cloud.region} AWS_ACCESS_KEY_ID=${cloud.adminConfig.credentials.accessKeyId} AWS_SECRET_ACCESS_KEY=${cloud.adminConfig.credentials.secretAccessKey} aws ec2 describe-instances`,
    `  logs              ${join(dir, 'logs')} (functions, moto), ${join(dir, 'instances')} (hosts)`,
  ].join('\n');
}
