/** Builds the world of a rehearsal: the emulated account, the platform team's cluster, and Rejoin deployed into it. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Ledger } from '../lambdas/cloud/ports.ts';
import { takeAddresses, type AddressBlock } from './addresses.ts';
import type { Cleanup } from './cleanup.ts';
import { startClient } from './client/client.ts';
import { createBalancers, type Balancers } from './cloud/balancers.ts';
import { startCloud, type Cloud } from './cloud/cloud.ts';
import { createCommands } from './cloud/commands.ts';
import { createDns, type DnsServer } from './cloud/dns.ts';
import { instanceStateChange } from './cloud/event-samples.ts';
import { createHosts, type Hosts } from './cloud/hosts.ts';
import type { DeployedStack } from './cloud/stack.ts';
import { createTable } from './database.ts';
import { createEnvironment, type Environment } from './environment.ts';
import { ACCOUNTS, prepareHostDir, templateDataDir } from './host/galera-host.ts';
import { iamGate, type IamGate } from './iam/gate.ts';
import { ledgerOf } from './ledger.ts';
import { startObserver, type DonorChoice, type Observer } from './observer.ts';
import type { RehearsalOptions } from './options.ts';
import { launchHosts, startCluster } from './seed.ts';
import { listenForSignals, type Signals } from './signals.ts';
import { cloudStory, incidentStory } from './stories.ts';
import type { Timeline } from './ui/timeline.ts';
import { World } from './world.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CLUSTER = 'orders';
const STACK = 'Rejoin';
const PORT = 3306;
const NODES = 3;
const DATA_DEVICE = '/dev/sdf';
/** Planned drains in the rehearsal; applications give a connection back within their pool's lifetime, here 1.5 s. */
const DRAIN_SECONDS = 5;
const CLIENT = { pauseMs: 5, maxLifetimeMs: 1500 };
const STORY_EVERY_MS = 400;
const QUIET_WITHIN_MS = 20_000;

export interface Built {
  readonly world: World;
  readonly cloud: Cloud;
  readonly hosts: Hosts;
  readonly port: number;
  /** Waits until nothing is under way, and the story is told to its end. */
  settle(): Promise<void>;
  iam(): { readonly refused: readonly unknown[]; readonly unused: readonly unknown[] };
  donors(): readonly DonorChoice[];
  /** Errors of the rehearsal's own machinery. */
  failures(): readonly string[];
  howToReach(): string;
}

/** What stands before anything is deployed. */
interface Ground {
  readonly dir: string;
  readonly addresses: AddressBlock;
  readonly cloud: Cloud;
  readonly hosts: Hosts;
  readonly balancers: Balancers;
  readonly dns: DnsServer;
  readonly signals: Signals;
  readonly gate: IamGate;
  readonly troubles: string[];
}

/** Builds everything; what it starts is handed to `cleanup` as it starts. */
export async function build(options: RehearsalOptions, timeline: Timeline, cleanup: Cleanup): Promise<Built> {
  const startedAtMs = Date.now();
  timeline.progress(() => 'building the world');
  const ground = await breakGround(options, timeline, cleanup);
  const { cloud, hosts } = ground;
  timeline.add('stage', 'the emulated AWS is up; making VPC, launch template, target groups, zone and secret');
  const environment = await createEnvironment(cloud.adminConfig, {
    cluster: CLUSTER,
    vpcCidr: ground.addresses.cidr,
    subnetCidrs: [1, 2, 3].map((n) => `${ground.addresses.host(n, 0)}/24`),
    port: PORT,
    probeUser: { username: ACCOUNTS.probe.user, password: ACCOUNTS.probe.password },
    dataDevice: DATA_DEVICE,
    dataGiB: 20,
  });
  await ground.gate.knowRole(environment.hostRoleArn);
  timeline.add('stage', 'launching three hosts with MariaDB Galera; beside it, cdk bootstrap and cdk deploy');
  const [stack] = await Promise.all([
    deployPlane(ground, environment, timeline),
    raiseCluster(ground, environment, timeline),
  ]);
  const endpoints = await openEndpoints(ground, environment);
  const ledger = ledgerOf(cloud.adminConfig, stack);
  const observer = observe(ground, environment, ledger, cleanup);
  tellStory(timeline, ledger, observer, cleanup, ground);
  cloud.run(stack);
  const client = startClient({
    ...endpoints,
    user: ACCOUNTS.app.user,
    password: ACCOUNTS.app.password,
    database: ACCOUNTS.app.database,
    ...CLIENT,
    journal: join(ground.dir, 'acknowledged.txt'),
  });
  cleanup.add('the client', () => client.kill());
  const world = new World({
    cluster: CLUSTER,
    nodeCount: NODES,
    admin: cloud.adminConfig,
    cloud,
    hosts,
    client,
    timeline,
    observer,
    signals: ground.signals,
    operateFunction: cloud.lambdas.find('operate').name,
    signalsQueue: queueOf(stack, '-signals'),
    signalsDeadLetters: queueOf(stack, '-signals-dlq'),
    reconcileQueue: queueOf(stack, '-reconcile.fifo'),
  });
  timeline.progress(() => world.progress());
  timeline.add('stage', `Rejoin is deployed and runs; built in ${((Date.now() - startedAtMs) / 1000).toFixed(1)} s`);
  return {
    world,
    cloud,
    hosts,
    port: PORT,
    settle: () => cloud.whenQuiet(QUIET_WITHIN_MS),
    iam: () => ground.gate.report(),
    donors: () => observer.donors(),
    failures: () => troublesOf(ground),
    howToReach: () => howToReach(ground, environment, endpoints),
  };
}

