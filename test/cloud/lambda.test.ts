import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CloudEvent } from '../../rehearsal/cloud/contract.ts';
import { eventually, handled, startTestCloud, workerSpec } from './cloud-harness.ts';
import type { TestCloud } from './cloud-harness.ts';

let test: TestCloud;
let client: LambdaClient;
const told: CloudEvent[] = [];

beforeAll(async () => {
  test = await startTestCloud({ asyncRetryScale: 0.0005 });
  test.cloud.onEvent((event) => told.push(event));
  const { lambdas } = test.cloud;
  lambdas.register(workerSpec());
  lambdas.register(workerSpec({ name: 'short', timeoutSeconds: 1 }));
  lambdas.register(workerSpec({ name: 'single', reservedConcurrency: 1 }));
  lambdas.register(workerSpec({ name: 'broken', handler: 'index.missing' }));
  lambdas.register(workerSpec({ name: 'lost', codeDir: test.workDir }));
  lambdas.register(workerSpec({ name: 'parallel' }));
  lambdas.register(workerSpec({ name: 'calls' }));
  client = new LambdaClient({ ...test.cloud.adminConfig, maxAttempts: 1 });
});
afterAll(() => test.stop());

interface Answer {
  readonly error: string | undefined;
  readonly payload: Record<string, unknown>;
}

async function invoke(name: string, event: unknown): Promise<Answer> {
  const answer = await client.send(
    new InvokeCommand({ FunctionName: name, Payload: Buffer.from(JSON.stringify(event)) }),
  );
  return {
    error: answer.FunctionError,
    payload: JSON.parse(Buffer.from(answer.Payload!).toString()) as Record<string, unknown>,
  };
}

const echoed = async (name: string): Promise<{ pid: number; invocations: number }> =>
  (await invoke(name, { mode: 'echo' })).payload as unknown as { pid: number; invocations: number };

describe('an invocation', () => {
  it('is answered with what the handler returns, and knows its remaining time', async () => {
    const { error, payload } = await invoke('worker', { mode: 'echo', n: 1 });
    expect(error).toBeUndefined();
    expect(payload['echo']).toEqual({ mode: 'echo', n: 1 });
    expect(payload['remainingMs']).toBeGreaterThan(8_000);
    expect(payload['remainingMs']).toBeLessThanOrEqual(10_000);
  });

  it('finds the process of the one before it, warm', async () => {
    const first = await echoed('single');
    const second = await echoed('single');
    expect(second).toMatchObject({ pid: first.pid, invocations: first.invocations + 1 });
    expect(test.cloud.lambdas.invocations.filter((i) => i.functionName === 'single').map((i) => i.coldStart)).toEqual([
      true,
      false,
    ]);
  });

  it('finds a process that was started ahead', async () => {
    const { lambdas } = test.cloud;
    lambdas.register(workerSpec({ name: 'warm' }));
    await lambdas.prewarm('warm');
    await echoed('warm');
    expect(lambdas.invocations.find((i) => i.functionName === 'warm')).toMatchObject({
      coldStart: false,
      outcome: 'done',
    });
  });

  it('has a process to itself', async () => {
    const answers = await Promise.all([1, 2, 3].map(() => echoed('parallel')));
    expect(new Set(answers.map((answer) => answer.pid)).size).toBe(3);
    expect(answers.map((answer) => answer.invocations)).toEqual([1, 1, 1]);
  });

  it("sees the environment of Lambda and of its function, and nothing of the host's", async () => {
    process.env['REJOIN_TEST_SECRET'] = 'of the host';
    const { payload } = await invoke('worker', { mode: 'env' });
    delete process.env['REJOIN_TEST_SECRET'];
    expect(payload).toMatchObject({
      GREETING: 'hello',
      AWS_LAMBDA_FUNCTION_NAME: 'worker',
      AWS_REGION: 'eu-west-1',
      AWS_ENDPOINT_URL: test.cloud.endpoint,
      _HANDLER: 'index.handler',
    });
    expect(payload).not.toHaveProperty('REJOIN_TEST_SECRET');
    expect(payload['PATH']).toBe('/usr/local/bin:/usr/bin:/bin');
  });
});

describe('a function that', () => {
  it('throws is answered with the error’s name, and goes on in the same process', async () => {
    const before = await echoed('single');
    const { error, payload } = await invoke('single', { mode: 'throw', name: 'SeedFailed', message: 'no donor' });
    expect(error).toBe('Unhandled');
    expect(payload).toMatchObject({ errorType: 'SeedFailed', errorMessage: 'no donor' });
    expect(payload['trace']).toContainEqual(expect.stringContaining('index.mjs'));
    expect((await echoed('single')).pid).toBe(before.pid);
  });

  it.each([
    ['ends its process', 'worker', { mode: 'exit', status: 3 }, 'Runtime.ExitError', 'exit status 3'],
    [
      'leaves a rejection unhandled',
      'worker',
      { mode: 'reject' },
      'Runtime.UnhandledPromiseRejection',
      'nobody waits for this',
    ],
    ['takes too long', 'short', { mode: 'hang' }, 'Sandbox.Timedout', 'Task timed out after 1.00 seconds'],
    ['exports no handler', 'broken', {}, 'Runtime.HandlerNotFound', 'exports no function missing'],
    ['has no code', 'lost', {}, 'Runtime.ImportModuleError', 'no index.mjs'],
  ])('%s fails, and its process is not used again', async (_what, name, event, errorType, message) => {
    const { error, payload } = await invoke(name, event);
    expect(error).toBe('Unhandled');
    expect(payload['errorType']).toBe(errorType);
    expect(payload['errorMessage']).toContain(message);
    if (name === 'worker' || name === 'short') expect((await echoed(name)).invocations).toBe(1);
  });

  it('does not exist is not found', async () => {
    await expect(invoke('nobody', {})).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  });

  it('is busy up to its reserved concurrency is throttled', async () => {
    const { lambdas } = test.cloud;
    lambdas.register(workerSpec({ name: 'busy', reservedConcurrency: 1, timeoutSeconds: 1 }));
    const busy = invoke('busy', { mode: 'hang' });
    await eventually('the first runs', () => lambdas.running.find((r) => r.functionName === 'busy') ?? null);
    await expect(invoke('busy', {})).rejects.toMatchObject({ name: 'TooManyRequestsException' });
    expect((await busy).error).toBe('Unhandled');
  });
});

