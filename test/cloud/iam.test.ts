/** IAM at the real gateway: SDK clients with the credentials of deployed roles, moto behind. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CloudFormationClient,
  CreateStackCommand,
  DescribeStackResourcesCommand,
} from '@aws-sdk/client-cloudformation';
import {
  BatchGetItemCommand,
  DynamoDBClient,
  PutItemCommand,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb';
import {
  CreateLaunchTemplateCommand,
  CreateTagsCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSubnetsCommand,
  DescribeVpcsCommand,
  EC2Client,
  RunInstancesCommand,
  StopInstancesCommand,
} from '@aws-sdk/client-ec2';
import {
  CreateTargetGroupCommand,
  DescribeTargetHealthCommand,
  ElasticLoadBalancingV2Client,
  ModifyTargetGroupAttributesCommand,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import {
  AddRoleToInstanceProfileCommand,
  AttachRolePolicyCommand,
  CreateInstanceProfileCommand,
  CreateRoleCommand,
  GetRolePolicyCommand,
  IAMClient,
} from '@aws-sdk/client-iam';
import { ChangeResourceRecordSetsCommand, CreateHostedZoneCommand, Route53Client } from '@aws-sdk/client-route-53';
import { CreateSecretCommand, GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { SNSClient, PublishCommand } from '@aws-sdk/client-sns';
import { SQSClient, ReceiveMessageCommand, SendMessageBatchCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { GetParametersByPathCommand, SSMClient, SendCommandCommand } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { iamGate } from '../../rehearsal/iam/gate.ts';
import type { IamGate } from '../../rehearsal/iam/gate.ts';
import type { RoleCredentials } from '../../rehearsal/iam/sessions.ts';
import { eventually, startTestCloud } from './cloud-harness.ts';
import type { TestCloud } from './cloud-harness.ts';
import { SMALL_STACK } from './iam-stack.ts';

const STACK = 'Small';
const CLUSTER = 'rejoin:cluster';

interface World {
  readonly gate: IamGate;
  readonly test: TestCloud;
  /** Physical ids of the stack. */
  readonly ids: Readonly<Record<string, string>>;
  /** SDK configuration with the function role's credentials. */
  readonly config: {
    readonly endpoint: string;
    readonly region: string;
    readonly credentials: RoleCredentials;
    readonly maxAttempts: number;
  };
  readonly subnetId: string;
  readonly templateId: string;
  readonly hostRoleArn: string;
  readonly secretArn: string;
  readonly zoneId: string;
  readonly own: string;
  readonly foreign: string;
}

let world: World;
const closing: { destroy(): void }[] = [];
const client = <T extends { destroy(): void }>(made: T): T => {
  closing.push(made);
  return made;
};

const roleArn = (name: string): string => `arn:aws:iam::123456789012:role/${name}`;

async function launchTemplate(ec2: EC2Client): Promise<{ templateId: string; subnetId: string; image: string }> {
  const images = await ec2.send(new DescribeImagesCommand({ Owners: ['amazon'] }));
  const image = images.Images![0]!.ImageId!;
  const made = await ec2.send(
    new CreateLaunchTemplateCommand({
      LaunchTemplateName: 'hosts',
      LaunchTemplateData: { ImageId: image, InstanceType: 't4g.small', IamInstanceProfile: { Name: 'hosts' } },
    }),
  );
  const subnets = await ec2.send(new DescribeSubnetsCommand({}));
  return { templateId: made.LaunchTemplate!.LaunchTemplateId!, subnetId: subnets.Subnets![0]!.SubnetId!, image };
}

async function hostRole(iam: IAMClient): Promise<string> {
  const trust = {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' }],
  };
  const role = await iam.send(
    new CreateRoleCommand({ RoleName: 'hosts', AssumeRolePolicyDocument: JSON.stringify(trust) }),
  );
  await iam.send(
    new AttachRolePolicyCommand({
      RoleName: 'hosts',
      PolicyArn: 'arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore',
    }),
  );
  await iam.send(new CreateInstanceProfileCommand({ InstanceProfileName: 'hosts' }));
  await iam.send(new AddRoleToInstanceProfileCommand({ InstanceProfileName: 'hosts', RoleName: 'hosts' }));
  return role.Role!.Arn!;
}

