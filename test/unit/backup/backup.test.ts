/** The backup workflow, by running its definition against a cluster, hosts and a bucket in memory. */
import { describe, expect, it } from 'vitest';
import { backingUp } from '../../../lambdas/backup/steps.ts';
import { catalogue } from '../../../lambdas/model/archive/catalogue.ts';
import { manifestSchema } from '../../../lambdas/model/archive/manifest.ts';
import type { Claim } from '../../../lambdas/model/ledger.ts';
import type { ArchiveSpec, ClusterSpec } from '../../../lambdas/model/spec.ts';
import { backupDefinition } from '../../../lib/workflows/backup.ts';
import { STATE_UUID } from '../../fakes/index.ts';
import type { Run } from '../../support/asl.ts';
import { BackupHost } from '../../support/backup-host.ts';
import { POSTGRES } from '../../support/postgres-side.ts';
import { EXECUTION, World, failed } from '../../support/recovery-world.ts';

const definition = backupDefinition({ functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:x' });
const archive: ArchiveSpec = {
  bucket: 'rejoin-archive',
  rpoSeconds: 10,
  retentionDays: 35,
  baseBackupSeconds: 86_400,
};
const CLAIM: Claim = {
  execution: 'arn:other',
  incident: 'x',
  mode: 'replace',
  node: 'i-1',
  joiner: null,
  donor: null,
  launch: null,
  claimedAtMs: 1,
};

interface Night {
  readonly world: World;
  readonly host: BackupHost;
  readonly run: (execution?: string) => Promise<Run>;
}

function prepare(overrides: Partial<ClusterSpec> = {}): Night {
  const world = new World({ archive, ...overrides });
  const engine = world.spec.engine.kind;
  const system = world.postgres?.fake.server(world.node(1).id).disk?.systemId ?? STATE_UUID;
  const host = new BackupHost(world.aws, engine, system);
  const capability = backingUp({
    bucket: world.cloud.bucket,
    bucketName: 'rejoin-archive',
    leases: world.cloud.leases,
  });
  const run = (execution = EXECUTION) => world.run(definition, capability, { cluster: 'orders' }, execution);
  return { world, host, run };
}

const listing = (world: World) => [...world.aws.objects].map(([key, body]) => ({ key, sizeBytes: body.length }));
const bases = (world: World) => catalogue(listing(world)).flatMap((c) => c.bases);

const engines: readonly [string, Partial<ClusterSpec>][] = [
  ['galera', {}],
  ['postgres', { engine: POSTGRES }],
];

describe.each(engines)('a base backup: %s', (kind, overrides) => {
  it('is taken on a node that is not the writer, and its manifest is written last', async () => {
    const { world, host, run } = prepare(overrides);
    const puts: string[] = [];
    world.onCall = ({ operation, args }) => {
      if (/^ArchiveBucket\.(put|completeUpload)$/.test(operation)) puts.push(`${operation} ${String(args[0])}`);
    };
    const ended = await run();
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    const [base, ...more] = bases(world);
    expect(more).toEqual([]);
    expect(base?.storedBytes).toBe(13);
    expect(base?.start.engine).toBe(kind);
    expect(host.asked[0]?.instance).not.toBe(world.ledger().writer);
    expect(host.asked[0]?.parameters).toMatchObject({ Bucket: 'rejoin-archive', Key: base?.dataKey });
    expect(puts.map((p) => p.replace(/ .*\//, ' '))).toEqual([
      'ArchiveBucket.completeUpload data.zst',
      expect.stringContaining('ArchiveBucket.put'),
    ]);
    const manifest = manifestSchema.parse(
      JSON.parse(Buffer.from(world.aws.objects.get(base?.manifestKey ?? '') ?? []).toString()),
    );
    expect(manifest).toMatchObject({ id: base?.id, engine: kind, takenOn: host.asked[0]?.instance, storedBytes: 13 });
    expect(world.aws.leases.size).toBe(0);
    expect(world.aws.uploads.size).toBe(0);
    expect(world.cloud.metrics.total('BackupSucceeded')).toBe(1);
    expect(world.aws.published).toEqual([]);
    expect(world.ledger().claim).toBeNull();
  });

  it('a Lambda killed before or after any of its calls: one whole backup all the same', async () => {
    const whole = prepare(overrides);
    await whole.run();
    expect(whole.world.calls).toBeGreaterThan(15);
    for (let call = 1; call <= whole.world.calls; call += 1) {
      for (const moment of ['before', 'after'] as const) {
        const { world, run } = prepare(overrides);
        world.killAt({ call, moment });
        const ended = await run();
        const where = `${call} ${moment}: ${JSON.stringify(ended.errors)}`;
        expect(ended.errors[0]?.name, where).toBe('Runtime.ExitError');
        expect(ended.status, where).toBe('SUCCEEDED');
        expect(bases(world), where).toHaveLength(1);
        expect(bases(world)[0]?.storedBytes, where).toBe(13);
        expect(world.aws.leases.size, where).toBe(0);
      }
    }
  }, 60_000);

  it('a failed one, killed at any call, leaves nothing that could be mistaken for a backup, and tells once', async () => {
    const broken = (): Night => {
      const night = prepare(overrides);
      night.host.fails = () => failed('the disk is full');
      return night;
    };
    const whole = broken();
    await whole.run();
    for (let call = 1; call <= whole.world.calls; call += 1) {
      const { world, run } = broken();
      world.killAt({ call, moment: call % 2 === 0 ? 'before' : 'after' });
      const ended = await run();
      const where = `${call}: ${JSON.stringify(ended.errors)}`;
      expect(ended.status, where).toBe('FAILED');
      expect(listing(world), where).toEqual([]);
      expect(world.aws.leases.size, where).toBe(0);
      expect(world.aws.published.at(-1)?.subject, where).toContain('backup gave up: BackupFailed');
      expect(world.aws.published.at(-1)?.body, where).toContain('docs/runbook.md#backupfailed');
      expect(world.ledger().escalation, where).toBeNull();
    }
  }, 60_000);
});

describe('what S3 has is not what the host made', () => {
  it.each<[string, (n: Night) => void, RegExp]>([
    ['a piece is missing', ({ host }) => void (host.answer = { parts: 2 }), /said 2 pieces and lists 1, S3 has 1/],
    ['the sum is another', ({ host }) => void (host.answer = { storedBytes: 14 }), /have 13 bytes, the host said 14/],
    [
      'a piece has another size',
      ({ host }) => void (host.tamper = (t) => t.replace('\t13\t', '\t12\t')),
      /13 bytes in S3, the host made 12/,
    ],
    ['a piece is another', ({ host }) => void (host.tamper = (t) => t.replace(/"\w+"/, '"0"')), /is another in S3/],
    [
      'a piece has another hash',
      ({ host }) => void (host.tamper = (t) => t.replace(/\t[0-9a-f]{64}\t/, `\t${'0'.repeat(64)}\t`)),
      /has SHA-256/,
    ],
    ['its list is none', ({ host }) => void (host.tamper = () => '<html>'), /is no piece: expected number/],
    [
      'the node holds another database',
      ({ host }) => void (host.answer = { history: 'x' }),
      /holds the database x, expected/,
    ],
    ['the answer is no answer', ({ host }) => void (host.answer = { sha256: '' }), /sha256: expected a SHA-256/],
  ])('%s: no backup', async (_, tamper, expected) => {
    const night = prepare();
    tamper(night);
    const ended = await night.run();
    expect(ended.status).toBe('FAILED');
    expect(ended.errors.at(-1)?.message).toMatch(expected);
    expect(bases(night.world)).toEqual([]);
    expect(night.world.aws.uploads.size).toBe(0);
  });
});

describe('it is not in anybody’s way', () => {
  it('rule 5: waits while a recovery holds the claim, then begins', async () => {
    const { world, host, run } = prepare();
    world.setLedger({ claim: CLAIM });
    let looks = 0;
    world.onCall = ({ operation }) => {
      if (operation !== 'Ledger.read' || (looks += 1) !== 4) return;
      expect(host.asked).toEqual([]);
      world.setLedger({ claim: null });
    };
    expect((await run()).status).toBe('SUCCEEDED');
    expect(bases(world)).toHaveLength(1);
  });

  it('rule 5: a recovery that begins meanwhile goes first, and nothing of the backup is left', async () => {
    const { world, host, run } = prepare();
    host.asksUntilDone = 100;
    world.onCall = () => {
      if (host.asked.length === 3) world.setLedger({ claim: CLAIM });
    };
    const ended = await run();
    expect(ended.visited.at(-1)).toBe('Withdrawn');
    expect(host.asked).toHaveLength(3);
    expect([listing(world), world.aws.uploads.size, world.aws.leases.size]).toEqual([[], 0, 0]);
    expect(world.ledger().claim).toEqual(CLAIM);
    expect(world.aws.published).toEqual([]);
  });

  it('rule 6: not while only two nodes of a Galera cluster serve', async () => {
    const { world, host, run } = prepare();
    world.dies(world.node(2).id);
    const ended = await run();
    expect(ended.status).toBe('FAILED');
    expect(ended.errors.at(-1)).toMatchObject({ name: 'BackupRefused' });
    expect(ended.errors.at(-1)?.message).toContain('only 1 others serve');
    expect(host.asked).toEqual([]);
  });

  it('not on a node in maintenance', async () => {
    const { world, host, run } = prepare();
    world.setLedger({ maintenance: { node: world.node(1).id, by: 'ada', sinceMs: 1 } });
    expect((await run()).status).toBe('SUCCEEDED');
    expect(host.asked[0]?.instance).toBe(world.node(2).id);
  });

  it('never on the writer: with no replica it is refused', async () => {
    const { world, host, run } = prepare({ engine: POSTGRES });
    world.dies(world.node(1).id);
    world.dies(world.node(2).id);
    expect((await run()).errors.at(-1)?.message).toContain('no node beside the writer is whole');
    expect(host.asked).toEqual([]);
  });

  it('one at a time', async () => {
    const { world, host, run } = prepare();
    world.aws.leases.set('orders#backup', { holder: 'arn:other', untilMs: Infinity });
    const ended = await run();
    expect(ended.errors.at(-1)).toMatchObject({ name: 'BackupRefused' });
    expect(host.asked).toEqual([]);
    expect(world.aws.leases.get('orders#backup')?.holder).toBe('arn:other');
  });

  it('refuses a cluster without an archive', async () => {
    const { world, run } = prepare();
    world.aws.specs.set('orders', { ...world.spec, archive: undefined });
    expect((await run()).errors.at(-1)?.message).toContain('orders has no archive');
  });
});

it('a script that dies without a word is asked again, and not for ever', async () => {
  const { host, run, world } = prepare();
  let deaths = 2;
  host.fails = () => ((deaths -= 1) >= 0 ? { kind: 'failed', exitCode: 33, output: '', error: 'died' } : null);
  expect((await run()).status).toBe('SUCCEEDED');
  expect(bases(world)).toHaveLength(1);
  const other = prepare();
  other.host.fails = () => ({ kind: 'failed', exitCode: 33, output: '', error: 'died' });
  expect((await other.run()).status).toBe('FAILED');
  expect(other.host.asked.length).toBeLessThan(10);
});
