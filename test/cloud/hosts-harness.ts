/** A gateway of thirty lines before a real moto: what the emulated EC2, NLB, DNS and SSM plug into in their own tests. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  CreateLaunchTemplateCommand,
  CreateSubnetCommand,
  CreateVpcCommand,
  DescribeInstancesCommand,
  EC2Client,
  RunInstancesCommand,
  type Instance,
} from '@aws-sdk/client-ec2';
import {
  AddRoleToInstanceProfileCommand,
  CreateInstanceProfileCommand,
  CreateRoleCommand,
  IAMClient,
} from '@aws-sdk/client-iam';
import type { AwsRequest, AwsResponse, CloudEvent, Delays, Interceptor } from '../../rehearsal/cloud/contract.ts';
import { createHosts, type Hosts, type HostsOptions } from '../../rehearsal/cloud/hosts.ts';
import type { HostFacts, PreparedHost } from '../../rehearsal/cloud/hosts-machine.ts';
import { startMoto, type Moto } from '../../rehearsal/cloud/moto.ts';
import { parseRequest } from '../../rehearsal/cloud/wire.ts';
import { PATIENCE } from '../support/patience.ts';

export const REGION = 'eu-west-1';
export const PORT = 3306;
const run = promisify(execFile);

/** Polls until the condition holds; throws, naming it, when PATIENCE times `deadlineMs` have passed. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  deadlineMs = 10_000,
): Promise<NonNullable<T>> {
  const patientMs = deadlineMs * PATIENCE;
  const end = Date.now() + patientMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== null && value !== false) return value;
    if (Date.now() > end) throw new Error(`not within ${patientMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

export interface MiniCloud {
  readonly moto: { readonly endpoint: string; readonly region: string };
  /** For SDK clients: through the interceptors. */
  readonly config: {
    readonly endpoint: string;
    readonly region: string;
    readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  };
  readonly rootDir: string;
  readonly requests: AwsRequest[];
  readonly events: CloudEvent[];
  use(interceptor: Interceptor): void;
  onEvent(event: CloudEvent): void;
  stop(): Promise<void>;
}

/** Headers that belong to one connection. */
const OURS = new Set(['host', 'content-length', 'connection']);

async function answer(request: AwsRequest, interceptors: readonly Interceptor[], moto: Moto): Promise<AwsResponse> {
  const mine = interceptors.filter(
    (i) => i.service === request.service && (i.operation === '*' || i.operation === request.operation),
  );
  for (const interceptor of mine) {
    const early = await interceptor.before?.(request);
    if (early !== undefined) return early;
  }
  const headers = Object.entries(request.headers as Record<string, string>).filter(([name]) => !OURS.has(name));
  const forwarded = await fetch(`${moto.endpoint}${request.url}`, {
    method: request.method,
    headers,
    ...(request.method === 'GET' ? {} : { body: new Uint8Array(request.body) }),
  });
  let response: AwsResponse = {
    status: forwarded.status,
    headers: { 'content-type': forwarded.headers.get('content-type') ?? 'text/xml' },
    body: Buffer.from(await forwarded.arrayBuffer()),
  };
  for (const interceptor of mine) response = (await interceptor.after?.(request, response)) ?? response;
  return response;
}

export async function startMiniCloud(): Promise<MiniCloud> {
  const rootDir = await mkdtemp(join(tmpdir(), 'rh-'));
  const interceptors: Interceptor[] = [];
  const requests: AwsRequest[] = [];
  const events: CloudEvent[] = [];

  async function serve(moto: Moto, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const request = parseRequest({
      method: incoming.method ?? 'GET',
      url: incoming.url ?? '/',
      headers: incoming.headers,
      body: Buffer.concat(chunks),
    });
    requests.push(request);
    const response = await answer(request, interceptors, moto);
    outgoing.writeHead(response.status, response.headers).end(response.body);
  }
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const moto = await startMoto({ gatewayPort: port, logFile: join(rootDir, 'moto.log') });
  server.on('request', (incoming: IncomingMessage, outgoing: ServerResponse) => {
    serve(moto, incoming, outgoing).catch((error: unknown) => outgoing.writeHead(500).end(String(error)));
  });
  return {
    moto: { endpoint: moto.endpoint, region: REGION },
    config: {
      endpoint: `http://127.0.0.1:${port}`,
      region: REGION,
      credentials: { accessKeyId: 'REJOINADMIN', secretAccessKey: 'x' },
    },
    rootDir,
    requests,
    events,
    use: (interceptor) => void interceptors.push(interceptor),
    onEvent: (event) => void events.push(event),
    async stop() {
      server.closeAllConnections();
      server.close();
      await moto.stop();
      await rm(rootDir, { recursive: true, force: true });
    },
  };
}

/** Starts and stops the toy database as the real stand-in does with MariaDB. */
const SYSTEMCTL = `#!/bin/sh
set -eu
run=$REJOIN_HOST_DIR/run
mkdir -p "$run"
case $1 in
  start)
    setsid "$TOY_NODE" "$TOY_SCRIPT" >>"$REJOIN_HOST_DIR/toy.log" 2>&1 </dev/null &
    echo $! >"$run/pid"
    ;;
  stop)
    [ -e "$run/pid" ] || exit 0
    pid=$(cat "$run/pid")
    kill -TERM "$pid" 2>/dev/null || exit 0
    while grep -qs ') [^Z]' "/proc/$pid/stat"; do sleep 0.02; done
    ;;
esac
`;

