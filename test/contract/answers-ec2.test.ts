/** How errors of AWS are taken, and long listings: what moto does not do. */
import { EC2Client } from '@aws-sdk/client-ec2';
import { describe, expect, it } from 'vitest';
import { awsInstances } from '../../lambdas/cloud/aws-instances.ts';
import { awsVolumes } from '../../lambdas/cloud/aws-volumes.ts';
import { CloudUnavailable } from '../../lambdas/cloud/ports.ts';
import type { Answer } from './recorded.ts';
import { useRecorded } from './recorded.ts';

const recorded = useRecorded();

const ec2Error = (code: string, status: number): Answer => ({
  status,
  body: `<Response><Errors><Error><Code>${code}</Code><Message>m</Message></Error></Errors><RequestID>r</RequestID></Response>`,
});

const instances = (ids: readonly string[], next?: string): Answer => ({
  body: `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet>${ids
    .map(
      (id) =>
        `<item><instancesSet><item><instanceId>${id}</instanceId><instanceState><name>running</name></instanceState>` +
        `<launchTime>2026-01-15T02:00:00.000Z</launchTime></item></instancesSet></item>`,
    )
    .join(
      '',
    )}</reservationSet>${next === undefined ? '' : `<nextToken>${next}</nextToken>`}</DescribeInstancesResponse>`,
});

describe('errors of AWS', () => {
  it.each([
    ['throttling', ec2Error('RequestLimitExceeded', 503)],
    ['throttling with status 400', ec2Error('Throttling', 400)],
    ['an internal error', ec2Error('InternalError', 500)],
    ['a page of HTML from a proxy', { status: 502, body: '<html><body>Bad Gateway</body></html>' }],
  ])('%s is CloudUnavailable and names the call and the attempts', async (_what, answer) => {
    const { config, requests } = await recorded([answer], 2);
    const client = new EC2Client(config);
    const failed = awsInstances(() => client).ofCluster('orders');
    await expect(failed).rejects.toBeInstanceOf(CloudUnavailable);
    await expect(failed).rejects.toThrow(/^ec2:DescribeInstances failed after 2 attempts/);
    expect(requests).toHaveLength(2);
  });

  it('no answer at all is CloudUnavailable', async () => {
    const { config, stop } = await recorded([{ body: '' }]);
    await stop();
    const client = new EC2Client(config);
    await expect(awsInstances(() => client).ofCluster('orders')).rejects.toBeInstanceOf(CloudUnavailable);
  });

  it.each(['UnauthorizedOperation', 'InvalidParameterValue'])(
    '%s passes as it is, the call named, without a second attempt',
    async (code) => {
      const { config, requests } = await recorded([ec2Error(code, 403)], 3);
      const client = new EC2Client(config);
      const failed = awsInstances(() => client).terminate('i-00000000000000001');
      await expect(failed).rejects.not.toBeInstanceOf(CloudUnavailable);
      await expect(failed).rejects.toMatchObject({ name: code, message: 'ec2:TerminateInstances: m' });
      expect(requests).toHaveLength(1);
    },
  );

  it('an error that passes once is retried by the SDK and never seen', async () => {
    const { config } = await recorded([ec2Error('RequestLimitExceeded', 503), instances(['i-00000000000000001'])], 2);
    const client = new EC2Client(config);
    expect(await awsInstances(() => client).ofCluster('orders')).toHaveLength(1);
  });
});

describe('launch templates', () => {
  const version = { id: 'lt-0123456789abcdef0', version: '$Latest' };
  const versions = (items: string): Answer => ({
    body: `<DescribeLaunchTemplateVersionsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><launchTemplateVersionSet>${items}</launchTemplateVersionSet></DescribeLaunchTemplateVersionsResponse>`,
  });

  it('the version that is asked for is asked for, by the template’s id', async () => {
    const { config, requests } = await recorded([versions('<item><versionNumber>17</versionNumber></item>')]);
    const client = new EC2Client(config);
    expect(await awsInstances(() => client).templateVersion(version)).toBe('17');
    expect(JSON.stringify(requests)).toContain('LaunchTemplateId=lt-0123456789abcdef0');
    expect(JSON.stringify(requests)).toContain('LaunchTemplateVersion.1=%24Latest');
  });

  it('an answer without a version is an error that says what to do', async () => {
    const { config } = await recorded([versions('')]);
    const client = new EC2Client(config);
    await expect(awsInstances(() => client).templateVersion(version)).rejects.toThrow(
      /knows no version \$Latest of launch template lt-0123456789abcdef0: create it, or name another/,
    );
  });
});

describe('volumes that move', () => {
  const volume = (state: string, attachment: string): Answer => ({
    body: `<DescribeVolumesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><volumeSet><item><volumeId>vol-1</volumeId><status>${state}</status><availabilityZone>eu-west-1a</availabilityZone><attachmentSet>${attachment}</attachmentSet></item></volumeSet></DescribeVolumesResponse>`,
  });
  const on = (id: string, state: string): string =>
    `<item><volumeId>vol-1</volumeId><instanceId>${id}</instanceId><device>/dev/sdf</device><status>${state}</status></item>`;
  const volumesOn = async (...answers: [Answer, ...Answer[]]) => {
    const { config } = await recorded(answers);
    const client = new EC2Client(config);
    return awsVolumes(() => client);
  };

  it('one that is being detached already may be detached again', async () => {
    const volumes = await volumesOn(volume('in-use', on('i-1', 'detaching')), ec2Error('IncorrectState', 400));
    await expect(volumes.detach('vol-1')).resolves.toBeUndefined();
  });

  it('one that the look did not show as attached yet is attached once', async () => {
    const volumes = await volumesOn(
      volume('available', ''),
      ec2Error('VolumeInUse', 400),
      volume('in-use', on('i-1', 'attaching')),
    );
    await expect(volumes.attach('vol-1', 'i-1', '/dev/sdf')).resolves.toBeUndefined();
  });

  it('one that somebody else has taken meanwhile is an error', async () => {
    const volumes = await volumesOn(
      volume('available', ''),
      ec2Error('VolumeInUse', 400),
      volume('in-use', on('i-2', 'attached')),
    );
    await expect(volumes.attach('vol-1', 'i-1', '/dev/sdf')).rejects.toMatchObject({ name: 'VolumeInUse' });
  });
});

describe('pages', () => {
  it('every page of instances is read, an empty one in the middle too', async () => {
    const answers = [instances(['i-00000000000000001'], 't1'), instances([], 't2'), instances(['i-00000000000000002'])];
    const { config, requests } = await recorded([answers[0] as Answer, ...answers.slice(1)]);
    const client = new EC2Client(config);
    const found = await awsInstances(() => client).ofCluster('orders');
    expect(found.map((i) => i.id)).toEqual(['i-00000000000000001', 'i-00000000000000002']);
    expect(requests).toHaveLength(3);
    expect(requests[2]).toContain('NextToken=t2');
  });

  it('230 ids are asked for in three calls', async () => {
    const { config, requests } = await recorded([instances([])]);
    const client = new EC2Client(config);
    await awsInstances(() => client).byIds(Array.from({ length: 230 }, (_, n) => `i-${n}`));
    expect(requests).toHaveLength(3);
  });
});
