/** A batch of requests: one reconcile for each cluster in it, clusters at once, each failing alone. */
import * as z from 'zod/mini';
import { reconcile } from './reconcile.ts';
import type { ReconcilePorts } from './ports.ts';

export interface RequestRecord {
  readonly messageId: string;
  readonly body: string;
}

const requestSchema = z.object({ cluster: z.string().check(z.minLength(1)), cause: z.string() });

/**
 * Answers the ids of the records that must return to the queue. Several requests for one cluster are one reconcile, and
 * they fail together; a malformed one fails alone and ends in the DLQ.
 */
export async function reconcileBatch(
  records: readonly RequestRecord[],
  ports: ReconcilePorts,
): Promise<readonly string[]> {
  const failed: string[] = [];
  const byCluster = new Map<string, string[]>();
  for (const { messageId, body } of records) {
    const cluster = clusterOf(body);
    if (cluster === null) {
      ports.log.error('a request is not {"cluster": …, "cause": …}', { messageId, body: body.slice(0, 500) });
      failed.push(messageId);
    } else byCluster.set(cluster, [...(byCluster.get(cluster) ?? []), messageId]);
  }
  await Promise.all(
    [...byCluster].map(async ([cluster, ids]) => {
      try {
        await reconcile(cluster, ports);
      } catch (error) {
        ports.log.error('reconcile failed; its requests return to the queue', { cluster, error });
        ports.metrics.count('ReconcileFailed', 1, { cluster });
        failed.push(...ids);
      }
    }),
  );
  return failed;
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
