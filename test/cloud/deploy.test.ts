import { DescribeExecutionCommand, SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AwsRequest } from '../../rehearsal/cloud/contract.ts';
import { stateMachineOf } from '../../rehearsal/cloud/gateway.ts';
import { instanceStateChange } from '../../rehearsal/cloud/event-samples.ts';
import type { DeployedStack } from '../../rehearsal/cloud/stack.ts';
import { eventually, startTestCloud } from './cloud-harness.ts';
import type { TestCloud } from './cloud-harness.ts';

let test: TestCloud;
let stack: DeployedStack;

beforeAll(async () => {
  test = await startTestCloud({ delays: { eventMs: 10 } });
  const { cloud } = test;
  const deployment = await cloud.deploy({
    appDir: join(import.meta.dirname, 'fixtures'),
    app: `${process.execPath} app.ts`,
    context: {},
    stackName: 'fixture',
  });
  stack = await cloud.attach(deployment.assemblyDir, deployment.stackName);
});
afterAll(() => test.stop());

describe('the deployed stack', () => {
  it('is read back: functions with their bundles, environment and role', () => {
    const [worker, ...more] = stack.functions;
    expect(more).toEqual([]);
    expect(worker).toMatchObject({
      name: expect.stringMatching(/^fixture-Worker/) as string,
      handler: 'index.handler',
      timeoutSeconds: 10,
      memoryMb: 128,
      environment: { GREETING: 'hello', FIFO_URL: `${test.cloud.endpoint}/123456789012/fixture.fifo` },
      roleArn: expect.stringMatching(/^arn:aws:iam::123456789012:role\/fixture-Worker/) as string,
    });
  });

  it('is read back: mappings and schedules', () => {
    expect(
      stack.mappings.map((m) => [m.queueArn.split(':').at(-1)?.slice(0, 12), m.batchSize, m.partialResponses]),
    ).toEqual([
      ['fixture-Stan', 10, true],
      ['fixture.fifo', 1, true],
    ]);
    expect(stack.schedules).toMatchObject([{ expression: 'rate(1 minute)', functionName: stack.functions[0]!.name }]);
  });
});

it('an event goes from the bus over the queue to the function', async () => {
  const { cloud } = test;
  cloud.run(stack);
  const { functionName } = stack.mappings[0]!;
  await cloud.events.emit(instanceStateChange(cloud, 'i-1', 'terminated'));
  await eventually('handled', () => cloud.lambdas.invocations.find((i) => i.source === 'mapping') ?? null);
  await cloud.whenQuiet(10_000);
  expect(cloud.lambdas.invocations.filter((i) => i.source === 'mapping')).toMatchObject([
    { functionName, outcome: 'done' },
  ]);
});

it('a schedule fires at once when the stack begins to run', async () => {
  await eventually('fired', () => test.cloud.lambdas.invocations.find((i) => i.source === 'schedule') ?? null);
});

it('an asynchronous event that fails goes to the destination that the stack names', async () => {
  const { cloud } = test;
  const worker = stack.functions[0]!;
  const queueUrl = worker.asyncEvents!.onFailureQueueUrl!;
  expect(worker.asyncEvents).toEqual({
    retries: 0,
    maximumAgeSeconds: 60,
    onFailureQueueUrl: stack.queues.get('StandardDlqCB97491A'),
  });
  cloud.lambdas.invokeAsync(worker.name, { mode: 'throw', name: 'Nope', message: 'never' }, 'api');
  const sqs = new SQSClient(cloud.adminConfig);
  const body = await eventually('a message', async () => {
    const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: queueUrl, WaitTimeSeconds: 0 }));
    return Messages?.[0]?.Body ?? null;
  });
  expect(JSON.parse(body)).toMatchObject({
    requestContext: { condition: 'RetriesExhausted', approximateInvokeCount: 1 },
    requestPayload: { mode: 'throw' },
    responsePayload: { errorType: 'Nope' },
  });
});