export async function toyHost(facts: HostFacts, extra: Record<string, string> = {}): Promise<PreparedHost> {
  const systemctl = join(facts.hostDir, 'toy-systemctl');
  await writeFile(systemctl, SYSTEMCTL);
  await chmod(systemctl, 0o755);
  const env = {
    REJOIN_INSTANCE_ID: facts.instanceId,
    REJOIN_ADDRESS: facts.address,
    REJOIN_PORT: String(facts.port),
    REJOIN_CLUSTER: facts.cluster,
    REJOIN_DATA_DIR: facts.dataDir,
    REJOIN_SERVICE: 'toy',
    REJOIN_SYSTEMCTL: systemctl,
    TOY_NODE: process.execPath,
    TOY_SCRIPT: join(import.meta.dirname, 'hosts-toy-database.mjs'),
    ...extra,
  };
  const envFile = join(facts.hostDir, 'node.env');
  await writeFile(
    envFile,
    Object.entries(env)
      .map(([k, v]) => `${k}='${v}'\n`)
      .join(''),
  );
  return { env, envFile };
}

export const QUICK: Delays = { eventMs: 0, bootMs: 150, shutdownMs: 3000, forceStopMs: 150 };

export interface Fleet {
  readonly hosts: Hosts;
  readonly ec2: EC2Client;
  readonly stateChanges: { readonly id: string; readonly state: string }[];
  readonly vpcId: string;
  readonly subnets: readonly string[];
  readonly launchTemplateId: string;
  /** Launches one host in the nth subnet and waits until it is up and online. */
  launch(subnet?: number): Promise<string>;
  startDatabase(id: string): Promise<void>;
  describe(id: string): Promise<Instance>;
}

/**
 * A VPC of two zones, a launch template with a data volume, and the emulated EC2. `block` gives the second octet
 * of 127.x.0.0/16 and the third of the first subnet, a multiple of 16: test files that run at once need different ones.
 */
export async function startFleet(
  cloud: MiniCloud,
  block: { readonly octet: number; readonly third: number },
  options: Partial<HostsOptions> = {},
): Promise<Fleet> {
  const stateChanges: { id: string; state: string }[] = [];
  const hosts = await createHosts({
    moto: cloud.moto,
    use: (i) => cloud.use(i),
    onEvent: (e) => cloud.onEvent(e),
    events: { emitStateChange: (id, state) => void stateChanges.push({ id, state }) },
    delays: QUICK,
    rootDir: cloud.rootDir,
    databasePort: PORT,
    prepareHost: (facts) => toyHost(facts),
    agent: null,
    isDatabase: (p) => p.name.startsWith('node') || p.name === 'MainThread',
    ...options,
  });
  const ec2 = new EC2Client(cloud.config);
  const iam = new IAMClient(cloud.config);
  await iam.send(new CreateRoleCommand({ RoleName: 'db-host', AssumeRolePolicyDocument: '{}' }));
  await iam.send(new CreateInstanceProfileCommand({ InstanceProfileName: 'db-host' }));
  await iam.send(new AddRoleToInstanceProfileCommand({ InstanceProfileName: 'db-host', RoleName: 'db-host' }));
  const vpc = await ec2.send(new CreateVpcCommand({ CidrBlock: `127.${block.octet}.0.0/16` }));
  const subnets: string[] = [];
  for (const [i, zone] of ['a', 'b'].entries()) {
    const made = await ec2.send(
      new CreateSubnetCommand({
        VpcId: vpc.Vpc!.VpcId!,
        CidrBlock: `127.${block.octet}.${block.third + i * 16}.0/20`,
        AvailabilityZone: `${REGION}${zone}`,
      }),
    );
    subnets.push(made.Subnet!.SubnetId!);
  }
  const template = await ec2.send(
    new CreateLaunchTemplateCommand({
      LaunchTemplateName: 'db-host',
      LaunchTemplateData: {
        ImageId: 'ami-12345678',
        InstanceType: 'r7g.large',
        IamInstanceProfile: { Name: 'db-host' },
        BlockDeviceMappings: [
          { DeviceName: '/dev/sdf', Ebs: { VolumeSize: 20, VolumeType: 'gp3', DeleteOnTermination: false } },
          { DeviceName: '/dev/sdg', Ebs: { VolumeSize: 5, VolumeType: 'gp3', DeleteOnTermination: true } },
        ],
        TagSpecifications: [
          {
            ResourceType: 'instance',
            Tags: [
              { Key: 'team', Value: 'db' },
              { Key: 'rejoin:cluster', Value: 'template' },
            ],
          },
          { ResourceType: 'volume', Tags: [{ Key: 'team', Value: 'db' }] },
        ],
      },
    }),
  );
  const launchTemplateId = template.LaunchTemplate!.LaunchTemplateId!;
  const tags = [{ Key: 'rejoin:cluster', Value: 'orders' }];
  return {
    hosts,
    ec2,
    stateChanges,
    vpcId: vpc.Vpc!.VpcId!,
    subnets,
    launchTemplateId,
    async launch(subnet = 0) {
      const launched = await ec2.send(
        new RunInstancesCommand({
          MinCount: 1,
          MaxCount: 1,
          LaunchTemplate: { LaunchTemplateId: launchTemplateId },
          SubnetId: subnets[subnet]!,
          TagSpecifications: [
            { ResourceType: 'instance', Tags: tags },
            { ResourceType: 'volume', Tags: tags },
          ],
        }),
      );
      const id = launched.Instances![0]!.InstanceId!;
      await until(`${id} online`, () => hosts.get(id)?.online === true);
      return id;
    },
    async startDatabase(id) {
      const host = hosts.get(id)!;
      const env = hosts.environment(id);
      await run('systemctl', ['start', 'toy'], { env, cwd: host.hostDir });
      await until(`the database of ${id} listens`, () => listens(host.address, PORT));
    },
    async describe(id) {
      const found = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
      return found.Reservations![0]!.Instances![0]!;
    },
  };
}

export async function listens(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, address);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
