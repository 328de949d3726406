/** Rejoin, deployed: the real CDK CLI with the app as it is; the configuration file is all that a platform team writes. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PutBucketVersioningCommand, S3Client } from '@aws-sdk/client-s3';
import type { AdminConfig } from './cloud/cloud.ts';
import type { DeployedStack } from './cloud/stack.ts';
import type { Engine } from './engines/engine.ts';
import { DATA_DEVICE, type Environment } from './environment.ts';
import type { DeclaredArchive } from './scenarios/scenario.ts';
import type { Ground } from './ground.ts';
import type { Timeline } from './ui/timeline.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const STACK = 'Rejoin';
/** Planned drains in the rehearsal; applications give a connection back within their pool's lifetime, here 1.5 s. */
const DRAIN_SECONDS = 5;

export interface ClusterToManage {
  readonly name: string;
  readonly nodes: number;
  readonly engine: Engine;
  /** Null: without an archive. */
  readonly archive: DeclaredArchive | null;
}

/** Deploys, registers the functions and warms them; nothing runs yet. */
export async function deployPlane(
  ground: Ground,
  environment: Environment,
  cluster: ClusterToManage,
  timeline: Timeline,
): Promise<DeployedStack> {
  const { cloud, dir } = ground;
  const file = join(dir, 'rejoin.json');
  await writeFile(file, JSON.stringify(configuration(environment, cluster), null, 2));
  const { assemblyDir, seconds } = await cloud.deploy({ appDir: ROOT, context: { config: file }, stackName: STACK });
  await ground.gate.knowStack(assemblyDir, STACK);
  const stack = await cloud.attach(assemblyDir, STACK);
  await keepVersions(cloud.adminConfig, stack);
  timeline.add(
    'stage',
    `cdk bootstrap and synth took ${seconds.bootstrapAndSynth} s, cdk deploy ${seconds.deploy} s: ${stack.functions.length} functions`,
  );
  await Promise.all(stack.functions.map((f) => cloud.lambdas.prewarm(f.name)));
  return stack;
}

const configuration = (environment: Environment, { name, nodes, engine, archive }: ClusterToManage): unknown => ({
  stackName: STACK,
  vpc: { id: environment.vpcId, subnets: environment.subnets },
  databaseSecurityGroupId: environment.securityGroupId,
  databasePorts: [engine.port],
  instanceRoleArns: [environment.hostRoleArn],
  clusters: [
    {
      name,
      engine: engine.specification(),
      nodes,
      launchTemplate: { id: environment.launchTemplateId, version: '$Latest' },
      credentialsSecretArn: environment.secretArn,
      endpoints: [
        { kind: 'targetGroup', arn: environment.writerGroupArn, route: 'writer', drainSeconds: DRAIN_SECONDS },
        { kind: 'targetGroup', arn: environment.readGroupArn, route: 'healthy', drainSeconds: DRAIN_SECONDS },
        {
          kind: 'dns',
          zoneId: environment.zoneId,
          zoneName: environment.zoneName,
          name,
          route: 'writer',
          ttlSeconds: 5,
        },
      ],
      policy: 'HEAL',
      dataDevice: DATA_DEVICE,
      ...(archive === null ? {} : { archive }),
    },
  ],
});

/** moto's CloudFormation leaves a bucket's versioning out. */
async function keepVersions(admin: AdminConfig, stack: DeployedStack): Promise<void> {
  const s3 = new S3Client(admin);
  const VersioningConfiguration = { Status: 'Enabled' } as const;
  await s3.send(new PutBucketVersioningCommand({ Bucket: archiveBucketOf(stack), VersioningConfiguration }));
  s3.destroy();
}

/** Name of the deployed archive's bucket. Throws when there is none, or more than one. */
export function archiveBucketOf(stack: DeployedStack): string {
  const buckets = [...stack.resources.values()].filter((r) => r.type === 'AWS::S3::Bucket');
  const name = buckets[0]?.physicalId;
  if (buckets.length === 1 && name !== null && name !== undefined) return name;
  throw new Error(`expected one bucket in the stack ${stack.stackName}, found ${buckets.length}`);
}

/** URL of the deployed queue whose name ends so. Throws when there is none. */
export function queueOf(stack: DeployedStack, nameEnd: string): string {
  const url = [...stack.queues.values()].find((candidate) => candidate.endsWith(nameEnd));
  if (url === undefined) throw new Error(`the stack ${stack.stackName} has no queue named …${nameEnd}`);
  return url;
}

/** ARNs of the deployed state machines. */
export const machinesOf = (stack: DeployedStack): string[] =>
  [...stack.resources.values()]
    .filter((r) => r.type === 'AWS::StepFunctions::StateMachine')
    .flatMap((r) => (r.physicalId === null ? [] : [r.physicalId]));