describe('an execution of the deployed state machine', () => {
  const machineArn = (): string =>
    [...stack.resources.values()].find((r) => r.type === 'AWS::StepFunctions::StateMachine')!.physicalId!;

  it('runs its tasks in the functions, under its own name, and catches a function’s error by name', async () => {
    const { cloud } = test;
    const seen: AwsRequest[] = [];
    cloud.setAuthorizer({
      authorize: async (request) => {
        seen.push(request);
        return { allowed: true, principal: 'x' };
      },
    });
    const sfn = new SFNClient(cloud.adminConfig);
    const input = JSON.stringify({ message: 'no donor' });
    const { executionArn } = await sfn.send(
      new StartExecutionCommand({ stateMachineArn: machineArn(), name: 'one', input }),
    );
    const done = await eventually('the execution to end', async () => {
      const execution = await sfn.send(new DescribeExecutionCommand({ executionArn }));
      return execution.status === 'RUNNING' ? null : execution;
    });
    cloud.setAuthorizer(null);
    expect(done.status).toBe('SUCCEEDED');
    const output = JSON.parse(done.output!) as { seen: { echo: { error: { Error: string; Cause: string } } } };
    expect(output.seen.echo.error.Error).toBe('SeedFailed');
    expect(JSON.parse(output.seen.echo.error.Cause)).toMatchObject({
      errorType: 'SeedFailed',
      errorMessage: 'no donor',
    });

    // The second task has TimeoutSeconds, so that the engine makes its call from another thread of its own.
    const invokes = seen.filter((request) => request.service === 'lambda' && request.operation === 'Invoke');
    const machine = machineArn().split(':').at(-1);
    expect(invokes.map(stateMachineOf)).toEqual([machine, machine]);
    expect(cloud.lambdas.invocations.filter((i) => i.source === 'engine')).toHaveLength(2);
  });

  it('can be one of many, and a name is started once', async () => {
    const sfn = new SFNClient(test.cloud.adminConfig);
    const start = (name: string, message: string): Promise<string | undefined> =>
      sfn
        .send(new StartExecutionCommand({ stateMachineArn: machineArn(), name, input: JSON.stringify({ message }) }))
        .then((answer) => answer.executionArn);
    const [two, three] = [await start('two', 'm'), await start('three', 'm')];
    expect(two).not.toBe(three);
    await expect(start('two', 'another')).rejects.toMatchObject({ name: 'ExecutionAlreadyExists' });
  });
});

it('nothing of this failed in the gateway, and stopping leaves no process', async () => {
  const { cloud } = test;
  expect(cloud.gateway.failures).toEqual([]);
  const answer = await cloud.lambdas.invoke(stack.functions[0]!.name, { mode: 'echo' }, 'api');
  const { pid } = JSON.parse(answer.kind === 'done' ? answer.payload : '{}') as { pid: number };
  const pids = [pid, cloud.moto.pid];
  for (const each of pids) expect(process.kill(each, 0)).toBe(true);
  await cloud.stop();
  for (const each of pids) expect(() => process.kill(each, 0)).toThrow('ESRCH');
});

it('a deployment that fails says where its log is, and what the CLI said at last', async () => {
  const empty = await startTestCloud();
  const app = {
    appDir: import.meta.dirname,
    app: `${process.execPath} -e "throw Error('bad spec')"`,
    context: {},
    stackName: 'none',
  };
  await expect(empty.cloud.deploy(app)).rejects.toThrow(/cdk synth ended with 1; its log is .*cdk\.log[\s\S]*bad spec/);
  await empty.stop();
});

it('stopping ends a deployment that is under way', async () => {
  const empty = await startTestCloud();
  const app = {
    appDir: import.meta.dirname,
    app: `${process.execPath} -e "setInterval(() => 0, 1000)"`,
    context: {},
    stackName: 'none',
  };
  const deployment = expect(empty.cloud.deploy(app)).rejects.toThrow('is being stopped');
  await eventually('the CLI calls', () => (empty.cloud.calls.records.length > 0 ? true : null), 20_000);
  await empty.stop();
  await deployment;
});

it('nothing outlives a rehearsal that is killed', async () => {
  const script = join(import.meta.dirname, 'fixtures', 'killed-rehearsal.ts');
  const rehearsal = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface({ input: rehearsal.stdout }), 'line')) as [string];
  const { pids, workDir } = JSON.parse(line) as { pids: number[]; workDir: string };
  expect(pids).toHaveLength(2);
  for (const pid of pids) expect(process.kill(pid, 0)).toBe(true);
  rehearsal.kill('SIGKILL');
  for (const pid of pids)
    await eventually(`process ${pid} to end`, () => (existsSync(`/proc/${pid}/root`) ? null : true));
  rmSync(workDir, { recursive: true, force: true });
});