async function deploySmall(test: TestCloud): Promise<Record<string, string>> {
  const cloudFormation = client(new CloudFormationClient(test.cloud.adminConfig));
  await writeFile(join(test.workDir, `${STACK}.template.json`), JSON.stringify(SMALL_STACK));
  await cloudFormation.send(
    new CreateStackCommand({
      StackName: STACK,
      TemplateBody: JSON.stringify(SMALL_STACK),
      Capabilities: ['CAPABILITY_IAM'],
    }),
  );
  const found = await cloudFormation.send(new DescribeStackResourcesCommand({ StackName: STACK }));
  return Object.fromEntries(found.StackResources!.map((r) => [r.LogicalResourceId!, r.PhysicalResourceId!]));
}

beforeAll(async () => {
  const test = await startTestCloud();
  const gate = iamGate();
  const admin = test.cloud.adminConfig;
  const ec2 = client(new EC2Client(admin));
  const hostRoleArn = await hostRole(client(new IAMClient(admin)));
  const { templateId, subnetId, image } = await launchTemplate(ec2);
  const launched = await ec2.send(
    new RunInstancesCommand({ ImageId: image, MinCount: 2, MaxCount: 2, SubnetId: subnetId }),
  );
  const [own, foreign] = launched.Instances!.map((i) => i.InstanceId!);
  await ec2.send(new CreateTagsCommand({ Resources: [own!], Tags: [{ Key: CLUSTER, Value: 'orders' }] }));
  const zone = await client(new Route53Client(admin)).send(
    new CreateHostedZoneCommand({ Name: 'db.internal', CallerReference: 'c' }),
  );
  const secret = await client(new SecretsManagerClient(admin)).send(
    new CreateSecretCommand({ Name: 'probe', SecretString: '{}' }),
  );
  const ids = await deploySmall(test);
  gate.attachTo(test.cloud);
  await gate.knowRole(hostRoleArn);
  await gate.knowStack(test.workDir, STACK);
  const credentials = gate.credentialsFor(roleArn(ids['FunctionRole']!), 'reconcile', 'lambda.amazonaws.com');
  const config = { endpoint: test.cloud.endpoint, region: test.cloud.region, credentials, maxAttempts: 1 };
  world = {
    gate,
    test,
    ids,
    config,
    subnetId,
    templateId,
    hostRoleArn,
    secretArn: secret.ARN!,
    zoneId: zone.HostedZone!.Id!,
    own: own!,
    foreign: foreign!,
  };
});

afterAll(async () => {
  for (const one of closing) one.destroy();
  world.gate.close();
  await world.test.stop();
});

