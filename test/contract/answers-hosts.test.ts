/** Answers of SSM, Step Functions and Secrets Manager that moto does not give. */
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SFNClient } from '@aws-sdk/client-sfn';
import { SSMClient } from '@aws-sdk/client-ssm';
import { describe, expect, it } from 'vitest';
import { awsHostCommands } from '../../lambdas/cloud/aws-host-commands.ts';
import { awsSecrets } from '../../lambdas/cloud/aws-secrets.ts';
import { awsWorkflows } from '../../lambdas/cloud/aws-workflows.ts';
import { HostOffline } from '../../lambdas/cloud/ports.ts';
import { FakeClock } from '../fakes/index.ts';
import type { Recorded } from './recorded.ts';
import { jsonError, useRecorded } from './recorded.ts';

const recorded = useRecorded();

describe('HostCommands', () => {
  const hostsOn = (config: Recorded['config']) => {
    const client = new SSMClient(config);
    return awsHostCommands(() => client, 'rejoin-');
  };

  it('online reads every page and answers those that ping', async () => {
    const { config, requests } = await recorded([
      { body: { InstanceInformationList: [{ InstanceId: 'i-1', PingStatus: 'Online' }], NextToken: 't' } },
      { body: { InstanceInformationList: [{ InstanceId: 'i-2', PingStatus: 'ConnectionLost' }] } },
    ]);
    expect(await hostsOn(config).online(['i-1', 'i-2'])).toEqual(['i-1']);
    expect(requests[0]).toMatchObject({
      Filters: [{ Key: 'InstanceIds', Values: ['i-1', 'i-2'] }, { Key: 'PingStatus' }],
    });
  });

  it('online asks nothing for no instances', async () => {
    const { config, requests } = await recorded([{ body: {} }]);
    expect(await hostsOn(config).online([])).toEqual([]);
    expect(requests).toHaveLength(0);
  });

  it('starts the document of the deployment with its parameters as lists', async () => {
    const { config, requests } = await recorded([{ body: { Command: { CommandId: 'c-1' } } }]);
    expect(await hostsOn(config).start('i-1', 'galera-join', { Peers: '10.0.0.4,10.0.0.5', Donor: 'any' })).toBe('c-1');
    expect(requests[0]).toMatchObject({
      DocumentName: 'rejoin-galera-join',
      InstanceIds: ['i-1'],
      Parameters: { Peers: ['10.0.0.4,10.0.0.5'], Donor: ['any'] },
    });
  });

  it('a host that SSM takes no command for now is HostOffline, a wrong document is not', async () => {
    const { config } = await recorded([jsonError('InvalidInstanceId'), jsonError('InvalidDocument')]);
    const hosts = hostsOn(config);
    await expect(hosts.start('i-1', 'galera-stop', {})).rejects.toBeInstanceOf(HostOffline);
    await expect(hosts.start('i-1', 'galera-stop', {})).rejects.toMatchObject({ name: 'InvalidDocument' });
  });

  it('a command that SSM does not know yet is running', async () => {
    const { config } = await recorded([jsonError('InvocationDoesNotExist')]);
    expect(await hostsOn(config).state('i-1', 'c-1')).toEqual({ kind: 'running' });
  });

  it.each([
    ['Pending', { kind: 'running' }],
    ['InProgress', { kind: 'running' }],
    ['Delayed', { kind: 'running' }],
    ['Cancelling', { kind: 'running' }],
    ['Success', { kind: 'succeeded', output: 'out' }],
    ['Failed', { kind: 'failed', exitCode: 3, output: 'out', error: 'SSM: Failed (detail)' }],
    ['TimedOut', { kind: 'failed', exitCode: 3, output: 'out', error: 'SSM: TimedOut (detail)' }],
    ['Cancelled', { kind: 'failed', exitCode: 3, output: 'out', error: 'SSM: Cancelled (detail)' }],
  ])('status %s', async (Status, state) => {
    const body = {
      Status,
      StatusDetails: 'detail',
      ResponseCode: 3,
      StandardOutputContent: 'out',
      StandardErrorContent: '',
    };
    const { config } = await recorded([{ body }]);
    expect(await hostsOn(config).state('i-1', 'c-1')).toEqual(state);
  });

  it('a status that AWS never documented is an error', async () => {
    const { config } = await recorded([{ body: { Status: 'Resting' } }]);
    await expect(hostsOn(config).state('i-1', 'c-1')).rejects.toThrow(/"Resting"/);
  });
});

describe('Workflows and Secrets', () => {
  it('an execution that exists already answers its ARN, derived from the machine', async () => {
    const { config } = await recorded([jsonError('ExecutionAlreadyExists')]);
    const client = new SFNClient(config);
    const machine = (name: string) => `arn:aws:states:eu-west-1:123456789012:stateMachine:${name}`;
    const workflows = awsWorkflows(() => client, { replace: machine('rejoin-replace'), bootstrap: machine('b') });
    const input = { cluster: 'orders', incident: 'i', mode: 'replace' as const, node: null, reason: 'r' };
    expect(await workflows.start('x-1', input)).toBe(
      'arn:aws:states:eu-west-1:123456789012:execution:rejoin-replace:x-1',
    );
  });

  it.each(['hunter2', '{"username":"rejoin","pass":"hunter2"}', '{"username":"","password":"hunter2"}', '["hunter2"]'])(
    'an unusable secret is refused without telling it (%#)',
    async (SecretString) => {
      const { config } = await recorded([{ body: { SecretString } }]);
      const client = new SecretsManagerClient(config);
      const failed = awsSecrets(() => client, new FakeClock()).credentials('arn:s');
      await expect(failed).rejects.toThrow(/arn:s is not usable.*"username"/);
      await expect(failed).rejects.not.toThrow(/hunter2/);
    },
  );

  it('a secret is read once in five minutes', async () => {
    const { config, requests } = await recorded([{ body: { SecretString: '{"username":"u","password":"p"}' } }]);
    const client = new SecretsManagerClient(config);
    const clock = new FakeClock();
    const secrets = awsSecrets(() => client, clock);
    await secrets.credentials('arn:s');
    await clock.advance(4 * 60_000);
    await secrets.credentials('arn:s');
    expect(requests).toHaveLength(1);
    await clock.advance(60_000);
    await secrets.credentials('arn:s');
    expect(requests).toHaveLength(2);
  });
});
