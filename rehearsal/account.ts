/** One account with Rejoin deployed into it: what the platform team has made there, the stack, and who looks at it. */
import type { Ledger } from '../lambdas/cloud/ports.ts';
import { type ArchiveWatch, watchArchive } from './archive/watch.ts';
import type { Cleanup } from './cleanup.ts';
import type { Client } from './client/client.ts';
import type { DeployedStack } from './cloud/stack.ts';
import { NODES } from './engines/index.ts';
import { createEnvironment, DATA_DEVICE, type Environment } from './environment.ts';
import { troubleOf, type Ground } from './ground.ts';
import { ledgerOf, tableOf } from './ledger.ts';
import { startObserver, type Observer } from './observer.ts';
import type { BuildOptions } from './options.ts';
import { archiveBucketOf, deployPlane, machinesOf, queueOf } from './plane.ts';
import type { Timeline } from './ui/timeline.ts';
import { World } from './world.ts';

export const CLUSTER = 'orders';

export interface Account {
  readonly ground: Ground;
  readonly environment: Environment;
  readonly stack: DeployedStack;
  /** Where applications connect to. */
  readonly endpoints: Endpoints;
  readonly ledger: Ledger;
  readonly observer: Observer;
  /** Null unless the scenario has an archive. */
  readonly archive: ArchiveWatch | null;
}

export interface Endpoints {
  readonly writer: { readonly host: string; readonly port: number };
  readonly reader: { readonly host: string; readonly port: number };
}

async function openEndpoints(ground: Ground, environment: Environment): Promise<Endpoints> {
  const { port } = ground.engine;
  const open = async (name: string, host: string, targetGroupArn: string): Promise<{ host: string; port: number }> => {
    await ground.balancers.createBalancer({ name, address: host, port, targetGroupArn });
    return { host, port };
  };
  return {
    writer: await open(`${CLUSTER}-writer`, ground.addresses.host(250, 10), environment.writerGroupArn),
    reader: await open(`${CLUSTER}-read`, ground.addresses.host(250, 11), environment.readGroupArn),
  };
}

/** Deploys Rejoin, and `meanwhile` does what the platform team does beside it. Nothing runs yet (`Cloud.run`). */
export async function openAccount(
  ground: Ground,
  { scenario }: BuildOptions,
  timeline: Timeline,
  cleanup: Cleanup,
  meanwhile: (environment: Environment) => Promise<void>,
): Promise<Account> {
  const { cloud, hosts, engine } = ground;
  const environment = await createEnvironment(cloud.adminConfig, {
    cluster: CLUSTER,
    vpcCidr: ground.addresses.cidr,
    subnetCidrs: [1, 2, 3].map((n) => `${ground.addresses.host(n, 0)}/24`),
    port: engine.port,
    peerPorts: engine.peerPorts,
    probeUser: { username: engine.probeUser.user, password: engine.probeUser.password },
    dataDevice: DATA_DEVICE,
    dataGiB: 20,
  });
  await ground.gate.knowRole(environment.hostRoleArn);
  const cluster = { name: CLUSTER, nodes: NODES, engine, archive: scenario.archive ?? null };
  const [stack] = await Promise.all([deployPlane(ground, environment, cluster, timeline), meanwhile(environment)]);
  cleanup.add('what hosts do by themselves', engine.tend(hosts, troubleOf(ground)));
  const endpoints = await openEndpoints(ground, environment);
  const ledger = ledgerOf(cloud.adminConfig, stack);
  const observer = observe(ground, environment, ledger, cleanup);
  const archive = scenario.archive === undefined ? null : watchArchive(cloud, CLUSTER, archiveBucketOf(stack));
  if (archive !== null) cleanup.add('the look at the archive', () => archive.stop());
  return { ground, environment, stack, endpoints, ledger, observer, archive };
}

function observe(ground: Ground, environment: Environment, ledger: Ledger, cleanup: Cleanup): Observer {
  const observer = startObserver(
    {
      admin: ground.cloud.adminConfig,
      environment,
      hosts: ground.hosts,
      dns: ground.dns,
      cluster: CLUSTER,
      engine: ground.engine,
      ledger,
    },
    troubleOf(ground),
  );
  cleanup.add('the observer', () => observer.stop());
  return observer;
}

/** As scenarios see it. `elsewhere` opens another account. */
export function worldOf(account: Account, client: Client, timeline: Timeline, elsewhere: () => Promise<World>): World {
  const { ground, environment, stack, ledger, observer, archive } = account;
  const { cloud, hosts, engine, partitions, signals } = ground;
  return new World({
    ...{ cluster: CLUSTER, nodeCount: NODES, admin: cloud.adminConfig, cloud, hosts, engine, partitions },
    ...{ client, timeline, observer, ledger, archive, signals, elsewhere },
    ledgerTable: tableOf(stack),
    operateFunction: cloud.lambdas.find('operate').name,
    machines: machinesOf(stack),
    launchTemplateId: environment.launchTemplateId,
    signalsQueue: queueOf(stack, '-signals'),
    signalsDeadLetters: queueOf(stack, '-signals-dlq'),
    reconcileQueue: queueOf(stack, '-reconcile.fifo'),
  });
}
