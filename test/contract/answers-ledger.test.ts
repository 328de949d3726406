/** Answers of DynamoDB and SQS that moto does not give. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { SQSClient } from '@aws-sdk/client-sqs';
import { describe, expect, it } from 'vitest';
import { awsLedger } from '../../lambdas/cloud/aws-ledger.ts';
import { awsReconcileRequests } from '../../lambdas/cloud/aws-requests.ts';
import { CloudUnavailable } from '../../lambdas/cloud/ports.ts';
import { FakeClock } from '../fakes/index.ts';
import type { Recorded } from './recorded.ts';
import { useRecorded } from './recorded.ts';

const recorded = useRecorded();

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

  it('a PostgreSQL cluster is read in the same one call', async () => {
    const sets = { L: [{ M: { need: { N: '1' }, standbys: { L: [{ S: 'i-2' }, { S: 'i-3' }] } } }] };
    const lsn = { S: '0/3000148' };
    const postgres = {
      ...state,
      sync: { M: { sets, barrierLsn: { NULL: true } } },
      position: { M: { node: { S: 'i-1' }, timeline: { N: '2' }, lsn, atMs: { N: '17' } } },
      accepted: { M: { node: { S: 'i-2' }, by: { S: 'ada' }, atMs: { N: '18' } } },
    };
    const { config, requests } = await recorded([{ body: { Responses: { ledger: [postgres] }, UnprocessedKeys: {} } }]);
    expect((await ledgerOn(config).read('orders')).cluster).toMatchObject({
      sync: { sets: [{ need: 1, standbys: ['i-2', 'i-3'] }], barrierLsn: null },
      position: { node: 'i-1', timeline: 2, lsn: '0/3000148', atMs: 17 },
      accepted: { node: 'i-2', by: 'ada', atMs: 18 },
    });
    expect(requests).toHaveLength(1);
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
    ['a quorum without sets', { ...state, sync: { M: { sets: { L: [] } } } }, /state of cluster orders.*sync\.sets/],
    [
      'a position that is none',
      { ...state, position: { M: { node: { S: 'i-1' }, timeline: { N: '1' }, lsn: { S: '16' }, atMs: { N: '1' } } } },
      /state of cluster orders.*position\.lsn: expected an LSN such as 16\/B374D848/,
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

  it('a claim that was written before launches were on it has none', async () => {
    const claim = { execution: { S: 'e' }, incident: { S: 'i' }, mode: { S: 'replace' }, claimedAtMs: { N: '1' } };
    const older = { ...state, claim: { M: claim } };
    const { config } = await recorded([{ body: { Responses: { ledger: [older] }, UnprocessedKeys: {} } }]);
    expect((await ledgerOn(config).read('orders')).cluster.claim).toMatchObject({ execution: 'e', launch: null });
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
      launch: null,
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
