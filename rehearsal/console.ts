/** What people do to the account by its API, as from the console: each one call, with its own client. */
import { randomUUID } from 'node:crypto';
import {
  CreateLaunchTemplateVersionCommand,
  DescribeLaunchTemplateVersionsCommand,
  EC2Client,
  ModifyInstanceAttributeCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import type { RequestLaunchTemplateData } from '@aws-sdk/client-ec2';
import { DeleteItemCommand, DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import type { ListObjectVersionsCommandOutput, ObjectVersion } from '@aws-sdk/client-s3';
import { DescribeExecutionCommand, SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import type { AdminConfig } from './cloud/cloud.ts';

/** How an execution stands: `RUNNING`, `SUCCEEDED`, `FAILED`, …; and of a failed one, why. */
export interface Execution {
  readonly status: string;
  readonly why: string;
  /** What it answered, JSON; null while it has not. */
  readonly output: string | null;
}

async function using<C extends { destroy(): void }, T>(client: C, use: (client: C) => Promise<T>): Promise<T> {
  try {
    return await use(client);
  } finally {
    client.destroy();
  }
}

export const terminateInstance = (admin: AdminConfig, id: string): Promise<unknown> =>
  using(new EC2Client(admin), (ec2) => ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] })));

/** From now on the volume goes when its instance is terminated. */
export const loseVolumeWithInstance = (admin: AdminConfig, id: string, device: string): Promise<unknown> =>
  using(new EC2Client(admin), (ec2) =>
    ec2.send(
      new ModifyInstanceAttributeCommand({
        InstanceId: id,
        BlockDeviceMappings: [{ DeviceName: device, Ebs: { DeleteOnTermination: true } }],
      }),
    ),
  );

/** A new version of a launch template, as after a new image. Answers its number. */
export const newTemplateVersion = (admin: AdminConfig, launchTemplateId: string): Promise<number> =>
  using(new EC2Client(admin), async (ec2) => {
    const latest = await ec2.send(
      new DescribeLaunchTemplateVersionsCommand({ LaunchTemplateId: launchTemplateId, Versions: ['$Latest'] }),
    );
    const data = latest.LaunchTemplateVersions?.[0]?.LaunchTemplateData;
    if (data === undefined) throw new Error(`the launch template ${launchTemplateId} has no version $Latest`);
    // The whole of it: moto does not take over what SourceVersion names.
    const made = await ec2.send(
      new CreateLaunchTemplateVersionCommand({
        LaunchTemplateId: launchTemplateId,
        LaunchTemplateData: { ...(data as RequestLaunchTemplateData), InstanceType: 'r8g.large' },
      }),
    );
    const version = made.LaunchTemplateVersion?.VersionNumber;
    if (version === undefined) throw new Error('CreateLaunchTemplateVersion answered without a version');
    return version;
  });

/** The items of a table, as JSON. */
export const itemsOf = (admin: AdminConfig, table: string): Promise<readonly string[]> =>
  using(new DynamoDBClient(admin), async (dynamodb) => {
    const { Items: items = [] } = await dynamodb.send(new ScanCommand({ TableName: table }));
    return items.map((item) => JSON.stringify(item));
  });

/** Everything that the plane remembers is gone. Answers how many items that was. */
export const emptyTable = (admin: AdminConfig, table: string): Promise<number> =>
  using(new DynamoDBClient(admin), async (dynamodb) => {
    const { Items: items = [] } = await dynamodb.send(new ScanCommand({ TableName: table }));
    for (const { pk, sk } of items) {
      if (pk === undefined || sk === undefined) throw new Error(`an item of ${table} has no key`);
      await dynamodb.send(new DeleteItemCommand({ TableName: table, Key: { pk, sk } }));
    }
    return items.length;
  });

/** A bucket, and who may do everything to it. */
export interface Bucket {
  readonly admin: AdminConfig;
  readonly bucket: string;
}