describe('a call with the credentials of a deployed role', () => {
  it('stops an instance that carries the tag, and no other: UnauthorizedOperation', async () => {
    const ec2 = client(new EC2Client(world.config));
    await ec2.send(new StopInstancesCommand({ InstanceIds: [world.own] }));
    await expect(ec2.send(new StopInstancesCommand({ InstanceIds: [world.foreign] }))).rejects.toMatchObject({
      name: 'UnauthorizedOperation',
      $metadata: { httpStatusCode: 403 },
      message: expect.stringMatching(
        /assumed-role\/.*\/reconcile is not authorized to perform: ec2:StopInstances on resource: .*instance\/i-/,
      ) as string,
    });
    await expect(ec2.send(new DescribeVpcsCommand({}))).rejects.toMatchObject({ name: 'UnauthorizedOperation' });
  });

  it('launches from the template with the tag, and not without', async () => {
    const ec2 = client(new EC2Client(world.config));
    const launch = (Value: string) => {
      const tags = [{ Key: CLUSTER, Value }];
      return ec2.send(
        new RunInstancesCommand({
          LaunchTemplate: { LaunchTemplateId: world.templateId, Version: '$Latest' },
          SubnetId: world.subnetId,
          MinCount: 1,
          MaxCount: 1,
          TagSpecifications: [
            { ResourceType: 'instance', Tags: tags },
            { ResourceType: 'volume', Tags: tags },
          ],
        }),
      );
    };
    const launched = await launch('orders');
    await expect(launch('billing')).rejects.toThrow(/ec2:RunInstances on resource: .*:instance\/\*/);
    const seen = await ec2.send(
      new DescribeInstancesCommand({ Filters: [{ Name: `tag:${CLUSTER}`, Values: ['billing'] }] }),
    );
    expect(launched.Instances).toHaveLength(1);
    expect(seen.Reservations).toEqual([]); // the refused launch did not reach moto
  });

  it('uses an encrypted queue whose key it may use, and not one whose key it may not: AccessDeniedException', async () => {
    const sqs = client(new SQSClient(world.config));
    await sqs.send(new SendMessageCommand({ QueueUrl: world.ids['Queue'], MessageBody: 'x' }));
    await sqs.send(
      new SendMessageBatchCommand({ QueueUrl: world.ids['Queue'], Entries: [{ Id: '1', MessageBody: 'x' }] }),
    );
    await expect(sqs.send(new ReceiveMessageCommand({ QueueUrl: world.ids['Queue'] }))).rejects.toMatchObject({
      name: 'AccessDeniedException',
    });
    await expect(sqs.send(new SendMessageCommand({ QueueUrl: world.ids['Locked'], MessageBody: 'x' }))).rejects.toThrow(
      /not authorized to perform: kms:GenerateDataKey on resource: arn:aws:kms:/,
    );
  });

  it('reads and writes items, each with its own permission', async () => {
    const db = client(new DynamoDBClient(world.config));
    const TableName = world.ids['Table']!;
    const Key = { pk: { S: 'a' } };
    await db.send(new BatchGetItemCommand({ RequestItems: { [TableName]: { Keys: [Key] } } }));
    const Update = { TableName, Key, UpdateExpression: 'SET v = :v', ExpressionAttributeValues: { ':v': { S: '1' } } };
    const ConditionCheck = { TableName, Key: { pk: { S: 'b' } }, ConditionExpression: 'attribute_not_exists(pk)' };
    await db.send(new TransactWriteItemsCommand({ TransactItems: [{ Update }, { ConditionCheck }] }));
    await expect(
      db.send(new TransactWriteItemsCommand({ TransactItems: [{ Update }, { Delete: { TableName, Key } }] })),
    ).rejects.toMatchObject({
      name: 'AccessDeniedException',
      message: expect.stringContaining('dynamodb:DeleteItem') as string,
    });
    await expect(db.send(new PutItemCommand({ TableName, Item: Key }))).rejects.toMatchObject({
      name: 'AccessDeniedException',
    });
  });

  it('changes the attributes of a target group by its tag', async () => {
    const admin = client(new ElasticLoadBalancingV2Client(world.test.cloud.adminConfig));
    const vpcs = await client(new EC2Client(world.test.cloud.adminConfig)).send(new DescribeVpcsCommand({}));
    const made = async (Name: string, tag: string): Promise<string> => {
      const command = new CreateTargetGroupCommand({
        Name,
        Protocol: 'TCP',
        Port: 3306,
        VpcId: vpcs.Vpcs![0]!.VpcId,
        Tags: [{ Key: tag, Value: 'orders' }],
      });
      return (await admin.send(command)).TargetGroups![0]!.TargetGroupArn!;
    };
    const ours = await made('ours', CLUSTER);
    const theirs = await made('theirs', 'team');
    const elb = client(new ElasticLoadBalancingV2Client(world.config));
    const change = (TargetGroupArn: string) =>
      elb.send(
        new ModifyTargetGroupAttributesCommand({
          TargetGroupArn,
          Attributes: [{ Key: 'deregistration_delay.timeout_seconds', Value: '5' }],
        }),
      );
    await change(ours);
    await expect(change(theirs)).rejects.toMatchObject({ name: 'AccessDenied' });
    await elb.send(new DescribeTargetHealthCommand({ TargetGroupArn: theirs }));
  });

  it('changes only the records that the policy names', async () => {
    const dns = client(new Route53Client(world.config));
    const change = (Name: string) =>
      dns.send(
        new ChangeResourceRecordSetsCommand({
          HostedZoneId: world.zoneId,
          ChangeBatch: {
            Changes: [
              {
                Action: 'UPSERT',
                ResourceRecordSet: { Name, Type: 'A', TTL: 5, ResourceRecords: [{ Value: '10.0.0.1' }] },
              },
            ],
          },
        }),
      );
    await change('Orders.db.internal.');
    await expect(change('billing.db.internal.')).rejects.toMatchObject({ name: 'AccessDenied' });
  });

  it('reads a secret, publishes, and lists parameters below the path', async () => {
    await client(new SecretsManagerClient(world.config)).send(new GetSecretValueCommand({ SecretId: world.secretArn }));
    await client(new SNSClient(world.config)).send(new PublishCommand({ TopicArn: world.ids['Topic'], Message: 'm' }));
    const ssm = client(new SSMClient(world.config));
    await ssm.send(new GetParametersByPathCommand({ Path: '/rejoin/clusters/' }));
    await expect(ssm.send(new GetParametersByPathCommand({ Path: '/' }))).rejects.toMatchObject({
      name: 'AccessDeniedException',
    });
  });

  it('runs a document on tagged hosts only', async () => {
    const ssm = client(new SSMClient(world.config));
    const send = (id: string) =>
      ssm.send(new SendCommandCommand({ DocumentName: world.ids['Document'], InstanceIds: [id] }));
    await send(world.own);
    await expect(send(world.foreign)).rejects.toMatchObject({ name: 'AccessDeniedException' });
  });

  it('is a call of the state machine’s role when the engine makes it', async () => {
    const sfn = client(new SFNClient(world.config));
    await sfn.send(new StartExecutionCommand({ stateMachineArn: world.ids['Machine'], name: 'one' }));
    const refused = await eventually('the engine’s publish is refused', () => {
      return world.gate.report().refused.find((r) => r.action === 'sns:Publish') ?? null;
    });
    expect(refused.principal).toBe(`arn:aws:sts::123456789012:assumed-role/${world.ids['MachineRole']}/small-machine`);
  });
});

