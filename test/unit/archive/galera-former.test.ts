/** A history begins (decision 0027), and the archive of the one before does not lead up to it: people are told (seed 331 with an archive). */
import { expect, it } from 'vitest';
import { galeraShipEngine } from '../../../lambdas/archive/ship/galera/engine.ts';
import type { LogServers, Observer } from '../../../lambdas/archive/ship/galera/ports.ts';
import { pieceQueue } from '../../../lambdas/archive/ship/piece-queue.ts';
import type { ServerLog } from '../../../lambdas/engines/galera/binlog/log-state.ts';
import { parseGtidPosition as at } from '../../../lambdas/model/archive/gtid.ts';
import { keyOf } from '../../../lambdas/model/archive/keys.ts';
import { FakeAws, FakeClock, aSpec, fakeCloud } from '../../fakes/index.ts';

/** One go of a node with the log from 0-1-30 to 0-1-60; what the bucket has: histories, each with its objects' first and last GTID. */
async function go(archived: Readonly<Record<string, readonly (readonly [after: string, upTo: string])[]>>) {
  const aws = new FakeAws(new FakeClock(0, { manual: true }));
  const archive = { bucket: 'archive', rpoSeconds: 10, retentionDays: 7, baseBackupSeconds: 86_400 };
  const spec = aSpec({ archive });
  aws.addCluster(spec);
  aws.addInstance({ cluster: spec.name, zone: 'eu-west-1a' });
  for (const [history, objects] of Object.entries(archived))
    for (const [after, upTo] of objects) {
      const object = { kind: 'binlog', after: at(after), upTo: at(upTo), coveredMs: 0, source: 'i-1~b~0' } as const;
      aws.objects.set(keyOf({ cluster: spec.name, history }, object), new Uint8Array());
    }
  aws.objects.set(`${spec.name}/retention/kept`, new Uint8Array());
  const log: ServerLog = {
    ...{ history: 'new', domain: 0, state: 'synced', writers: [...at('0-1-60').values()], problem: null },
    // 1 is a domain of the node's own.
    ...{ newest: at('0-1-60,1-1-9'), oldest: at('0-1-30,1-1-5') },
  };
  const observer: Observer = {
    log: async () => log,
    prepare: async () => undefined,
    mark: async () => ({ atMs: 0, position: log.newest }),
    close: () => undefined,
  };
  const servers: LogServers = { observe: async () => observer, dump: () => Promise.reject(new Error('not read')) };
  const cloud = { ...fakeCloud(aws), handOver: () => Promise.resolve() };
  const run = { ...cloud, spec, archive, mode: 'stream' as const, queue: pieceQueue(cloud) };
  await galeraShipEngine(cloud, { servers })
    .ship({ ...run, stop: () => null, covered: () => undefined })
    .catch(() => undefined);
  const told = cloud.log.lines.filter((l) => l.level === 'error').map((l) => l.message);
  return { told, gaps: cloud.metrics.counts.filter((c) => c.name === 'ArchiveGap').length };
}

it('that of the history that goes farthest, when it ends before the new one begins', async () => {
  const { told, gaps } = await go({
    older: [['', '0-1-10']],
    old: [
      ['', '0-1-10'],
      ['0-1-10', '0-1-20'],
    ],
  });
  expect(told).toEqual([
    expect.stringMatching(/history old ends at 0-1-20, new begins at 0-1-30.*, and no node has the log between/),
  ]);
  expect(gaps).toBe(1);
});

it.each<[string, Parameters<typeof go>[0]]>([
  ['there is no history before', {}],
  ['the one before ends where it begins', { old: [['', '0-1-30']] }],
  ['one of them goes on beyond it', { old: [['', '0-1-45']], older: [['', '0-1-10']] }],
  ['the new one has begun already', { old: [['', '0-1-20']], new: [['0-1-30', '0-1-40']] }],
  ['the folder is of another database', { old: [['', '7-1-20']] }],
])('nothing is told when %s', async (_, archived) => {
  expect(await go(archived)).toEqual({ told: [], gaps: 0 });
});
