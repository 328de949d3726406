/** The AWS adapters over moto, and SDK clients as the hands that set the scene. */
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  CreateLaunchTemplateCommand,
  CreateLaunchTemplateVersionCommand,
  CreateSubnetCommand,
  CreateVpcCommand,
  DescribeImagesCommand,
  EC2Client,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2';
import { CreateTargetGroupCommand, ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { ChangeResourceRecordSetsCommand, CreateHostedZoneCommand, Route53Client } from '@aws-sdk/client-route-53';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { CreateSecretCommand, PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { CreateStateMachineCommand, SFNClient, StopExecutionCommand } from '@aws-sdk/client-sfn';
import { CreateTopicCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import { CreateQueueCommand, DeleteMessageCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { awsBucket } from '../../lambdas/cloud/aws-bucket.ts';
import { awsDnsZones } from '../../lambdas/cloud/aws-dns.ts';
import { awsHostCommands } from '../../lambdas/cloud/aws-host-commands.ts';
import { awsInstances } from '../../lambdas/cloud/aws-instances.ts';
import { awsLeases } from '../../lambdas/cloud/aws-leases.ts';
import { awsLedger } from '../../lambdas/cloud/aws-ledger.ts';
import { awsNotifications } from '../../lambdas/cloud/aws-notifications.ts';
import { awsReconcileRequests } from '../../lambdas/cloud/aws-requests.ts';
import { awsSecrets } from '../../lambdas/cloud/aws-secrets.ts';
import { awsSpecs } from '../../lambdas/cloud/aws-specs.ts';
import { awsTargetGroups } from '../../lambdas/cloud/aws-target-groups.ts';
import { awsVolumes } from '../../lambdas/cloud/aws-volumes.ts';
import { awsWorkflows } from '../../lambdas/cloud/aws-workflows.ts';
import { BODY_SETTINGS, CLIENT_SETTINGS } from '../../lambdas/cloud/clients.ts';
import { SPEC_PREFIX } from '../../lambdas/model/spec.ts';
import { FakeClock } from '../fakes/index.ts';
import type { Moto } from './moto.ts';
import { startMoto } from './moto.ts';
import type { World } from './world.ts';

const TABLE = 'ledger';
const BUCKET = 'archive';

export async function motoWorld(): Promise<World> {
  const moto = await startMoto();
  try {
    return await inside(moto);
  } catch (error) {
    await moto.stop();
    throw error;
  }
}

function clientsOf(moto: Moto) {
  const config = { ...CLIENT_SETTINGS, ...moto.config };
  return {
    dynamodb: new DynamoDBClient(config),
    ec2: new EC2Client(config),
    elb: new ElasticLoadBalancingV2Client(config),
    route53: new Route53Client(config),
    s3: new S3Client({ ...BODY_SETTINGS, ...moto.config }),
    secretsManager: new SecretsManagerClient(config),
    sfn: new SFNClient(config),
    sns: new SNSClient(config),
    sqs: new SQSClient(config),
    ssm: new SSMClient(config),
  };
}

type Clients = ReturnType<typeof clientsOf>;

const need = <T>(value: T | undefined, what: string): T => {
  if (value === undefined) throw new Error(`moto answered no ${what}`);
  return value;
};

async function inside(moto: Moto): Promise<World> {
  const c = clientsOf(moto);
  oneAtATime(c.dynamodb);
  const clock = new FakeClock(Date.now());
  const network = await makeNetwork(c.ec2);
  await makeTable(c.dynamodb);
  await c.s3.send(
    new CreateBucketCommand({ Bucket: BUCKET, CreateBucketConfiguration: { LocationConstraint: 'eu-west-1' } }),
  );
  const machines = {
    replace: await machine(c.sfn, 'replace'),
    bootstrap: await machine(c.sfn, 'bootstrap'),
    failover: await machine(c.sfn, 'failover'),
    switchover: await machine(c.sfn, 'switchover'),
    rolling: await machine(c.sfn, 'rolling'),
  };
  const queues = {
    reconcile: await queue(c.sqs, 'reconcile.fifo', { FifoQueue: 'true' }),
    signals: await queue(c.sqs, 'signals', {}),
  };
  const topic = need((await c.sns.send(new CreateTopicCommand({ Name: 'notify' }))).TopicArn, 'topic');
  const inbox = await queue(c.sqs, 'inbox', {});
  const inboxArn = `arn:aws:sqs:eu-west-1:123456789012:inbox`;
  await c.sns.send(new SubscribeCommand({ TopicArn: topic, Protocol: 'sqs', Endpoint: inboxArn }));

  return {
    instances: awsInstances(() => c.ec2),
    volumes: awsVolumes(() => c.ec2),
    targetGroups: awsTargetGroups(() => c.elb),
    dns: awsDnsZones(() => c.route53),
    ledger: awsLedger(() => c.dynamodb, TABLE, clock),
    workflows: awsWorkflows(() => c.sfn, machines),
    requests: awsReconcileRequests(() => c.sqs, queues, clock),
    hosts: awsHostCommands(() => c.ssm, 'AWS-'),
    secrets: awsSecrets(() => c.secretsManager, clock),
    specs: awsSpecs(() => c.ssm, clock),
    bucket: awsBucket(() => c.s3, BUCKET, clock),
    leases: awsLeases(() => c.dynamodb, TABLE, clock),
    notifications: awsNotifications(() => c.sns, topic),
    ...network,
    ...hands(c, network),
    nowMs: () => clock.nowMs(),
    passMinutes: (minutes) => clock.advance(minutes * 60_000),
    takeRequests: async () => (await take(c.sqs, queues.reconcile)).map(asRequest),
    takeDelayed: async () =>
      (await take(c.sqs, queues.signals)).map((m) => asRequest((m as { readonly detail: unknown }).detail)),
    takePublished: async () =>
      (await take(c.sqs, inbox)).map((m) => {
        const { Subject, Message } = m as { readonly Subject: string; readonly Message: string };
        return { subject: Subject, body: Message };
      }),
    stop: () => moto.stop(),
  };
}

/**
 * DynamoDB isolates writes from each other; moto does not (a refused transaction rolls the whole table back, and with it
 * what others wrote meanwhile). So that racing callers meet the conditions and not that, calls go one after the other.
 */
function oneAtATime(client: DynamoDBClient): void {
  let last: Promise<unknown> = Promise.resolve();
  client.middlewareStack.add(
    (next) => (args) => {
      const mine = last.then(() => next(args));
      last = mine.catch(() => undefined);
      return mine;
    },
    { step: 'initialize', name: 'oneAtATime' },
  );
}

interface Network {
  readonly subnet: { readonly id: string; readonly zone: string };
  readonly template: { readonly id: string; readonly version: string };
  readonly vpcId: string;
  readonly imageId: string;
}

async function makeNetwork(ec2: EC2Client): Promise<Network> {
  const vpc = await ec2.send(new CreateVpcCommand({ CidrBlock: '127.202.0.0/16' }));
  const vpcId = need(vpc.Vpc?.VpcId, 'VPC');
  const zone = 'eu-west-1b';
  const made = await ec2.send(
    new CreateSubnetCommand({ VpcId: vpcId, CidrBlock: '127.202.1.0/24', AvailabilityZone: zone }),
  );
  const images = await ec2.send(new DescribeImagesCommand({ Owners: ['amazon'] }));
  const imageId = need(images.Images?.[0]?.ImageId, 'image');
  const template = await ec2.send(
    new CreateLaunchTemplateCommand({
      LaunchTemplateName: 'node',
      LaunchTemplateData: {
        ImageId: imageId,
        InstanceType: 't3.medium',
        BlockDeviceMappings: [{ DeviceName: '/dev/sdf', Ebs: { VolumeSize: 8, DeleteOnTermination: false } }],
      },
    }),
  );
  const id = need(template.LaunchTemplate?.LaunchTemplateId, 'launch template');
  // A second version that nobody has made the default one.
  await ec2.send(
    new CreateLaunchTemplateVersionCommand({
      LaunchTemplateId: id,
      SourceVersion: '1',
      LaunchTemplateData: { InstanceType: 't3.large' },
    }),
  );
  const subnet = { id: need(made.Subnet?.SubnetId, 'subnet'), zone };
  return { subnet, template: { id, version: '$Default' }, vpcId, imageId };
}

async function makeTable(dynamodb: DynamoDBClient): Promise<void> {
  await dynamodb.send(
    new CreateTableCommand({
      TableName: TABLE,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: ['pk', 'sk'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
    }),
  );
}

async function machine(sfn: SFNClient, name: string): Promise<string> {
  const definition = JSON.stringify({ StartAt: 'Wait', States: { Wait: { Type: 'Wait', Seconds: 3600, End: true } } });
  const roleArn = 'arn:aws:iam::123456789012:role/states';
  const made = await sfn.send(new CreateStateMachineCommand({ name, definition, roleArn }));
  return need(made.stateMachineArn, 'state machine');
}

async function queue(sqs: SQSClient, name: string, attributes: Record<string, string>): Promise<string> {
  return need((await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }))).QueueUrl, 'queue');
}

/** Receives and deletes until the queue is empty; answers the parsed bodies. */
async function take(sqs: SQSClient, url: string): Promise<readonly unknown[]> {
  const taken: unknown[] = [];
  for (;;) {
    const answer = await sqs.send(new ReceiveMessageCommand({ QueueUrl: url, MaxNumberOfMessages: 10 }));
    const messages = answer.Messages ?? [];
    if (messages.length === 0) return taken;
    for (const m of messages) {
      taken.push(JSON.parse(m.Body ?? ''));
      await sqs.send(
        new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: need(m.ReceiptHandle, 'receipt handle') }),
      );
    }
  }
}

