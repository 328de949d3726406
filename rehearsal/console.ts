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
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { DescribeExecutionCommand, SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import type { AdminConfig } from './cloud/cloud.ts';

/** How an execution stands: `RUNNING`, `SUCCEEDED`, `FAILED`, …; and of a failed one, why. */
export interface Execution {
  readonly status: string;
  readonly why: string;
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
    return { status: answer.status ?? '', why: `${answer.error ?? ''} ${answer.cause ?? ''}`.trim() };
  });
