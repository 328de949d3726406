import type { SSMClient } from '@aws-sdk/client-ssm';
import {
  DescribeInstanceInformationCommand,
  GetCommandInvocationCommand,
  SendCommandCommand,
} from '@aws-sdk/client-ssm';
import type { Lazy } from './clients.ts';
import { aws, isCode } from './errors.ts';
import { everyPage, inBatches } from './pages.ts';
import type { CommandState, HostCommands } from './ports.ts';
import { HostOffline } from './ports.ts';

const IDS_PER_CALL = 50;
/** How long SSM tries to hand the command to the agent; how long the script may run is the document's own limit. */
const DELIVERY_SECONDS = 60;

/** Scripts on hosts by SSM Run Command; the document's name is `documentPrefix` + the short name. */
export function awsHostCommands(ssm: Lazy<SSMClient>, documentPrefix: string): HostCommands {
  return {
    async online(instanceIds) {
      const found: string[] = [];
      for (const batch of inBatches([...new Set(instanceIds)], IDS_PER_CALL)) {
        const online = await everyPage(async (token) => {
          const page = await aws('ssm:DescribeInstanceInformation', () =>
            ssm().send(
              new DescribeInstanceInformationCommand({
                Filters: [
                  { Key: 'InstanceIds', Values: [...batch] },
                  { Key: 'PingStatus', Values: ['Online'] },
                ],
                MaxResults: 50,
                NextToken: token,
              }),
            ),
          );
          return { items: page.InstanceInformationList ?? [], next: page.NextToken };
        });
        found.push(...online.flatMap((i) => (i.PingStatus === 'Online' ? (i.InstanceId ?? []) : [])));
      }
      return found;
    },

    async start(instanceId, document, parameters) {
      const lists = Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, [value]]));
      const command = new SendCommandCommand({
        DocumentName: `${documentPrefix}${document}`,
        InstanceIds: [instanceId],
        Parameters: lists,
        TimeoutSeconds: DELIVERY_SECONDS,
        Comment: `rejoin ${document}`,
      });
      const answer = await aws('ssm:SendCommand', () => ssm().send(command)).catch((error: unknown) => {
        // "Instances not in a valid state for account": DescribeInstanceInformation may say Online for minutes before and after.
        if (isCode(error, 'InvalidInstanceId')) throw new HostOffline(error.message, { cause: error });
        throw error;
      });
      const id = answer.Command?.CommandId;
      if (id === undefined) throw new Error(`ssm:SendCommand of ${document} on ${instanceId} answered no command id`);
      return id;
    },

    async state(instanceId, commandId) {
      try {
        const answer = await aws('ssm:GetCommandInvocation', () =>
          ssm().send(new GetCommandInvocationCommand({ InstanceId: instanceId, CommandId: commandId })),
        );
        return toState(answer.Status, {
          exitCode: answer.ResponseCode ?? -1,
          output: answer.StandardOutputContent ?? '',
          error: answer.StandardErrorContent ?? '',
          details: answer.StatusDetails ?? '',
        });
      } catch (error) {
        // SSM needs a moment after SendCommand before it knows of the invocation.
        if (isCode(error, 'InvocationDoesNotExist')) return { kind: 'running' };
        throw error;
      }
    },
  };
}

interface Finished {
  readonly exitCode: number;
  readonly output: string;
  readonly error: string;
  readonly details: string;
}

/** Statuses: https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html */
export function toState(status: string | undefined, f: Finished): CommandState {
  switch (status) {
    case 'Pending':
    case 'InProgress':
    case 'Delayed':
    case 'Cancelling':
      return { kind: 'running' };
    case 'Success':
      return { kind: 'succeeded', output: f.output };
    case 'Failed':
    case 'TimedOut':
    case 'Cancelled':
      return {
        kind: 'failed',
        exitCode: f.exitCode,
        output: f.output,
        // A command that never reached its host has no error output of its own.
        error: f.error === '' ? `SSM: ${status} (${f.details})` : f.error,
      };
    case undefined:
    default:
      throw new Error(
        `SSM gives the command's status as ${JSON.stringify(status)}, expected one of its documented ones`,
      );
  }
}
