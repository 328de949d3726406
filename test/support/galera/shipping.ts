/** The real shipper of binlogs over a bucket that is a folder, and what it left there. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { galeraShipEngine, type GaleraShipOptions } from '../../../lambdas/archive/ship/galera/engine.ts';
import { pieceQueue } from '../../../lambdas/archive/ship/piece-queue.ts';
import type { ShipEnd, ShipRun } from '../../../lambdas/archive/ship/run.ts';
import { systemClock } from '../../../lambdas/cloud/clock.ts';
import { binlogChain } from '../../../lambdas/model/archive/binlog-chain.ts';
import { type BinlogObject, parseKey } from '../../../lambdas/model/archive/keys.ts';
import { EMPTY_LEDGER } from '../../../lambdas/model/ledger.ts';
import type { ClusterSpec, DatabaseTls } from '../../../lambdas/model/spec.ts';
import { aSpec, fakeCloud } from '../../fakes/index.ts';
import { DirBucket } from '../dir-bucket.ts';
import { gtidsIn } from './binlog.ts';
import { ACCOUNTS } from './single.ts';

const run = promisify(execFile);

export interface ShippingOptions extends GaleraShipOptions {
  readonly nodes: readonly { readonly id: string; readonly address: string }[];
  readonly writer?: string;
  readonly tls?: DatabaseTls;
  readonly rpoSeconds?: number;
  /** Whole milliseconds that each PUT takes. */
  readonly putMs?: number;
}

export interface Shipped {
  readonly key: string;
  readonly object: BinlogObject;
  readonly bytes: Buffer;
}

const specFor = ({ tls, rpoSeconds = 2 }: ShippingOptions): ClusterSpec =>
  aSpec({
    engine: { kind: 'galera', port: 3306, ...(tls === undefined ? {} : { tls }) },
    archive: { bucket: 'archive', rpoSeconds, retentionDays: 1, baseBackupSeconds: 3600 },
  });

/** Every port that a shipper needs but the bucket, which is the fake one. */
export function clusterPorts(options: ShippingOptions) {
  const cloud = fakeCloud();
  const spec = specFor(options);
  cloud.aws.addCluster(spec);
  cloud.aws.secrets.set(spec.credentialsSecretArn, ACCOUNTS.probe);
  for (const { id, address } of options.nodes) {
    const instance = cloud.aws.addInstance({ cluster: spec.name, zone: 'eu-west-1a' });
    cloud.aws.instances.delete(instance.id);
    cloud.aws.instances.set(id, { ...instance, id, privateIp: address });
  }
  cloud.aws.ledgers.set(spec.name, { ...EMPTY_LEDGER, epoch: 1, writer: options.writer ?? null });
  return { ...cloud, clock: systemClock, spec, handOver: () => Promise.resolve() };
}

/** The same over the bucket in the folder. */
export function shippingPorts(folder: string, options: ShippingOptions) {
  const bucket = new DirBucket(folder);
  const { putMs = 0 } = options;
  const put = bucket.put.bind(bucket);
  bucket.put = async (key, body) => {
    if (putMs > 0) await systemClock.sleep(putMs * (0.5 + (body.length % 7) / 3));
    return put(key, body);
  };
  return { ...clusterPorts(options), bucket };
}

export type ShippingPorts = ReturnType<typeof shippingPorts>;

export interface Going {
  readonly end: Promise<ShipEnd>;
  /** The newest moment that it said is covered. */
  readonly coveredMs: () => number;
  stop(): Promise<ShipEnd>;
}

/** One go of the shipper, without the loop around it. */
export function beginGo(ports: ShippingPorts, mode: ShipRun['mode'], options: ShippingOptions): Going {
  let why: string | null = null;
  let coveredMs = 0;
  const { clock, log, metrics, spec, bucket } = ports;
  if (spec.archive === undefined) throw new Error('the specification has no archive');
  const queue = pieceQueue({ bucket, clock });
  const given: ShipRun = {
    ...{ spec, archive: spec.archive, mode, queue, clock, log, metrics },
    stop: () => why,
    covered: (ms) => (coveredMs = Math.max(coveredMs, ms)),
  };
  const end = (async () => {
    try {
      const ended = await galeraShipEngine(ports, options).ship(given);
      await queue.drain();
      return ended;
    } catch (error) {
      await queue.abort();
      throw error;
    }
  })();
  end.catch(() => undefined); // whoever waits for it hears of it
  return {
    end,
    coveredMs: () => coveredMs,
    stop: () => {
      why = 'the test says so';
      return end;
    },
  };
}

export interface ShippingPlace {
  readonly folder: string;
  /** What is in the bucket, decompressed by the zstd that hosts have. */
  objects(): Promise<readonly Shipped[]>;
  /** How many there are. */
  count(): number;
  dispose(): void;
}

export function shippingPlace(): ShippingPlace {
  const folder = mkdtempSync(join(tmpdir(), 'rejoin-ship-'));
  const bucket = new DirBucket(folder);
  return {
    folder,
    count: () => bucket.count(),
    objects: async () => {
      const found: Shipped[] = [];
      for await (const { key } of bucket.list('')) {
        const object = parseKey(key)?.object;
        if (object?.kind !== 'binlog') throw new Error(`${key} is no key of a binlog object`);
        const { stdout } = await run('zstd', ['-dcq', bucket.pathOf(key)], { encoding: 'buffer', maxBuffer: 2 ** 30 });
        found.push({ key, object, bytes: stdout });
      }
      return found;
    },
    dispose: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The transactions that a replay takes: along the chain, each once. Throws when there is a hole. */
export function replayed(objects: readonly Shipped[], from: BinlogObject['after'] = new Map()): readonly string[] {
  const bytesOf = new Map(objects.map(({ object, bytes }) => [object, bytes]));
  const chain = binlogChain(
    objects.map(({ object }) => object),
    from,
    null,
  );
  if (chain.hole !== null)
    throw new Error(
      `a hole: ${JSON.stringify([...chain.hole.after.values()], (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v))}`,
    );
  const seen = new Set<string>();
  for (const { object } of chain.links)
    for (const gtid of gtidsIn(bytesOf.get(object) ?? Buffer.alloc(0))) seen.add(gtid);
  return [...seen];
}

/** What `mariadb-binlog` makes of a piece on its own. Throws with its messages when it cannot read it. */
export async function asMariadbBinlogReadsIt(bytes: Buffer): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'rejoin-piece-'));
  try {
    const file = join(folder, 'piece');
    writeFileSync(file, bytes);
    const args = ['--no-defaults', '--verify-binlog-checksum', '--base64-output=decode-rows', file];
    return (await run('mariadb-binlog', args, { maxBuffer: 2 ** 30 })).stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
