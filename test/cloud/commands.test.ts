/** SSM Run Command: documents run as scripts in a host's environment, and everything that can go wrong with one. */
import {
  CreateDocumentCommand,
  GetCommandInvocationCommand,
  ListCommandInvocationsCommand,
  SendCommandCommand,
  SSMClient,
  type GetCommandInvocationCommandOutput,
} from '@aws-sdk/client-ssm';
import { StopInstancesCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCommands, type Commands } from '../../rehearsal/cloud/commands.ts';
import { prepareDocument } from '../../rehearsal/cloud/commands-document.ts';
import { startFleet, startMiniCloud, until, type Fleet, type MiniCloud } from './hosts-harness.ts';

let cloud: MiniCloud;
let fleet: Fleet;
let commands: Commands;
let ssm: SSMClient;
let host: string;

interface Parameter {
  readonly [key: string]: unknown;
}

const document = (lines: string[], parameters: Record<string, Parameter> = {}, timeoutSeconds = '20') => ({
  schemaVersion: '2.2',
  description: 'a test',
  parameters,
  mainSteps: [{ action: 'aws:runShellScript', name: 'script', inputs: { runCommand: lines, timeoutSeconds } }],
});

let documents = 0;
async function register(content: object): Promise<string> {
  const name = `rejoin-test-${++documents}`;
  await ssm.send(
    new CreateDocumentCommand({
      Name: name,
      Content: JSON.stringify(content),
      DocumentType: 'Command',
      DocumentFormat: 'JSON',
    }),
  );
  return name;
}

async function send(name: string, parameters: Record<string, string[]> = {}, id = host): Promise<string> {
  const sent = await ssm.send(
    new SendCommandCommand({ DocumentName: name, InstanceIds: [id], Parameters: parameters }),
  );
  return sent.Command!.CommandId!;
}

const look = (CommandId: string, InstanceId = host): Promise<GetCommandInvocationCommandOutput> =>
  ssm.send(new GetCommandInvocationCommand({ CommandId, InstanceId }));

const ended = (commandId: string, id = host): Promise<GetCommandInvocationCommandOutput> =>
  until(`${commandId} has ended`, async () => {
    const seen = await look(commandId, id);
    return seen.Status === 'Pending' || seen.Status === 'InProgress' ? undefined : seen;
  });

beforeAll(async () => {
  cloud = await startMiniCloud();
  fleet = await startFleet(cloud, { octet: 208, third: 64 });
  commands = createCommands({
    moto: cloud.moto,
    use: (i) => cloud.use(i),
    onEvent: (e) => cloud.onEvent(e),
    hosts: fleet.hosts,
  });
  ssm = new SSMClient(cloud.config);
  host = await fleet.launch();
});

afterAll(async () => {
  await commands.stop();
  await commands.stop();
  await fleet.hosts.stop();
  expect(fleet.hosts.failures()).toEqual([]);
  await cloud.stop();
});

describe('a command', () => {
  it('runs the script in the environment of its host and answers its output', async () => {
    const name = await register(
      document(['. "$REJOIN_NODE_ENV"', 'echo "on $REJOIN_INSTANCE_ID in $PWD"', 'echo oh >&2']),
    );
    const result = await ended(await send(name));
    const { hostDir } = fleet.hosts.get(host)!;
    expect(result).toMatchObject({
      Status: 'Success',
      ResponseCode: 0,
      StandardOutputContent: `on ${host} in ${hostDir}\n`,
      StandardErrorContent: 'oh\n',
      DocumentName: name,
    });
  });

  it('starts a service that outlives it', async () => {
    const result = await ended(await send(await register(document(['systemctl start toy', 'echo started']))));
    expect(result.StandardOutputContent).toBe('started\n');
    expect((await fleet.hosts.processes(host)).length).toBe(1);
    expect((await ended(await send(await register(document(['systemctl stop toy']))))).Status).toBe('Success');
    expect(await fleet.hosts.processes(host)).toEqual([]);
  });

  it('fails with the exit code of the script', async () => {
    const result = await ended(await send(await register(document(['echo "no grastate.dat" >&2', 'exit 43']))));
    expect(result).toMatchObject({ Status: 'Failed', StatusDetails: 'Failed', ResponseCode: 43 });
    expect(result.StandardErrorContent).toBe('no grastate.dat\n');
  });

  it('stops at the first step that fails', async () => {
    const two = document(['echo one', 'exit 7']);
    two.mainSteps.push({
      action: 'aws:runShellScript',
      name: 'second',
      inputs: { runCommand: ['echo two'], timeoutSeconds: '5' },
    });
    const result = await ended(await send(await register(two)));
    expect(result).toMatchObject({ Status: 'Failed', ResponseCode: 7, StandardOutputContent: 'one\n' });
  });

  it('is in progress while it runs, and ended when its time is over, with what it had started', async () => {
    const id = await send(await register(document(['echo begun', 'tail -f /dev/null & tail -f /dev/null'], {}, '1')));
    const now = await look(id);
    expect(now).toMatchObject({ Status: 'InProgress', ResponseCode: -1 });
    const result = await ended(id);
    expect(result).toMatchObject({ Status: 'TimedOut', StatusDetails: 'Execution Timed Out' });
    expect(result.StandardOutputContent).toBe('begun\n');
    await until('nothing is left', async () => (await fleet.hosts.processes(host)).length === 0);
  });

  it('keeps the first 24,000 characters of output, as SSM does', async () => {
    const result = await ended(await send(await register(document(['yes | head -c 30000']))));
    expect(result.StandardOutputContent).toHaveLength(24_000);
  });

  it('is lost when its host loses power', async () => {
    const victim = await fleet.launch();
    const id = await send(await register(document(['tail -f /dev/null'])), {}, victim);
    await until('the script runs', async () => (await fleet.hosts.processes(victim)).length > 0);
    await fleet.hosts.powerLoss([victim]);
    expect(await ended(id, victim)).toMatchObject({ Status: 'Failed', StatusDetails: 'Undeliverable' });
  });

  it('is listed by command', async () => {
    const id = await send(await register(document(['echo listed'])));
    await ended(id);
    const listed = await ssm.send(new ListCommandInvocationsCommand({ CommandId: id, Details: true }));
    expect(listed.CommandInvocations).toHaveLength(1);
    expect(listed.CommandInvocations![0]).toMatchObject({ InstanceId: host, Status: 'Success' });
    expect(listed.CommandInvocations![0]!.CommandPlugins![0]!.Output).toBe('listed\n');
  });
});

