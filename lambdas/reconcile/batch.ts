/**
 * A batch of requests: one reconcile for each cluster in it, clusters at once, each failing alone. Where requests have waited,
 * what an earlier look has answered already is not looked into again (decision 0017), and those come first whose writes wait (0021).
 */
import * as z from 'zod/mini';
import { CloudUnavailable } from '../cloud/ports.ts';
import type { SentRecord } from '../model/answered.ts';
import { hasWaited, isAnswered, sentAtMs } from '../model/answered.ts';
import type { ClusterLedger } from '../model/ledger.ts';
import { isPressed, isWanted, putOff } from './put-off.ts';
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
 * last looks, by cluster; null: nothing, and the ledger is asked. `putOffs`: until when it has put off looks.
 */
export async function reconcileBatch(
  records: readonly RequestRecord[],
  ports: ReconcilePorts,
  looks: Map<string, number> | null = null,
  putOffs = new Map<string, number>(),
): Promise<readonly string[]> {
  const failed: string[] = [];
  const byCluster = new Map<string, RequestRecord[]>();
  for (const record of records) {
    const { messageId, body } = record;
    const cluster = parsedOf(body)?.cluster ?? null;
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
        const causes = requests.map((r) => parsedOf(r.body)?.cause ?? '');
        const haveWaited = sent.every((ms) => hasWaited(ms, nowMs));
        const asked = { sent, causes, isPressed: isPressed(ports, haveWaited) };
        if (haveWaited || asked.isPressed) {
          if (await needsNoLook(cluster, asked, ports, { looks, putOffs })) return;
        }
        const isBacklog = sent.some((ms) => hasWaited(ms, nowMs));
        const askedAtMs = Math.max(0, ...sent.map((ms) => ms ?? 0));
        await reconcile(cluster, ports, { isBacklog, isWanted: isWanted(causes), askedAtMs });
      } catch (error) {
        ports.log.error('reconcile failed; its requests return to the queue', { cluster, error });
        ports.metrics.count('ReconcileFailed', 1, { cluster });
        failed.push(...requests.map((r) => r.messageId));
      }
    }),
  );
  return failed;
}

/** Of all that was asked for one cluster. */
interface Asked {
  readonly sent: readonly (number | null)[];
  readonly causes: readonly string[];
  /** Others come first. */
  readonly isPressed: boolean;
}

interface Memory {
  readonly looks: Map<string, number> | null;
  readonly putOffs: Map<string, number>;
}

/** Asked only when all have waited, or others come first. Without the ledger a reconcile finds out what is the case. */
async function needsNoLook(cluster: string, asked: Asked, ports: ReconcilePorts, memory: Memory): Promise<boolean> {
  const { looks, putOffs } = memory;
  const by = (lookBeganMs: number | null): boolean => asked.sent.every((ms) => isAnswered(ms, lookBeganMs));
  if (by(looks?.get(cluster) ?? null)) return answered(cluster, asked, ports);
  try {
    const ledger: ClusterLedger = (await ports.ledger.read(cluster)).cluster;
    const { lookBeganMs } = ledger;
    if (lookBeganMs !== null && by(lookBeganMs)) {
      remember(looks, cluster, lookBeganMs);
      return answered(cluster, asked, ports);
    }
    return asked.isPressed && (await putOff(cluster, asked.causes, ledger, putOffs, ports));
  } catch (error) {
    if (!(error instanceof CloudUnavailable)) throw error;
    ports.log.warn('the last look cannot be read: requests that may be answered are looked into', { cluster });
    return false;
  }
}

function answered(cluster: string, { sent }: Asked, ports: ReconcilePorts): true {
  ports.log.info('requests are answered by a look that began after them', { cluster, sent });
  ports.metrics.count('RequestsAnswered', sent.length);
  return true;
}

/** A function that lives for hours does not fill up. */
const MOST_LOOKS = 20_000;

function remember(looks: Map<string, number> | null, cluster: string, beganMs: number): void {
  if (looks !== null && looks.size >= MOST_LOOKS) looks.clear();
  looks?.set(cluster, beganMs);
}

function parsedOf(body: string): z.infer<typeof requestSchema> | null {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return null;
  }
  const parsed = requestSchema.safeParse(json);
  return parsed.success ? parsed.data : null;
}
