/**
 * The same for MariaDB's log: after each kill nothing that was stored or is said to be covered is lost, and at the end the chain
 * gives each transaction of the server's once, event by event.
 */
import type { GtidPosition } from '../../lambdas/model/archive/gtid.ts';
import { formatGtidPosition, includesPosition, parseGtidPosition } from '../../lambdas/model/archive/gtid.ts';
import { systemClock } from '../../lambdas/cloud/clock.ts';
import { eventually, singleServer } from '../../test/support/galera/single.ts';
import type { SingleServer } from '../../test/support/galera/single.ts';
import type { Acknowledged } from './galera-check.ts';
import { chainOf, faultsAfterKill, firstDifference, listed, loggedUpTo, replay } from './galera-check.ts';
import { BUCKET, CLUSTER, killAtRandom, motoBucket } from './kill.ts';
import type { KillsOptions } from './kill.ts';
import { startShipper } from './shipper.ts';

export interface GaleraKillsReport {
  readonly kills: number;
  readonly objects: number;
  readonly transactions: number;
  /** Copies of transactions beyond the first, since a killed shipper's puts reached S3 and its successor begins where the chain ends. */
  readonly overlaps: number;
  readonly binlogs: number;
  /** What did not hold; empty when all did. */
  readonly faults: readonly string[];
}

/** Small, so that several pieces are under way at once, and larger transactions have an object of their own. */
const PIECE_BYTES = 150_000;

/** The load waits while the archive is so many transactions behind: a shipper that lives for a moment stores a few. */
const MOST_BEHIND = 200n;

/** Writes all the time but while it is to wait, in transactions of all sizes, and begins a new binlog now and then. */
function writing(
  server: SingleServer,
  waits: () => boolean,
): { readonly acknowledged: Acknowledged[]; stop(): Promise<void> } {
  const acknowledged: Acknowledged[] = [];
  let over = false;
  const insert = (): string =>
    `INSERT INTO app.journal (t) SELECT REPEAT(UUID(), 8) FROM app.seq_1_to_${Math.ceil(10 ** (Math.random() * 3.2))}; `;
  const running = (async () => {
    while (!over) {
      if (waits()) {
        await systemClock.sleep(100);
        continue;
      }
      const flush = Math.random() < 0.03 ? 'FLUSH BINARY LOGS; ' : '';
      const answer = await server.sql(
        `${flush}${insert()}${insert()}${insert()}SELECT @@last_gtid, ROUND(UNIX_TIMESTAMP(NOW(6)) * 1000)`,
      );
      const [gtid = '', atMs = ''] = answer.split('\t');
      acknowledged.push({ gtid, atMs: Number(atMs) });
    }
  })();
  running.catch(() => (over = true));
  return {
    acknowledged,
    stop: async () => {
      over = true;
      await running;
    },
  };
}

export async function galeraKills({ kills, address, progress }: KillsOptions): Promise<GaleraKillsReport> {
  const moto = await motoBucket();
  const server = await singleServer(address);
  try {
    await server.sql('CREATE TABLE app.journal (id INT AUTO_INCREMENT PRIMARY KEY, t TEXT)');
    const facts = {
      servers: [{ id: server.id, address }],
      ...{ endpoint: moto.endpoint, bucket: BUCKET, rpoSeconds: 2, faults: 0.1, delayMs: 150, pieceBytes: PIECE_BYTES },
    };
    const faults: string[] = [];
    let behind = 0n;
    const load = writing(server, () => behind > MOST_BEHIND);
    const ends = async (): Promise<GtidPosition> => parseGtidPosition(await server.sql('SELECT @@gtid_binlog_pos'));
    let before: GtidPosition = new Map();
    for (let kill = 1; kill <= kills; kill += 1) {
      await killAtRandom(startShipper('galera', facts));
      const objects = await listed(moto.bucket, CLUSTER);
      faults.push(...faultsAfterKill(objects, before, load.acknowledged).map((why) => `kill ${kill}: ${why}`));
      before = chainOf(objects).upTo;
      behind = ((await ends()).get(0)?.sequence ?? 0n) - (before.get(0)?.sequence ?? 0n);
      progress?.(`kill ${kill}: ${objects.length} objects, the archive ends at ${formatGtidPosition(before)}`);
    }
    await load.stop();
    const end = await ends();
    const last = startShipper('galera', facts);
    try {
      await eventually('the last shipper has all', 120, async () =>
        includesPosition(chainOf(await listed(moto.bucket, CLUSTER)).upTo, end) ? true : undefined,
      );
    } catch (error) {
      faults.push(`${String(error)}; the shipper: ${last.complaints()}`);
    }
    await last.kill();
    const objects = await listed(moto.bucket, CLUSTER);
    const { upTo, hole } = chainOf(objects);
    faults.push(...faultsAfterKill(objects, before, load.acknowledged).map((why) => `at the end: ${why}`));
    if (hole !== null)
      faults.push(`a hole between ${formatGtidPosition(hole.after)} and ${formatGtidPosition(hole.next)}`);
    const { transactions, overlaps } = await replay(moto.bucket, objects);
    const difference = firstDifference(transactions, await loggedUpTo(server, upTo));
    if (difference !== null) faults.push(difference);
    return {
      ...{ kills, objects: objects.length, transactions: transactions.length, overlaps },
      ...{ binlogs: (await server.binlogs()).length, faults },
    };
  } finally {
    await server.dispose();
    await moto.stop();
  }
}