describe('an asynchronous event', () => {
  const sendAsync = async (name: string, event: unknown): Promise<number | undefined> => {
    const command = new InvokeCommand({
      FunctionName: name,
      InvocationType: 'Event',
      Payload: Buffer.from(JSON.stringify(event)),
    });
    return (await client.send(command)).StatusCode;
  };

  it('is answered at once and handled later', async () => {
    const file = join(test.workDir, 'async.jsonl');
    expect(await sendAsync('worker', { file })).toBe(202);
    await eventually('handled', () => (handled(file).length === 1 ? true : null));
  });

  it('that fails is tried three times and then given up, aloud', async () => {
    const file = join(test.workDir, 'retried.jsonl');
    await sendAsync('worker', { mode: 'throw', name: 'Nope', message: 'never', file });
    await eventually(
      'given up',
      () => told.find((event) => event.what.includes('given up: 3 attempts failed')) ?? null,
    );
    expect(handled(file)).toHaveLength(3);
  });
});

describe('a kill rule', () => {
  const gone = { errorType: 'Runtime.ExitError' };

  it.each([
    ['before', 2, 1],
    ['after', 2, 2],
  ] as const)('kills the process %s AWS has carried out its second call', async (moment, atCall, carriedOut) => {
    const { cloud } = test;
    cloud.kills.add({ functionName: 'calls', payload: { tag: moment }, atCall, moment, times: 1 });
    const mark = cloud.calls.mark();
    const killed = await invoke('calls', { mode: 'call', calls: 5, tag: moment });
    expect(killed.payload).toMatchObject(gone);
    const answered = cloud.calls.records.slice(mark).filter((r) => r.service === 'sts' && r.status === 200);
    expect(answered).toHaveLength(carriedOut);
    expect(cloud.calls.byFunction(mark)).toEqual({ calls: { 'sts:GetCallerIdentity': 2 } });
    expect(
      told.find((e) => e.kind === 'fault' && e.what === `killed calls ${moment} sts:GetCallerIdentity`),
    ).toBeDefined();
    expect(await invoke('calls', { mode: 'call', calls: 5, tag: moment })).toMatchObject({
      payload: [200, 200, 200, 200, 200],
    });
  });
});

it('killed at its end, an invocation has done everything and its caller hears of a crash', async () => {
  const { cloud } = test;
  cloud.kills.add({ functionName: 'calls', payload: { tag: 'end' }, atCall: 1, moment: 'end', times: 1 });
  const mark = cloud.calls.mark();
  const first = await invoke('calls', { mode: 'call', calls: 2, tag: 'end' });
  expect(first).toMatchObject({ error: 'Unhandled', payload: { errorType: 'Runtime.ExitError' } });
  expect(cloud.calls.byFunction(mark)).toEqual({ calls: { 'sts:GetCallerIdentity': 2 } });
  expect(await invoke('calls', { mode: 'call', calls: 1, tag: 'end' })).toMatchObject({ payload: [200] });
});

it('a listener hears of an invocation when it begins and when it has ended, and both wait for it', async () => {
  const heard: unknown[] = [];
  const end = test.cloud.lambdas.listen(async ({ functionName, event, phase, payload }) => {
    await Promise.resolve();
    heard.push([functionName, (event as { n: number }).n, phase, payload === null ? null : 'answer']);
  });
  await invoke('worker', { mode: 'echo', n: 7 });
  end();
  await invoke('worker', { mode: 'echo', n: 8 });
  expect(heard).toEqual([
    ['worker', 7, 'begun', null],
    ['worker', 7, 'ended', 'answer'],
  ]);
});

it('with all functions disabled, what runs is cut off and nothing new starts, until they are enabled', async () => {
  const { lambdas } = test.cloud;
  const hanging = invoke('worker', { mode: 'hang' });
  await eventually('it runs', () => lambdas.running.find((r) => r.functionName === 'worker') ?? null);
  lambdas.disableAll();
  expect((await hanging).payload).toMatchObject({ errorType: 'Runtime.ExitError' });
  await expect(invoke('worker', {})).rejects.toMatchObject({ name: 'TooManyRequestsException' });
  lambdas.enableAll();
  expect((await invoke('worker', { mode: 'echo' })).error).toBeUndefined();
});
