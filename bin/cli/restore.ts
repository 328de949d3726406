/** `rejoin restore`: starts the state machine `restore`, and tells how it goes until it has ended. */
import { setTimeout } from 'node:timers/promises';
import {
  DescribeExecutionCommand,
  GetExecutionHistoryCommand,
  SFNClient,
  StartExecutionCommand,
  paginateListStateMachines,
} from '@aws-sdk/client-sfn';
import { endTold, planTold } from './words.ts';

const LOOK_EVERY_MS = 3000;

interface Options {
  readonly cluster: string;
  readonly target: string;
  readonly as?: string;
  readonly history?: string;
  readonly dryRun?: boolean;
}

export async function startRestore(prefix: string, { cluster, target, as, history, dryRun }: Options): Promise<void> {
  const sfn = new SFNClient({});
  const stateMachineArn = await machineNamed(sfn, `${prefix}-restore`);
  const input = JSON.stringify({ cluster, target, as, history, dryRun });
  const { executionArn } = await sfn.send(new StartExecutionCommand({ stateMachineArn, input }));
  if (executionArn === undefined) throw new Error('Step Functions started the restore without naming its execution');
  console.log(`Started ${executionArn}`);
  process.once('SIGINT', () => {
    console.log('\nThe restore goes on. How far it is:');
    console.log(`  aws stepfunctions describe-execution --execution-arn ${executionArn}`);
    console.log('To stop it (the instance that it launched is then left to you):');
    console.log(`  aws stepfunctions stop-execution --execution-arn ${executionArn}`);
    process.exit(130);
  });
  await follow(sfn, executionArn);
}

async function machineNamed(sfn: SFNClient, name: string): Promise<string> {
  for await (const page of paginateListStateMachines({ client: sfn }, {})) {
    const found = page.stateMachines?.find((m) => m.name === name)?.stateMachineArn;
    if (found !== undefined) return found;
  }
  throw new Error(
    `there is no state machine ${name} in this account and region: is AWS_REGION right, and --prefix that of the plane`,
  );
}

async function follow(sfn: SFNClient, executionArn: string): Promise<void> {
  let told = '';
  let planned = false;
  for (;;) {
    const now = await sfn.send(new DescribeExecutionCommand({ executionArn }));
    const { events = [] } = await sfn.send(
      new GetExecutionHistoryCommand({ executionArn, reverseOrder: true, maxResults: 20, includeExecutionData: true }),
    );
    const entered = events.find((e) => e.stateEnteredEventDetails !== undefined)?.stateEnteredEventDetails;
    if (!planned) {
      const plan = planTold(jsonOf(entered?.input ?? now.output));
      planned = plan !== null;
      if (plan !== null) console.log(plan);
    }
    const step = entered?.name?.replace(/(Ready|Wait)$/, '') ?? '';
    if (step !== told && step !== '') console.log(`${new Date().toISOString()} ${step}`);
    told = step;
    if (now.status !== 'RUNNING' && now.status !== 'PENDING_REDRIVE') {
      console.log(endTold(now.status ?? 'UNKNOWN', jsonOf(now.output), now.cause ?? now.error ?? ''));
      process.exitCode = now.status === 'SUCCEEDED' ? 0 : 1;
      return;
    }
    await setTimeout(LOOK_EVERY_MS);
  }
}

const jsonOf = (text: string | undefined): unknown => (text === undefined ? null : JSON.parse(text));