async function versionsIn(s3: S3Client, bucket: string): Promise<readonly ObjectVersion[]> {
  const versions: ObjectVersion[] = [];
  for (let more: { KeyMarker?: string; VersionIdMarker?: string } | null = {}; more !== null;) {
    const page: ListObjectVersionsCommandOutput = await s3.send(
      new ListObjectVersionsCommand({ Bucket: bucket, ...more }),
    );
    versions.push(...(page.Versions ?? []));
    const { NextKeyMarker: key, NextVersionIdMarker: version } = page;
    more =
      page.IsTruncated === true
        ? { KeyMarker: key ?? '', ...(version === undefined ? {} : { VersionIdMarker: version }) }
        : null;
  }
  return versions;
}

/** Their keys, each once, ordered by the ends: no order that the archive knows. */
function keysOf(versions: readonly ObjectVersion[]): readonly string[] {
  const reversed = (key: string): string => [...key].reverse().join('');
  return [...new Set(versions.map((v) => v.Key ?? ''))].sort((a, b) => (reversed(a) < reversed(b) ? -1 : 1));
}

const bytesOf = async (s3: S3Client, bucket: string, key: string): Promise<Buffer> => {
  const { Body: stored } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  return Buffer.from((await stored?.transformToByteArray()) ?? []);
};

/**
 * The bucket as it is when its objects were copied back from elsewhere: new dates in another order, no versions, each
 * stored in one piece. Answers how many objects that are.
 */
export const copyBack = ({ admin, bucket }: Bucket): Promise<number> =>
  using(new S3Client(admin), async (s3) => {
    const versions = await versionsIn(s3, bucket);
    const keys = keysOf(versions);
    for (const key of keys) {
      const body = await bytesOf(s3, bucket, key);
      for (const { VersionId: version } of versions.filter((v) => v.Key === key)) {
        const named = version === undefined ? {} : { VersionId: version };
        await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: key, ...named }));
      }
      await s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }));
    }
    return keys.length;
  });

/**
 * Copies every object to a bucket that need not know the first one. Answers how many that are.
 * @throws Error when one names the bucket that it was in: what is read from a copy would lead back there.
 */
export const copyObjects = (from: Bucket, to: Bucket): Promise<number> =>
  using(new S3Client(from.admin), (here) =>
    using(new S3Client(to.admin), async (there) => {
      const keys = keysOf(await versionsIn(here, from.bucket));
      for (const key of keys) {
        const body = await bytesOf(here, from.bucket, key);
        if (body.includes(from.bucket))
          throw new Error(`the object ${key} names ${from.bucket}, where it was stored at first`);
        await there.send(new PutObjectCommand({ Bucket: to.bucket, Key: key, Body: body }));
      }
      return keys.length;
    }),
  );

/** Answers what the function says. Throws that, with the request, when the function fails. */
export const invoke = (admin: AdminConfig, functionName: string, request: unknown): Promise<unknown> =>
  using(new LambdaClient({ ...admin, maxAttempts: 1 }), async (lambda) => {
    const answer = await lambda.send(
      new InvokeCommand({ FunctionName: functionName, Payload: Buffer.from(JSON.stringify(request)) }),
    );
    const text = Buffer.from(answer.Payload ?? []).toString();
    if (answer.FunctionError !== undefined)
      throw new Error(`${functionName} refused ${JSON.stringify(request)}: ${text}`);
    return JSON.parse(text === '' ? 'null' : text) as unknown;
  });

/** Answers the execution's ARN. */
export const startExecution = (admin: AdminConfig, machineArn: string, input: unknown): Promise<string> =>
  using(new SFNClient(admin), async (sfn) => {
    // The name is given, as moto makes none up.
    const request = { stateMachineArn: machineArn, name: randomUUID(), input: JSON.stringify(input) };
    const started = await sfn.send(new StartExecutionCommand(request));
    if (started.executionArn === undefined) throw new Error(`StartExecution of ${machineArn} answered without an ARN`);
    return started.executionArn;
  });

export const executionOf = (admin: AdminConfig, executionArn: string): Promise<Execution> =>
  using(new SFNClient(admin), async (sfn) => {
    const answer = await sfn.send(new DescribeExecutionCommand({ executionArn }));
    return {
      status: answer.status ?? '',
      why: `${answer.error ?? ''} ${answer.cause ?? ''}`.trim(),
      output: answer.output ?? null,
    };
  });