describe('what is refused', () => {
  it.each<[string, Record<string, string[]>, string]>([
    ['a value that the pattern does not allow', { Donor: ['a; rm -rf /'] }, 'must match'],
    ['a value that is not on the list', { Donor: ['any'], Source: ['tape'] }, 'use one of volume, peer'],
    ['a missing parameter', {}, 'Donor is missing'],
    ['an unknown parameter', { Donor: ['any'], Nonsense: ['x'] }, 'Nonsense is not of this document'],
    ['two values for a string', { Donor: ['any', 'other'] }, 'takes one'],
  ])('%s', async (_what, parameters, message) => {
    const name = await register(
      document(['echo {{ Donor }} {{Source}}'], {
        Donor: { type: 'String', allowedPattern: '^[a-z0-9-]+$' },
        Source: { type: 'String', default: 'volume', allowedValues: ['volume', 'peer'] },
      }),
    );
    const error = await send(name, parameters).catch((e: unknown) => e as Error);
    expect(error).toMatchObject({ name: 'InvalidParameters', message: expect.stringContaining(message) as string });
    const good = await ended(await send(name, { Donor: ['i-0abc'] }));
    expect(good.StandardOutputContent).toBe('i-0abc volume\n');
  });

  it('a host that is not there, is stopped, or a document that is not there', async () => {
    const name = await register(document(['echo hello']));
    await expect(send(name, {}, 'i-0123456789abcdef0')).rejects.toMatchObject({ name: 'InvalidInstanceId' });
    const stopped = await fleet.launch();
    await fleet.ec2.send(new StopInstancesCommand({ InstanceIds: [stopped] }));
    await expect(send(name, {}, stopped)).rejects.toMatchObject({ name: 'InvalidInstanceId' });
    await expect(send('rejoin-nothing')).rejects.toMatchObject({ name: 'InvalidDocument' });
  });

  it('a command id that nobody gave', async () => {
    const unknown = look('11111111-2222-3333-4444-555555555555');
    await expect(unknown).rejects.toMatchObject({ name: 'InvocationDoesNotExist' });
  });
});

describe('parameters', () => {
  it('of the kind ENV_VAR reach the script as a variable and never as text', () => {
    const content = document(['echo {{ Peers }}'], { Peers: { type: 'String', interpolationType: 'ENV_VAR' } });
    const prepared = prepareDocument(JSON.stringify(content), { Peers: ['$(reboot)'] });
    expect(prepared.environment).toEqual({ SSM_Peers: '$(reboot)' });
    expect(prepared.steps[0]!.script).toBe('echo ${SSM_Peers}\n');
  });

  it('are put in for numbers, lists and time-outs as well', () => {
    const content = document(
      ['echo {{ Count }} {{ Names }} {{ global:REGION }}'],
      {
        Count: { type: 'Integer', default: 3 },
        Names: { type: 'StringList' },
        Limit: { type: 'String', default: '60' },
      },
      '{{ Limit }}',
    );
    const prepared = prepareDocument(JSON.stringify(content), { Names: ['a', 'b'] });
    expect(prepared.steps[0]).toMatchObject({
      script: 'echo 3 ["a","b"] {{ global:REGION }}\n',
      timeoutSeconds: 60,
    });
    expect(() => prepareDocument(JSON.stringify(content), { Names: ['a'], Count: ['three'] })).toThrow(/Integer/);
  });
});
