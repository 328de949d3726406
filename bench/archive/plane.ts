/**
 * The account that the shippers' functions see: specification, secret, instance and ledger in moto, the archive's bucket on the
 * local S3 server. What they ask of moto is little and the same for any amount of log.
 */
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  CreateSubnetCommand,
  CreateVpcCommand,
  DescribeImagesCommand,
  EC2Client,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2';
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { join } from 'node:path';
import { awsLedger } from '../../lambdas/cloud/aws-ledger.ts';
import { systemClock } from '../../lambdas/cloud/clock.ts';
import { CLUSTER_TAG, SPEC_PREFIX, type ClusterSpec } from '../../lambdas/model/spec.ts';
import { startMoto } from '../../rehearsal/cloud/moto.ts';
import { bundle } from '../../scripts/bundle.ts';
import type { Step } from './kinds.ts';
import type { World } from './world.ts';

const REGION = 'eu-west-1';
const TABLE = 'ledger';
const CREDENTIALS = { accessKeyId: 'bench', secretAccessKey: 'bench' } as const;
/** What a function of Lambda's with an hour's work left would be told; the run ends by itself when all is shipped. */
const INVOCATION_SECONDS = 900;
const INVOKE = join(import.meta.dirname, 'invoke.ts');

export interface Plane {
  /** Declares a cluster of which one node runs, at `address`; it is the writer. */
  declare(cluster: Declared): Promise<void>;
  /** The function's deployed bundle, in a process of its own, invoked once for the cluster, with its archive in `bucket`. */
  invocation(name: 'ship-postgres' | 'ship-galera', cluster: string, bucket: string): Step;
}

export interface Declared {
  readonly name: string;
  readonly engine: ClusterSpec['engine'];
  readonly address: string;
  readonly user: string;
  readonly password: string;
}

export async function startPlane({ dir, addresses, s3, cleanup }: World): Promise<Plane> {
  const moto = await startMoto({ gatewayPort: 1, logFile: join(dir, 'moto.log') });
  cleanup.add('moto', () => moto.stop());
  const config = { endpoint: moto.endpoint, region: REGION, credentials: CREDENTIALS };
  const [dynamodb, ec2] = [new DynamoDBClient(config), new EC2Client(config)];
  const [secrets, ssm] = [new SecretsManagerClient(config), new SSMClient(config)];
  const keys = ['pk', 'sk'] as const;
  await dynamodb.send(
    new CreateTableCommand({
      TableName: TABLE,
      AttributeDefinitions: keys.map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
      KeySchema: keys.map((AttributeName, i) => ({ AttributeName, KeyType: i === 0 ? 'HASH' : 'RANGE' })),
      BillingMode: 'PAY_PER_REQUEST',
    }),
  );
  const vpc = await ec2.send(new CreateVpcCommand({ CidrBlock: addresses.cidr }));
  const subnet = await ec2.send(new CreateSubnetCommand({ VpcId: vpc.Vpc?.VpcId, CidrBlock: addresses.cidr }));
  const image = (await ec2.send(new DescribeImagesCommand({}))).Images?.[0]?.ImageId;
  const bundles = join(dir, 'bundles');
  await bundle(bundles);

  return {
    async declare({ name, engine, address, user, password }) {
      const secret = await secrets.send(
        new CreateSecretCommand({ Name: name, SecretString: JSON.stringify({ username: user, password }) }),
      );
      const launched = await ec2.send(
        new RunInstancesCommand({
          ...{ ImageId: image, MinCount: 1, MaxCount: 1, InstanceType: 't3.micro' },
          ...{ SubnetId: subnet.Subnet?.SubnetId, PrivateIpAddress: address },
          TagSpecifications: [{ ResourceType: 'instance', Tags: [{ Key: CLUSTER_TAG, Value: name }] }],
        }),
      );
      const id = launched.Instances?.[0]?.InstanceId ?? '';
      await awsLedger(() => dynamodb, TABLE, systemClock).setWriter(name, 0, id);
      const spec = specOf(name, engine, secret.ARN ?? '', subnet.Subnet?.SubnetId ?? '');
      const Name = `${SPEC_PREFIX}${name}`;
      await ssm.send(new PutParameterCommand({ Name, Value: JSON.stringify(spec), Type: 'String' }));
    },

    invocation: (name, cluster, bucket) => ({
      name: 'ship',
      command: [
        ...[process.execPath, INVOKE, join(bundles, name, 'index.mjs')],
        ...[JSON.stringify({ cluster }), String(INVOCATION_SECONDS)],
      ],
      cwd: dir,
      env: {
        ...{ AWS_REGION: REGION, AWS_ACCESS_KEY_ID: 'bench', AWS_SECRET_ACCESS_KEY: 'bench' },
        ...{ AWS_ENDPOINT_URL: moto.endpoint, AWS_ENDPOINT_URL_S3: s3.endpoint },
        NODE_EXTRA_CA_CERTS: s3.certificates.ca,
        ...{ LEDGER_TABLE: TABLE, ARCHIVE_BUCKET: bucket, AWS_LAMBDA_FUNCTION_NAME: name },
        ...{ POWERTOOLS_SERVICE_NAME: name, POWERTOOLS_METRICS_NAMESPACE: 'Rejoin' },
      },
    }),
  };
}

/** In scheduled mode, with an RPO that needs one drain: it ships all that there is, and ends. */
const specOf = (name: string, engine: ClusterSpec['engine'], secretArn: string, subnetId: string): ClusterSpec => ({
  ...{ version: 1, name, engine, nodes: 3, policy: 'HEAL', dataDevice: '/dev/sdf' },
  launchTemplate: { id: 'lt-0123456789abcdef0', version: '$Default' },
  subnets: [{ id: subnetId, zone: `${REGION}a` }],
  credentialsSecretArn: secretArn,
  endpoints: [{ kind: 'dns', zoneId: 'Z0123456789ABCDEFGHIJ', name: `${name}.test.`, route: 'writer', ttlSeconds: 5 }],
  timing: { deadAfterSeconds: 15, retryAfterSeconds: 900 },
  archive: { bucket: 'archive', rpoSeconds: 600, retentionDays: 35, baseBackupSeconds: 86_400 },
});
