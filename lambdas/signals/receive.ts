/** One batch of signals: parse each, ask once whose the instances are, send one request per touched cluster. */
import type { Instances, Log, Metrics, ReconcileRequests } from '../cloud/ports.ts';
import { CLUSTER_TAG } from '../model/spec.ts';
import { parseSignal } from './parse.ts';
import type { Signal } from './signal.ts';

export interface SignalRecord {
  readonly messageId: string;
  readonly body: string;
}

export interface Ports {
  readonly instances: Instances;
  readonly requests: ReconcileRequests;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** A signal that was understood, with the record that brought it and the clusters that it touches. */
interface Hint {
  readonly messageId: string;
  readonly signal: Signal;
  readonly clusters: readonly string[];
}

/**
 * Answers the ids of the records that must return to the queue; the rest is done: sent, or dropped and counted. A record
 * fails alone when it is malformed; when AWS cannot be asked or a request cannot be sent, those that depend on it fail.
 */
export async function receive(records: readonly SignalRecord[], ports: Ports): Promise<readonly string[]> {
  const failed: string[] = [];
  const understood: { readonly messageId: string; readonly signal: Signal }[] = [];
  for (const { messageId, body } of records) {
    const parsed = parseSignal(body);
    switch (parsed.kind) {
      case 'signal':
        understood.push({ messageId, signal: parsed.signal });
        break;
      case 'unknown':
        ports.log.info('dropped an event of a kind that is not known', { messageId, ...parsed });
        ports.metrics.count('SignalsUnknown', 1);
        break;
      case 'malformed':
        ports.log.error(parsed.why, { messageId });
        ports.metrics.count('SignalsMalformed', 1);
        failed.push(messageId);
        break;
    }
  }
  const { hints, unasked } = await locate(understood, ports);
  failed.push(...unasked, ...(await request(hints, ports)));
  return failed;
}

/** Gives each signal its clusters. If AWS cannot be asked, the signals about instances go back; the others go on. */
async function locate(
  understood: readonly { readonly messageId: string; readonly signal: Signal }[],
  ports: Ports,
): Promise<{ readonly hints: readonly Hint[]; readonly unasked: readonly string[] }> {
  const ids = [
    ...new Set(understood.flatMap(({ signal }) => (signal.about === 'instances' ? signal.instanceIds : []))),
  ];
  let owners: ReadonlyMap<string, string> | null;
  try {
    owners = await ownersOf(ids, ports);
  } catch (error) {
    ports.log.error('could not ask EC2 whose the instances are; the signals return to the queue', { ids, error });
    owners = null;
  }
  const hints: Hint[] = [];
  const unasked: string[] = [];
  for (const { messageId, signal } of understood) {
    if (signal.about === 'clusters') {
      hints.push({ messageId, signal, clusters: signal.clusters });
    } else if (signal.instanceIds.length === 0) {
      hints.push({ messageId, signal, clusters: [] });
    } else if (owners === null) {
      unasked.push(messageId);
    } else {
      const known = owners;
      hints.push({ messageId, signal, clusters: signal.instanceIds.flatMap((id) => known.get(id) ?? []) });
    }
  }
  if (unasked.length > 0) ports.metrics.count('SignalsReturned', unasked.length);
  return { hints, unasked };
}

/** Instance id to cluster, for those that carry the cluster's tag. One batched call, none when there are no ids. */
async function ownersOf(ids: readonly string[], ports: Ports): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const instances = await ports.instances.byIds(ids);
  return new Map(
    instances.flatMap((i) => {
      const cluster = i.tags[CLUSTER_TAG];
      return cluster === undefined ? [] : [[i.id, cluster] as const];
    }),
  );
}

/** Sends one request per touched cluster; answers the records whose request could not be sent. */
async function request(hints: readonly Hint[], ports: Ports): Promise<readonly string[]> {
  const touched = new Map<string, Hint[]>();
  for (const hint of hints) {
    if (hint.clusters.length === 0) {
      ports.log.info('dropped a signal about nothing of ours', { ...hint.signal });
      ports.metrics.count('SignalsForeign', 1);
    }
    for (const cluster of new Set(hint.clusters)) touched.set(cluster, [...(touched.get(cluster) ?? []), hint]);
  }
  if (touched.size === 0) return [];
  const requests = [...touched].map(([cluster, of]) => ({ cluster, cause: causeOf(of) }));
  try {
    await ports.requests.send(requests);
  } catch (error) {
    ports.log.error('could not request reconciles; the signals return to the queue', { requests, error });
    const returned = [...new Set([...touched.values()].flat().map((h) => h.messageId))];
    ports.metrics.count('SignalsReturned', returned.length);
    return returned;
  }
  for (const [cluster, of] of touched) {
    ports.log.info('requested a reconcile', { cluster, signals: of.map((h) => h.signal.summary) });
  }
  ports.metrics.count('ReconcilesRequested', touched.size);
  return [];
}

/**
 * The event ids, sorted: the same events delivered twice ask once (SQS deduplicates for five minutes), and any other event
 * asks again.
 */
const causeOf = (hints: readonly Hint[]): string => [...new Set(hints.map((h) => h.signal.eventId))].sort().join('+');
