/** What stands before anything is deployed: the emulated account, hosts, balancers, DNS, and who listens. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { takeAddresses, type AddressBlock } from './addresses.ts';
import type { Cleanup } from './cleanup.ts';
import { createBalancers, type Balancers } from './cloud/balancers.ts';
import { startCloud, type Cloud } from './cloud/cloud.ts';
import { createCommands } from './cloud/commands.ts';
import { createDns, type DnsServer } from './cloud/dns.ts';
import { instanceStateChange } from './cloud/event-samples.ts';
import { createHosts, type Hosts } from './cloud/hosts.ts';
import type { Engine } from './engines/engine.ts';
import { DATA_DEVICE } from './environment.ts';
import { iamGate, type IamGate } from './iam/gate.ts';
import type { BuildOptions } from './options.ts';
import { installPartitions, type Partitions } from './partition.ts';
import { listenForSignals, type Signals } from './signals.ts';
import { cloudStory } from './stories.ts';
import type { Timeline } from './ui/timeline.ts';

export interface Ground {
  readonly dir: string;
  readonly engine: Engine;
  readonly addresses: AddressBlock;
  readonly cloud: Cloud;
  readonly hosts: Hosts;
  readonly balancers: Balancers;
  readonly dns: DnsServer;
  readonly signals: Signals;
  readonly gate: IamGate;
  /** Null unless the scenario breaks the network. */
  readonly partitions: Partitions | null;
  readonly troubles: string[];
}

/** Whose account it is, and where; nothing given: anybody's, somewhere. */
export type Place = Partial<Pick<Cloud, 'account' | 'region'>>;

/** What it starts is handed to `cleanup` as it starts. */
export async function breakGround(
  options: BuildOptions,
  timeline: Timeline,
  cleanup: Cleanup,
  where: Place = {},
): Promise<Ground> {
  const { engine } = options;
  const addresses = takeAddresses(process.pid);
  cleanup.add('the address block', () => addresses.release());
  // Before anything connects: only connections that are made from now on can be told apart.
  const partitions = options.scenario.breaksNetwork === true ? await installPartitions(addresses) : null;
  if (partitions !== null) cleanup.add('the packet filter', () => partitions.remove());
  const dir = await workFolder(options, addresses, timeline, cleanup);
  const gate = iamGate();
  cleanup.add('IAM', () => gate.close());
  const cloud = await startCloud({
    workDir: dir,
    ...where,
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
    prepareHost: (facts) => engine.prepareHost(facts),
    agent: {
      endpoint: cloud.endpoint,
      region: cloud.region,
      credentialsFor: (role, host) => gate.credentialsFor(role, host, 'ec2.amazonaws.com'),
    },
    dataDevice: DATA_DEVICE,
    databasePort: engine.port,
  });
  cleanup.add('the hosts', () => hosts.stop());
  const commands = createCommands({ ...shared, hosts });
  cleanup.add('commands on hosts', () => commands.stop());
  const balancers = createBalancers({ ...shared, hosts });
  cleanup.add('the balancers', () => balancers.stop());
  const dns = await createDns({ ...shared, address: addresses.host(250, 53), port: 53 });
  cleanup.add('the DNS server', () => dns.stop());
  gate.attachTo(cloud);
  return { dir, engine, addresses, cloud, hosts, balancers, dns, signals, gate, partitions, troubles: [] };
}

async function workFolder(
  options: BuildOptions,
  addresses: AddressBlock,
  timeline: Timeline,
  cleanup: Cleanup,
): Promise<string> {
  const dir = options.dir === null ? mkdtempSync(join(tmpdir(), `rejoin-${addresses.octet}-`)) : resolve(options.dir);
  mkdirSync(dir, { recursive: true });
  await chmod(dir, 0o755); // the databases run as a user of their own
  cleanup.add('the work folder', () => {
    if (cleanup.keepFiles || options.dir !== null) timeline.add('note', `logs and data are in ${dir}`);
    else rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

/** Notes an error of the rehearsal's own machinery: with any, its figures prove nothing. */
export const troubleOf =
  (ground: Ground) =>
  (what: string, error: unknown): void =>
    void ground.troubles.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);

/** All such errors, of every part. */
export const troublesOf = (ground: Ground): string[] => [
  ...ground.troubles,
  ...[ground.hosts, ground.balancers, ground.dns].flatMap((part) => part.failures().map((e) => e.message)),
  ...ground.cloud.gateway.failures.map((e) => e.message),
  ...ground.gate.report().problems,
];