async function breakGround(options: RehearsalOptions, timeline: Timeline, cleanup: Cleanup): Promise<Ground> {
  const addresses = takeAddresses(process.pid);
  cleanup.add('the address block', () => addresses.release());
  const dir = options.dir === null ? mkdtempSync(join(tmpdir(), `rejoin-${addresses.octet}-`)) : resolve(options.dir);
  mkdirSync(dir, { recursive: true });
  await chmod(dir, 0o755); // the databases run as a user of their own
  cleanup.add('the work folder', () => {
    if (cleanup.keepFiles || options.dir !== null) timeline.add('note', `logs and data are in ${dir}`);
    else rmSync(dir, { recursive: true, force: true });
  });
  const gate = iamGate();
  cleanup.add('IAM', () => gate.close());
  const cloud = await startCloud({
    workDir: dir,
    delays: options.delays,
    seed: options.seed,
    credentialsFor: (roleArn) => gate.credentialsFor(roleArn, 'lambda', 'lambda.amazonaws.com'),
  });
  cleanup.add('the emulated AWS', () => cloud.stop());
  cloud.onEvent(cloudStory(timeline));
  const signals = listenForSignals();
  for (const interceptor of signals.interceptors) cloud.use(interceptor);
  const place = { region: cloud.region, account: cloud.account };
  const shared = { moto: cloud.moto, use: cloud.use.bind(cloud), onEvent: cloud.emit.bind(cloud), rootDir: dir };
  const hosts = await createHosts({
    ...shared,
    events: { emitStateChange: (id, state) => cloud.events.emit(instanceStateChange(place, id, state)) },
    delays: cloud.delays,
    prepareHost: (facts) => prepareHostDir(facts),
    agent: {
      endpoint: cloud.endpoint,
      region: cloud.region,
      credentialsFor: (role, host) => gate.credentialsFor(role, host, 'ec2.amazonaws.com'),
    },
    dataDevice: DATA_DEVICE,
    databasePort: PORT,
  });
  cleanup.add('the hosts', () => hosts.stop());
  const commands = createCommands({ ...shared, hosts });
  cleanup.add('commands on hosts', () => commands.stop());
  const balancers = createBalancers({ ...shared, hosts });
  cleanup.add('the balancers', () => balancers.stop());
  const dns = await createDns({ ...shared, address: addresses.host(250, 53), port: 53 });
  cleanup.add('the DNS server', () => dns.stop());
  gate.attachTo(cloud);
  return { dir, addresses, cloud, hosts, balancers, dns, signals, gate, troubles: [] };
}

/** The real CDK CLI with the app as it is; the configuration file is all that a platform team would write. */
async function deployPlane(ground: Ground, environment: Environment, timeline: Timeline): Promise<DeployedStack> {
  const { cloud, dir } = ground;
  const file = join(dir, 'rejoin.json');
  await writeFile(file, JSON.stringify(configuration(environment), null, 2));
  const { assemblyDir, seconds } = await cloud.deploy({ appDir: ROOT, context: { config: file }, stackName: STACK });
  await ground.gate.knowStack(assemblyDir, STACK);
  const stack = await cloud.attach(assemblyDir, STACK);
  timeline.add(
    'stage',
    `cdk bootstrap and synth took ${seconds.bootstrapAndSynth} s, cdk deploy ${seconds.deploy} s: ${stack.functions.length} functions`,
  );
  await Promise.all(stack.functions.map((f) => cloud.lambdas.prewarm(f.name)));
  return stack;
}

