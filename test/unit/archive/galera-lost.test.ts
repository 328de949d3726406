/** A cluster that has lost what the archive has: people are told, and not while its nodes only lag. */
import { describe, expect, it } from 'vitest';
import { galeraShipEngine } from '../../../lambdas/archive/ship/galera/engine.ts';
import type { LogServers, Observer } from '../../../lambdas/archive/ship/galera/ports.ts';
import { pieceQueue } from '../../../lambdas/archive/ship/piece-queue.ts';
import { ConnectionEnded } from '../../../lambdas/engines/errors.ts';
import type { ServerLog } from '../../../lambdas/engines/galera/binlog/log-state.ts';
import { parseGtidPosition as at } from '../../../lambdas/model/archive/gtid.ts';
import { keyOf } from '../../../lambdas/model/archive/keys.ts';
import { FakeAws, FakeClock, aSpec, fakeCloud } from '../../fakes/index.ts';

const LOG: ServerLog = {
  ...{ history: 'uuid', domain: 0, state: 'synced', writers: [...at('0-1-15').values()], problem: null },
  ...{ newest: at('0-1-15,1-1-9'), oldest: at('') },
};

/** One go, over an archive up to 0-1-20 and one node that is at 0-1-15; `mark` is where it is when it has waited for the cluster. */
async function go(mark: () => Promise<string>) {
  const aws = new FakeAws(new FakeClock(0, { manual: true }));
  const archive = { bucket: 'archive', rpoSeconds: 10, retentionDays: 7, baseBackupSeconds: 86_400 };
  const spec = aSpec({ archive });
  aws.addCluster(spec);
  aws.addInstance({ cluster: spec.name, zone: 'eu-west-1a' });
  const object = { kind: 'binlog', after: at(''), upTo: at('0-1-20,1-1-30'), coveredMs: 0, source: 'i-1~b~0' } as const;
  aws.objects.set(keyOf({ cluster: spec.name, history: 'uuid' }, object), new Uint8Array());
  const asked: string[] = [];
  const observer: Observer = {
    log: async () => LOG,
    prepare: async () => void asked.push('waits for the cluster'),
    mark: async () => ({ atMs: 0, position: at(await mark()) }),
    close: () => void asked.push('closed'),
  };
  const servers: LogServers = { observe: async () => observer, dump: () => Promise.reject(new Error('not asked for')) };
  const cloud = { ...fakeCloud(aws), handOver: () => Promise.resolve() };
  const end = await galeraShipEngine(cloud, { servers }).ship({
    ...{ ...cloud, spec, archive, mode: 'stream', queue: pieceQueue(cloud) },
    ...{ stop: () => null, covered: () => undefined },
  });
  const told = cloud.log.lines.filter((l) => l.level === 'error').map((l) => l.message);
  return { end, told, asked, gaps: cloud.metrics.counts.filter((c) => c.name === 'ArchiveGap').length };
}

describe('a shipper whose archive is ahead of every node', () => {
  it('tells that the cluster has lost it, when it has not after waiting for the whole cluster', async () => {
    const { end, told, asked, gaps } = await go(async () => '0-1-16,1-1-9');
    expect(told).toEqual([
      expect.stringContaining('the archive has 0-1-20,1-1-30, and the whole cluster is at 0-1-16'),
    ]);
    expect(gaps).toBe(1);
    expect(asked.slice(-2)).toEqual(['waits for the cluster', 'closed']);
    expect(end).toMatchObject({ kind: 'again', pauseMs: 1000 });
  });

  it.each<[string, () => Promise<string>]>([
    // The node's own domain is another node's in the archive.
    ['has come there', async () => '0-1-20,1-1-9'],
    ['does not say', () => Promise.reject(new ConnectionEnded('the server did not answer within 5000 ms'))],
  ])('waits while the node %s', async (_, mark) => {
    const { end, told, gaps } = await go(mark);
    expect(told).toEqual([]);
    expect(gaps).toBe(0);
    expect(end.kind).toBe('again');
  });
});
