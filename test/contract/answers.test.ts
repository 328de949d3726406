/** How the adapters take answers of AWS that moto does not give. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { EC2Client } from '@aws-sdk/client-ec2';
import { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { Route53Client } from '@aws-sdk/client-route-53';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SFNClient } from '@aws-sdk/client-sfn';
import { SQSClient } from '@aws-sdk/client-sqs';
import { SSMClient } from '@aws-sdk/client-ssm';
import { afterEach, describe, expect, it } from 'vitest';
import { awsDnsZones } from '../../lambdas/cloud/aws-dns.ts';
import { awsHostCommands } from '../../lambdas/cloud/aws-host-commands.ts';
import { awsInstances } from '../../lambdas/cloud/aws-instances.ts';
import { awsLedger } from '../../lambdas/cloud/aws-ledger.ts';
import { awsReconcileRequests } from '../../lambdas/cloud/aws-requests.ts';
import { awsSecrets } from '../../lambdas/cloud/aws-secrets.ts';
import { awsTargetGroups } from '../../lambdas/cloud/aws-target-groups.ts';
import { awsWorkflows } from '../../lambdas/cloud/aws-workflows.ts';
import { CloudUnavailable } from '../../lambdas/cloud/ports.ts';
import { FakeClock } from '../fakes/index.ts';
import type { Answer, Recorded } from './recorded.ts';
import { startRecorded } from './recorded.ts';

let server: Recorded | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

const recorded = async (answers: readonly [Answer, ...Answer[]], maxAttempts = 1): Promise<Recorded> => {
  server = await startRecorded(answers, maxAttempts);
  return server;
};

const jsonError = (type: string, message = 'x', status = 400): Answer => ({
  status,
  body: { __type: `com.amazonaws#${type}`, message },
  headers: { 'x-amzn-errortype': type },
});

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

describe('Ledger', () => {
  const state = { pk: { S: 'cluster#orders' }, sk: { S: 'state' }, epoch: { N: '7' }, writer: { S: 'i-1' } };
  const brake = {
    pk: { S: 'fleet' },
    sk: { S: 'brake' },
    engaged: { BOOL: true },
    reason: { S: 'r' },
    sinceMs: { N: '5' },
  };
  const brakeKey = { pk: brake.pk, sk: brake.sk };
  const ledgerOn = (config: Recorded['config'], clock = new FakeClock()) => {
    const client = new DynamoDBClient(config);
    return awsLedger(() => client, 'ledger', clock);
  };

  it('keys that DynamoDB left unprocessed are asked for again', async () => {
    const { config, requests } = await recorded([
      { body: { Responses: { ledger: [state] }, UnprocessedKeys: { ledger: { Keys: [brakeKey] } } } },
      { body: { Responses: { ledger: [brake] }, UnprocessedKeys: {} } },
    ]);
    expect(await ledgerOn(config).read('orders')).toMatchObject({
      cluster: { epoch: 7, writer: 'i-1' },
      brake: { engaged: true, reason: 'r', sinceMs: 5 },
    });
    expect(requests[1]).toMatchObject({ RequestItems: { ledger: { Keys: [brakeKey], ConsistentRead: true } } });
  });

  it('a brake that stays unread is not taken for a released one', async () => {
    const { config } = await recorded([
      { body: { Responses: { ledger: [state] }, UnprocessedKeys: { ledger: { Keys: [brakeKey] } } } },
    ]);
    await expect(ledgerOn(config).read('orders')).rejects.toBeInstanceOf(CloudUnavailable);
  });

  it.each([
    ['a brake', { ...brake, engaged: { S: 'yes' } }, /fleet brake is not readable.*engaged/],
    [
      'a state',
      { ...state, claim: { M: { execution: { S: 'a' } } } },
      /state of cluster orders is not readable.*claim/,
    ],
    ['a suspicion', { ...state, 'suspicion#i-1': { M: { kind: { S: 'odd' } } } }, /suspicion of i-1 in cluster orders/],
  ])('%s that cannot be read is an error that says what is wrong', async (_what, item, message) => {
    const { config } = await recorded([{ body: { Responses: { ledger: [item] }, UnprocessedKeys: {} } }]);
    await expect(ledgerOn(config).read('orders')).rejects.toThrow(message);
  });

  it('attributes that a later version added do no harm', async () => {
    const later = { ...state, mood: { S: 'calm' } };
    const { config } = await recorded([{ body: { Responses: { ledger: [later] }, UnprocessedKeys: {} } }]);
    expect((await ledgerOn(config).read('orders')).cluster).toMatchObject({ epoch: 7, claim: null, suspicions: {} });
  });

  it('a claim cancelled because others write the same item at this moment is CloudUnavailable, not a Conflict', async () => {
    const body = {
      __type: 'com.amazonaws.dynamodb.v20120810#TransactionCanceledException',
      Message: 'Transaction cancelled',
      CancellationReasons: [{ Code: 'TransactionConflict' }, { Code: 'None' }],
    };
    const { config } = await recorded([{ status: 400, body }]);
    const claim = {
      execution: 'e',
      incident: 'i',
      mode: 'replace' as const,
      node: 'n',
      joiner: null,
      donor: null,
      claimedAtMs: 1,
    };
    const failed = ledgerOn(config).claim('orders', claim);
    await expect(failed).rejects.toBeInstanceOf(CloudUnavailable);
    await expect(failed).rejects.toThrow(/TransactionConflict/);
  });

  it('failures are read over all pages', async () => {
    const item = (node: string) => ({ cluster: { S: 'orders' }, node: { S: node }, atMs: { N: '5' } });
    const { config, requests } = await recorded([
      { body: { Items: [item('i-1')], LastEvaluatedKey: { pk: { S: 'fleet' }, sk: { S: 'failure#orders#i-1' } } } },
      { body: { Items: [item('i-2')] } },
    ]);
    expect((await ledgerOn(config).failuresSince(1)).map((f) => f.node)).toEqual(['i-1', 'i-2']);
    expect(requests[1]).toMatchObject({ ExclusiveStartKey: { sk: { S: 'failure#orders#i-1' } }, ConsistentRead: true });
  });
});

describe('ReconcileRequests', () => {
  it('a batch accepted in part is an error that names the cluster', async () => {
    const { config } = await recorded([
      {
        body: {
          Successful: [{ Id: '0', MessageId: 'm', MD5OfMessageBody: 'x' }],
          Failed: [{ Id: '1', Code: 'InternalError', SenderFault: false, Message: 'try later' }],
        },
      },
    ]);
    const client = new SQSClient({ ...config, md5: false });
    const requests = awsReconcileRequests(
      () => client,
      { reconcile: `${config.endpoint}/1/reconcile.fifo` },
      new FakeClock(),
    );
    const both = ['orders', 'billing'].map((cluster) => ({ cluster, cause: 'e1' }));
    const failed = requests.send(both);
    await expect(failed).rejects.toBeInstanceOf(CloudUnavailable);
    await expect(failed).rejects.toThrow(/refused 1 of 2: billing: InternalError try later/);
  });

  it('without the queue of signals a delayed request names the missing variable', async () => {
    const client = new SQSClient({});
    const requests = awsReconcileRequests(() => client, { reconcile: 'x' }, new FakeClock());
    await expect(requests.sendLater('orders', 1, 'e1')).rejects.toThrow(/SIGNALS_QUEUE_URL/);
  });
});

describe('DnsZones', () => {
  const set = (name: string, type: string, value: string): string =>
    `<ResourceRecordSet><Name>${name}</Name><Type>${type}</Type><TTL>5</TTL><ResourceRecords><ResourceRecord>` +
    `<Value>${value}</Value></ResourceRecord></ResourceRecords></ResourceRecordSet>`;
  const list = (sets: readonly string[], next?: string): Answer => ({
    body:
      `<ListResourceRecordSetsResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ResourceRecordSets>` +
      `${sets.join('')}</ResourceRecordSets><IsTruncated>${String(next !== undefined)}</IsTruncated>` +
      `${next === undefined ? '' : `<NextRecordName>${next}</NextRecordName><NextRecordType>A</NextRecordType>`}` +
      `<MaxItems>20</MaxItems></ListResourceRecordSetsResponse>`,
  });
  const dnsOn = (config: Recorded['config']) => {
    const client = new Route53Client(config);
    return awsDnsZones(() => client);
  };
  const NAME = 'orders.db.test.';
  const MARK = set(`_rejoin.${NAME}`, 'TXT', '&quot;rejoin cluster=orders&quot;');

  it('takes one call, however many records follow', async () => {
    const { config, requests } = await recorded([list([set(NAME, 'A', '10.0.0.4'), MARK], 'zebra.db.test.')]);
    expect(await dnsOn(config).read('Z1', NAME)).toEqual({ values: ['10.0.0.4'], ttlSeconds: 5, owner: 'orders' });
    expect(requests).toHaveLength(1);
  });

  it('takes one call where there is no mark and nothing below the name', async () => {
    const { config, requests } = await recorded([list([set(NAME, 'A', '192.0.2.1')], 'zebra.db.test.')]);
    expect(await dnsOn(config).read('Z1', NAME)).toMatchObject({ values: ['192.0.2.1'], owner: null });
    expect(requests).toHaveLength(1);
  });

  it('asks for the mark by name when many names below crowd it out', async () => {
    const { config, requests } = await recorded([list([set(NAME, 'A', '10.0.0.4')], `07.${NAME}`), list([MARK])]);
    expect(await dnsOn(config).read('Z1', NAME)).toMatchObject({ owner: 'orders' });
    expect(requests).toHaveLength(2);
  });

  it.each([
    ['a CNAME', set(NAME, 'CNAME', 'elsewhere.test.'), 'elsewhere.test.'],
    [
      'an alias',
      `<ResourceRecordSet><Name>${NAME}</Name><Type>A</Type><AliasTarget><HostedZoneId>Z2</HostedZoneId>` +
        `<DNSName>nlb.test.</DNSName><EvaluateTargetHealth>false</EvaluateTargetHealth></AliasTarget></ResourceRecordSet>`,
      'nlb.test.',
    ],
  ])('%s at the name is seen as somebody’s record', async (_what, record, value) => {
    const { config } = await recorded([list([record])]);
    expect(await dnsOn(config).read('Z1', NAME)).toMatchObject({ values: [value], owner: null });
  });

  it.each(['&quot;v=spf1 -all&quot;', '&quot;rejoin cluster=&quot;', '&quot;rejoin cluster=orders; drop&quot;'])(
    'a text that is not our mark (%s) names no owner',
    async (text) => {
      const { config } = await recorded([list([set(NAME, 'A', '10.0.0.4'), set(`_rejoin.${NAME}`, 'TXT', text)])]);
      expect(await dnsOn(config).read('Z1', NAME)).toMatchObject({ owner: null });
    },
  );
});

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

describe('TargetGroups', () => {
  const health = (state: string): Answer => ({
    body:
      `<DescribeTargetHealthResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/">` +
      `<DescribeTargetHealthResult><TargetHealthDescriptions><member><Target><Id>i-1</Id><Port>3306</Port></Target>` +
      `<TargetHealth><State>${state}</State></TargetHealth></member></TargetHealthDescriptions>` +
      `</DescribeTargetHealthResult></DescribeTargetHealthResponse>`,
  });

  it.each([
    ['initial', 'initial'],
    ['healthy', 'healthy'],
    ['unhealthy', 'unhealthy'],
    ['unhealthy.draining', 'draining'],
    ['unused', 'unused'],
    ['draining', 'draining'],
    ['unavailable', 'unavailable'],
  ])('health %s is %s', async (state, expected) => {
    const { config } = await recorded([health(state)]);
    const client = new ElasticLoadBalancingV2Client(config);
    expect(await awsTargetGroups(() => client).health('arn')).toEqual([{ id: 'i-1', port: 3306, state: expected }]);
  });

  it('a health that is not documented is an error, never taken for healthy', async () => {
    const { config } = await recorded([health('splendid')]);
    const client = new ElasticLoadBalancingV2Client(config);
    await expect(awsTargetGroups(() => client).health('arn')).rejects.toThrow(/i-1 is "splendid"/);
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