const configuration = (environment: Environment): unknown => ({
  stackName: STACK,
  vpc: { id: environment.vpcId, subnets: environment.subnets },
  databaseSecurityGroupId: environment.securityGroupId,
  databasePorts: [PORT],
  instanceRoleArns: [environment.hostRoleArn],
  clusters: [
    {
      name: CLUSTER,
      engine: { kind: 'galera', port: PORT },
      nodes: NODES,
      launchTemplate: { id: environment.launchTemplateId },
      credentialsSecretArn: environment.secretArn,
      endpoints: [
        { kind: 'targetGroup', arn: environment.writerGroupArn, route: 'writer', drainSeconds: DRAIN_SECONDS },
        { kind: 'targetGroup', arn: environment.readGroupArn, route: 'healthy', drainSeconds: DRAIN_SECONDS },
        {
          kind: 'dns',
          zoneId: environment.zoneId,
          zoneName: environment.zoneName,
          name: CLUSTER,
          route: 'writer',
          ttlSeconds: 5,
        },
      ],
      policy: 'HEAL',
      dataDevice: DATA_DEVICE,
    },
  ],
});

/** URL of the deployed queue whose name ends so. */
function queueOf(stack: DeployedStack, nameEnd: string): string {
  const url = [...stack.queues.values()].find((candidate) => candidate.endsWith(nameEnd));
  if (url === undefined) throw new Error(`the stack ${stack.stackName} has no queue named …${nameEnd}`);
  return url;
}

async function raiseCluster(ground: Ground, environment: Environment, timeline: Timeline): Promise<void> {
  const [ids] = await Promise.all([
    launchHosts(ground.cloud.adminConfig, environment, ground.hosts, CLUSTER),
    templateDataDir(),
  ]);
  await startCluster(ground.hosts, ids);
  await createTable(ground.hosts.ip(ids[0] ?? ''), PORT);
  timeline.add('stage', `the cluster runs: ${ids.map((id) => `${id} (${ground.hosts.ip(id)})`).join(', ')}`);
}

interface Endpoints {
  readonly writer: { readonly host: string; readonly port: number };
  readonly reader: { readonly host: string; readonly port: number };
}

async function openEndpoints(ground: Ground, environment: Environment): Promise<Endpoints> {
  const open = async (name: string, host: string, targetGroupArn: string): Promise<{ host: string; port: number }> => {
    await ground.balancers.createBalancer({ name, address: host, port: PORT, targetGroupArn });
    return { host, port: PORT };
  };
  return {
    writer: await open(`${CLUSTER}-writer`, ground.addresses.host(250, 10), environment.writerGroupArn),
    reader: await open(`${CLUSTER}-read`, ground.addresses.host(250, 11), environment.readGroupArn),
  };
}

function observe(ground: Ground, environment: Environment, ledger: Ledger, cleanup: Cleanup): Observer {
  const observer = startObserver(
    {
      admin: ground.cloud.adminConfig,
      environment,
      hosts: ground.hosts,
      dns: ground.dns,
      cluster: CLUSTER,
      port: PORT,
      ledger,
    },
    (what, error) => ground.troubles.push(`${what}: ${error instanceof Error ? error.message : String(error)}`),
  );
  cleanup.add('the observer', () => observer.stop());
  return observer;
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
      .catch((error: unknown) => ground.troubles.push(`the incident's record: ${String(error)}`))
      .finally(() => (looking = false));
  }, STORY_EVERY_MS);
  cleanup.add('the story', () => clearInterval(timer));
}

const troublesOf = (ground: Ground): string[] => [
  ...ground.troubles,
  ...[ground.hosts, ground.balancers, ground.dns].flatMap((part) => part.failures().map((e) => e.message)),
  ...ground.cloud.gateway.failures.map((e) => e.message),
  ...ground.gate.report().problems,
];

function howToReach(ground: Ground, environment: Environment, endpoints: Endpoints): string {
  const { cloud, dns, dir } = ground;
  const { app } = ACCOUNTS;
  const line = (e: { host: string; port: number }): string =>
    `mariadb --skip-ssl -h ${e.host} -P ${e.port} -u ${app.user} -p${app.password} ${app.database}`;
  return [
    '',
    'It stays up. Ctrl-C ends it.',
    `  writer endpoint   ${line(endpoints.writer)}`,
    `  reader endpoint   ${line(endpoints.reader)}`,
    `  DNS               dig @${dns.address} -p ${dns.port} ${CLUSTER}.${environment.zoneName} A`,
    `  AWS CLI           AWS_ENDPOINT_URL=${cloud.endpoint} AWS_REGION=${cloud.region} AWS_ACCESS_KEY_ID=${cloud.adminConfig.credentials.accessKeyId} AWS_SECRET_ACCESS_KEY=${cloud.adminConfig.credentials.secretAccessKey} aws ec2 describe-instances`,
    `  logs              ${join(dir, 'logs')} (functions, moto), ${join(dir, 'instances')} (hosts)`,
  ].join('\n');
}
