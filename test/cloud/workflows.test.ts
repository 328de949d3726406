/**
 * The definitions in moto's Step Functions engine, whose parser is another than ours in test/support/asl.ts. Its calls to
 * Lambda come to a small server here, which runs the real steps against an AWS in memory.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateStateMachineCommand,
  DescribeExecutionCommand,
  SFNClient,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bootstrapping } from '../../lambdas/bootstrap/steps.ts';
import type { Carried } from '../../lambdas/recovery/state.ts';
import type { Capability, StepEvent } from '../../lambdas/recovery/step.ts';
import { replacement } from '../../lambdas/replace/steps.ts';
import { bootstrapDefinition } from '../../lib/workflows/bootstrap.ts';
import { replaceDefinition } from '../../lib/workflows/replace.ts';
import { startMoto } from '../../rehearsal/cloud/moto.ts';
import type { Moto } from '../../rehearsal/cloud/moto.ts';
import { poll } from '../contract/moto.ts';
import { STATE_UUID } from '../fakes/index.ts';
import { World, failed } from '../support/recovery-world.ts';

const args = { functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:steps' };
const ROLE = 'arn:aws:iam::123456789012:role/states';

let invoke: (event: StepEvent) => Promise<unknown> = () => Promise.reject(new Error('no world is set up'));
let lambda: Server;
let moto: Moto;
let dir: string;
let sfn: SFNClient;

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  expect(request.url).toMatch(/^\/2015-03-31\/functions\/.*\/invocations$/);
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  let body: unknown;
  try {
    body = await invoke(JSON.parse(Buffer.concat(chunks).toString()) as StepEvent);
  } catch (error) {
    // As Lambda answers when a handler throws.
    headers['x-amz-function-error'] = 'Unhandled';
    body = error instanceof Error ? { errorType: error.name, errorMessage: error.message } : { errorType: 'Error' };
  }
  response.writeHead(200, headers).end(JSON.stringify(body));
}

beforeAll(async () => {
  lambda = createServer((request, response) => void answer(request, response));
  // moto's engine calls http://127.0.0.1:MOTO_PORT, so this one server cannot have an address of its own.
  await new Promise<void>((resolve) => lambda.listen(0, '127.0.0.1', resolve));
  const address = lambda.address();
  if (address === null || typeof address === 'string') throw new Error(`the server listens on ${String(address)}`);
  dir = await mkdtemp(join(tmpdir(), 'rejoin-workflows-'));
  moto = await startMoto({ gatewayPort: address.port, logFile: join(dir, 'moto.log') });
  sfn = new SFNClient({
    endpoint: moto.endpoint,
    region: 'eu-west-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
});

afterAll(async () => {
  sfn?.destroy();
  await moto?.stop();
  lambda?.close();
  lambda?.closeAllConnections();
  if (dir !== undefined) await rm(dir, { recursive: true, force: true });
});

function serve<S extends Carried>(world: World, capability: Capability<S>): void {
  world.aws.bootMs = 0;
  world.aws.stopMs = 0;
  world.refusesMs = 0;
  world.joinsMs = 4000;
  invoke = async (event) => {
    // The engine waits in real seconds, the world's time goes by its own clock.
    await world.aws.clock.advance(2000);
    return world.invoke(capability, event);
  };
}

async function execute(name: string, definition: object, input: object): Promise<{ status: string; output: unknown }> {
  const machine = await sfn.send(
    new CreateStateMachineCommand({ name, definition: JSON.stringify(definition), roleArn: ROLE }),
  );
  const started = await sfn.send(
    new StartExecutionCommand({
      stateMachineArn: machine.stateMachineArn,
      name: `${name}-1`,
      input: JSON.stringify(input),
    }),
  );
  let found = { status: 'RUNNING', output: null as unknown };
  await poll(`the execution of ${name} to end`, 60_000, async () => {
    const said = await sfn.send(new DescribeExecutionCommand({ executionArn: started.executionArn }));
    found = { status: said.status ?? '', output: said.output === undefined ? null : JSON.parse(said.output) };
    return found.status !== 'RUNNING';
  });
  return found;
}

describe("moto's Step Functions", () => {
  it('runs a replacement through Retry (a killed Lambda) and Catch (a join that fails on the surviving volume)', async () => {
    const world = new World();
    serve(world, replacement);
    const lost = world.node(2).id;
    world.terminates(lost);
    let joins = 0;
    world.fails = (document) =>
      document === 'galera-join' && (joins += 1) === 1 ? failed('the data is corrupt') : null;
    world.killAt({ call: 30, moment: 'after' });
    const input = {
      cluster: 'orders',
      incident: 'orders-lost-e1',
      mode: 'replace',
      node: lost,
      reason: 'EC2 says terminated',
    };
    const ended = await execute('replace', replaceDefinition(args), input);
    expect(ended).toMatchObject({
      status: 'SUCCEEDED',
      output: { outcome: expect.stringContaining(`has replaced ${lost}`) as string },
    });
    expect(world.launched()).toHaveLength(1);
    expect(world.serving()).toHaveLength(3);
    expect(world.ledger().claim).toBeNull();
    expect(joins).toBe(2);
  });

  it('gives up by a named error: escalated, and the execution fails', async () => {
    const world = new World();
    serve(world, replacement);
    for (const n of world.nodes) world.dies(n.id, 'silent');
    const node = world.node(2).id;
    const input = { cluster: 'orders', incident: 'orders-lost-e1', mode: 'replace', node, reason: 'silent' };
    const ended = await execute('replace-fails', replaceDefinition(args), input);
    expect(ended.status).toBe('FAILED');
    expect(world.ledger()).toMatchObject({
      claim: null,
      escalation: { reason: expect.stringContaining('QuorumAtRisk') as string },
    });
  });

  it('runs a bootstrap with its loop over the joiners', async () => {
    const world = new World();
    serve(world, bootstrapping);
    world.nodes.forEach((n, i) => {
      world.dies(n.id);
      const found = {
        running: false,
        component: 'none',
        stateUuid: STATE_UUID,
        seqno: 1000 + i,
        safeToBootstrap: false,
        viewId: null,
      };
      world.positions.set(n.id, found);
    });
    const input = { cluster: 'orders', incident: 'manual-1', mode: 'bootstrap', node: null, reason: 'power' };
    const ended = await execute('bootstrap', bootstrapDefinition(args), input);
    expect(ended.status).toBe('SUCCEEDED');
    expect(ended.output).toMatchObject({
      chosen: { node: world.node(2).id },
      joined: [world.node(0).id, world.node(1).id],
    });
    expect(world.serving()).toHaveLength(3);
  });
});