describe('the gate', () => {
  it('refuses keys that it gave to nobody', async () => {
    const stranger = client(
      new EC2Client({ ...world.config, credentials: { accessKeyId: 'AKIASTRANGER', secretAccessKey: 's' } }),
    );
    await expect(stranger.send(new DescribeInstancesCommand({}))).rejects.toMatchObject({
      name: 'UnauthorizedOperation',
    });
  });

  it('lets a host say that it is there, and no more', async () => {
    const credentials = world.gate.credentialsFor(world.hostRoleArn, world.own, 'ec2.amazonaws.com');
    const ec2 = client(new EC2Client({ ...world.config, credentials }));
    await expect(ec2.send(new DescribeInstancesCommand({}))).rejects.toMatchObject({ name: 'UnauthorizedOperation' });
    const body = JSON.stringify({
      InstanceId: world.own,
      AgentVersion: '3',
      AgentName: 'amazon-ssm-agent',
      PlatformType: 'Linux',
    });
    const headers = {
      'x-amz-target': 'AmazonSSM.UpdateInstanceInformation',
      'content-type': 'application/x-amz-json-1.1',
      authorization: `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/20260101/${world.config.region}/ssm/aws4_request, SignedHeaders=host, Signature=0`,
    };
    const answer = await fetch(world.config.endpoint, { method: 'POST', body, headers });
    expect(await answer.text()).not.toMatch(/AccessDenied/);
  });

  it('does not count against a host what of its agent the rehearsal has not', () => {
    const host = world.gate.report().unused.filter((u) => u.role === 'hosts');
    expect(host.length).toBeGreaterThan(10);
    expect(host.filter((u) => u.emulated)).toEqual([]);
  });

  it('resolves the template to what the emulated account holds', async () => {
    const iam = client(new IAMClient(world.test.cloud.adminConfig));
    const stored = await iam.send(new GetRolePolicyCommand({ RoleName: world.ids['FunctionRole'], PolicyName: 'own' }));
    const unused = world.gate.report().unused.find((u) => u.statement.includes('(Never)'));
    expect(unused?.resource).toMatch(/^arn:aws:sqs:[a-z0-9-]+:123456789012:signals$/);
    // moto resolves intrinsics by itself: both must come to the same.
    expect(stored.PolicyDocument).toContain(unused!.resource);
  });

  it('reports refusals and what was granted for nothing', async () => {
    const { refused, unused, problems } = world.gate.report();
    expect(problems).toEqual([]);
    expect(refused.find((r) => r.action === 'ec2:StopInstances')!.doubts).toEqual([
      expect.stringMatching(/StringLike ec2:ResourceTag\/rejoin:cluster does not hold \(it is absent\)/),
    ]);
    const own = unused.filter((u) => u.role === `${STACK}/FunctionRole`).map((u) => `${u.kind} ${u.action}`);
    // The locked queue counts as unused: what was asked of it was refused.
    expect(own).toEqual(['resource sqs:SendMessage', 'action sqs:PurgeQueue']);
  });
});
