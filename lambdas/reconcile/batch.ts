/**
 * A batch of requests: one reconcile for each cluster in it, clusters at once, each failing alone. Where requests have waited,
 * what an earlier look has answered already is not looked into again (decision 0017).
 */
import * as z from 'zod/mini';
import { CloudUnavailable } from '../cloud/ports.ts';
import type { SentRecord } from '../model/answered.ts';
import { hasWaited, isAnswered, sentAtMs } from '../model/answered.ts';
import { reconcile } from './reconcile.ts';
import type { ReconcilePorts } from './ports.ts';

export interface RequestRecord extends SentRecord {
  readonly messageId: string;
  readonly body: string;
}

const requestSchema = z.object({ cluster: z.string().check(z.minLength(1)), cause: z.string() });

/**
 * Answers the ids of the records that must return to the queue. Several requests for one cluster are one reconcile, and
 * they fail together; a malformed one fails alone and ends in the DLQ. `looks`: what a warm function remembers of the ledger's
 * last looks, by cluster; null: nothing, and the ledger is asked.
 */
export async function reconcileBatch(
  records: readonly RequestRecord[],
  ports: ReconcilePorts,
  looks: Map<string, number> | null = null,
): Promise<readonly string[]> {
  const failed: string[] = [];
  const byCluster = new Map<string, RequestRecord[]>();
  for (const record of records) {
    const { messageId, body } = record;
    const cluster = clusterOf(body);
    if (cluster === null) {
      ports.log.error('a request is not {"cluster": …, "cause": …}', { messageId, body: body.slice(0, 500) });
      failed.push(messageId);
    } else byCluster.set(cluster, [...(byCluster.get(cluster) ?? []), record]);
  }
  await Promise.all(
    [...byCluster].map(async ([cluster, requests]) => {
      const nowMs = ports.clock.nowMs();
      const sent = requests.map((r) => sentAtMs(r, nowMs));
      try {
        if (await areAnswered(cluster, sent, ports, looks)) return;
        await reconcile(cluster, ports, { isBacklog: sent.some((ms) => hasWaited(ms, nowMs)) });
      } catch (error) {
        ports.log.error('reconcile failed; its requests return to the queue', { cluster, error });
        ports.metrics.count('ReconcileFailed', 1, { cluster });
        failed.push(...requests.map((r) => r.messageId));
      }
    }),
  );
  return failed;
}

/** Asked of the ledger only when all have waited; without an answer a reconcile finds out what is the case. */
async function areAnswered(
  cluster: string,
  sent: readonly (number | null)[],
  ports: ReconcilePorts,
  looks: Map<string, number> | null,
): Promise<boolean> {
  const nowMs = ports.clock.nowMs();
  if (!sent.every((ms) => hasWaited(ms, nowMs))) return false;
  const by = (lookBeganMs: number | null): boolean => sent.every((ms) => isAnswered(ms, lookBeganMs));
  try {
    if (!by(looks?.get(cluster) ?? null)) {
      const { lookBeganMs } = (await ports.ledger.read(cluster)).cluster;
      if (!by(lookBeganMs)) return false;
      if (lookBeganMs !== null) remember(looks, cluster, lookBeganMs);
    }
    ports.log.info('requests are answered by a look that began after them', { cluster, sent });
    ports.metrics.count('RequestsAnswered', sent.length);
    return true;
  } catch (error) {
    if (!(error instanceof CloudUnavailable)) throw error;
    ports.log.warn('the last look cannot be read: requests that may be answered are looked into', { cluster });
    return false;
  }
}

/** A function that lives for hours does not fill up. */
const MOST_LOOKS = 20_000;

function remember(looks: Map<string, number> | null, cluster: string, beganMs: number): void {
  if (looks !== null && looks.size >= MOST_LOOKS) looks.clear();
  looks?.set(cluster, beganMs);
}

function clusterOf(body: string): string | null {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return null;
  }
  const parsed = requestSchema.safeParse(json);
  return parsed.success ? parsed.data.cluster : null;
}