function asRequest(body: unknown): { readonly cluster: string; readonly cause: string } {
  const { cluster, cause } = body as { readonly cluster: string; readonly cause: string };
  return { cluster, cause };
}

let counter = 0;
const unique = (): string => {
  counter += 1;
  return `n${counter}`;
};

type Hands =
  | 'addInstance'
  | 'addTargetGroup'
  | 'addZone'
  | 'addForeignRecord'
  | 'addSpec'
  | 'addSecret'
  | 'changeSecret'
  | 'endExecution';

function hands(c: Clients, network: Network): Pick<World, Hands> {
  const secretValue = (username: string, password: string) => JSON.stringify({ username, password });
  return {
    addInstance: async (tags) => {
      const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
      const answer = await c.ec2.send(
        new RunInstancesCommand({
          ImageId: network.imageId,
          InstanceType: 't3.medium',
          SubnetId: network.subnet.id,
          MinCount: 1,
          MaxCount: 1,
          ...(Tags.length === 0 ? {} : { TagSpecifications: [{ ResourceType: 'instance' as const, Tags }] }),
        }),
      );
      return need(answer.Instances?.[0]?.InstanceId, 'instance');
    },
    addTargetGroup: async () => {
      const input = { Name: unique(), Protocol: 'TCP' as const, Port: 3306, VpcId: network.vpcId };
      const answer = await c.elb.send(new CreateTargetGroupCommand(input));
      return need(answer.TargetGroups?.[0]?.TargetGroupArn, 'target group');
    },
    addZone: async (name) => {
      const answer = await c.route53.send(new CreateHostedZoneCommand({ Name: name, CallerReference: unique() }));
      return need(answer.HostedZone?.Id, 'zone').replace('/hostedzone/', '');
    },
    addForeignRecord: async (zoneId, name, value) => {
      const set = { Name: name, Type: 'A' as const, TTL: 60, ResourceRecords: [{ Value: value }] };
      const Changes = [{ Action: 'CREATE' as const, ResourceRecordSet: set }];
      await c.route53.send(new ChangeResourceRecordSetsCommand({ HostedZoneId: zoneId, ChangeBatch: { Changes } }));
    },
    addSpec: async (cluster, json) => {
      await c.ssm.send(new PutParameterCommand({ Name: `${SPEC_PREFIX}${cluster}`, Type: 'String', Value: json }));
    },
    addSecret: async (user, password) => {
      const input = { Name: unique(), SecretString: secretValue(user, password) };
      return need((await c.secretsManager.send(new CreateSecretCommand(input))).ARN, 'secret');
    },
    changeSecret: async (arn, user, password) => {
      const input = { SecretId: arn, SecretString: secretValue(user, password) };
      await c.secretsManager.send(new PutSecretValueCommand(input));
    },
    endExecution: async (arn, state) => {
      if (state !== 'ABORTED') throw new Error(`moto can only abort an execution, ${state} was asked for`);
      await c.sfn.send(new StopExecutionCommand({ executionArn: arn }));
    },
  };
}
