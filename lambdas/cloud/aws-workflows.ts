import type { SFNClient } from '@aws-sdk/client-sfn';
import { DescribeExecutionCommand, StartExecutionCommand } from '@aws-sdk/client-sfn';
import type { Lazy } from './clients.ts';
import { aws, isCode } from './errors.ts';
import type { RecoveryMode } from '../model/ledger.ts';
import type { ArchiveStarts, Workflows } from './ports.ts';

export type MachineName = 'replace' | 'bootstrap' | 'failover' | 'switchover' | 'rolling';

/** ARN by machine: those that the function may start. */
export type StateMachines = Readonly<Partial<Record<MachineName, string>>>;

/** The state machine that does a mode. */
export function machineOf(mode: RecoveryMode): MachineName {
  switch (mode) {
    case 'rejoin':
    case 'replace':
    case 'add':
    case 'roll':
    case 'retire':
      return 'replace';
    case 'bootstrap':
    case 'failover':
    case 'switchover':
    case 'rolling':
      return mode;
  }
}

/** Standard workflows of Step Functions. Errors as in `errors.ts`; a mode whose machine is not among `machines` is refused. */
export function awsWorkflows(sfn: Lazy<SFNClient>, machines: StateMachines): Workflows {
  return {
    async start(name, input) {
      const machine = machines[machineOf(input.mode)];
      if (machine === undefined) {
        const known = Object.keys(machines).join(', ');
        throw new Error(
          `mode ${input.mode} needs the state machine "${machineOf(input.mode)}", and this function may start ${known} only`,
        );
      }
      return startOnce(sfn, machine, name, input);
    },

    async state(arn) {
      try {
        const answer = await aws('states:DescribeExecution', () =>
          sfn().send(new DescribeExecutionCommand({ executionArn: arn })),
        );
        if (answer.status === undefined) throw new Error(`states:DescribeExecution gave no status for ${arn}`);
        return answer.status;
      } catch (error) {
        if (isCode(error, 'ExecutionDoesNotExist')) return 'NOT_FOUND';
        throw error;
      }
    },
  };
}

async function startOnce(sfn: Lazy<SFNClient>, machine: string, name: string, input: object): Promise<string> {
  try {
    const answer = await aws('states:StartExecution', () =>
      sfn().send(new StartExecutionCommand({ stateMachineArn: machine, name, input: JSON.stringify(input) })),
    );
    return answer.executionArn ?? executionArn(machine, name);
  } catch (error) {
    // Names are deterministic per incident and attempt: it was started before, which is what was wanted.
    if (isCode(error, 'ExecutionAlreadyExists')) return executionArn(machine, name);
    throw error;
  }
}

/** The archive's machines, started by name alone; ARN by machine. Errors as in `errors.ts`. */
export const awsArchiveStarts = (
  sfn: Lazy<SFNClient>,
  machines: Readonly<Record<'backup' | 'drill', string>>,
): ArchiveStarts => ({
  start: async (machine, name, cluster) => void (await startOnce(sfn, machines[machine], name, { cluster })),
});

/** `arn:…:stateMachine:NAME` and an execution's name give `arn:…:execution:NAME:EXECUTION`. */
export function executionArn(stateMachineArn: string, name: string): string {
  const parts = stateMachineArn.split(':');
  if (parts.length !== 7 || parts[5] !== 'stateMachine') {
    throw new Error(
      `${JSON.stringify(stateMachineArn)} is not a state machine: give arn:aws:states:REGION:ACCOUNT:stateMachine:NAME`,
    );
  }
  return [...parts.slice(0, 5), 'execution', parts[6], name].join(':');
}
