/** One batch of signals: parse each, ask once whose the instances are, send one request per touched cluster. */
import type { Clock, Instances, Log, Metrics, ReconcileRequests } from '../cloud/ports.ts';
import type { SentRecord } from '../model/answered.ts';
import { hasWaited, isAnswered, sentAtMs } from '../model/answered.ts';
import { CLUSTER_TAG } from '../model/spec.ts';
import type { Memory } from './memory.ts';
import { parseSignal } from './parse.ts';
import type { Signal } from './signal.ts';

export interface SignalRecord extends SentRecord {
  readonly messageId: string;
  readonly body: string;
}

export interface Ports {
  readonly clock: Clock;
  readonly instances: Instances;
  readonly requests: ReconcileRequests;
  readonly log: Log;
  readonly metrics: Metrics;
}

interface Understood {
  readonly messageId: string;
  readonly signal: Signal;
  /** Null: unknown; or it was sent ahead of its time, and nothing that came since answers it. */
  readonly sentMs: number | null;
}

/** A signal that was understood, with the record that brought it and the clusters that it touches. */
interface Hint extends Understood {
  readonly clusters: readonly string[];
}

/**
 * Answers the ids of the records that must return to the queue; the rest is done: sent, or dropped and counted. A record
 * fails alone when it is malformed; when AWS cannot be asked or a request cannot be sent, those that depend on it fail.
 * `memory`: what the calls before this one left behind; null: nothing, and everything is asked for.
 */
export async function receive(
  records: readonly SignalRecord[],
  ports: Ports,
  memory: Memory | null = null,
): Promise<readonly string[]> {
  const failed: string[] = [];
  const understood: Understood[] = [];
  const nowMs = ports.clock.nowMs();
  for (const record of records) {
    const { messageId, body } = record;
    const parsed = parseSignal(body);
    switch (parsed.kind) {
      case 'signal':
        understood.push({ messageId, signal: parsed.signal, sentMs: causeSentMs(parsed.signal, record, nowMs) });
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
  const { hints, unasked } = await locate(understood, ports, memory);
  failed.push(...unasked, ...(await request(hints, ports, memory)));
  return failed;
}

const causeSentMs = (signal: Signal, record: SignalRecord, nowMs: number): number | null =>
  signal.about === 'clusters' && signal.isDue === true ? null : sentAtMs(record, nowMs);

/** Gives each signal its clusters. If AWS cannot be asked, the signals about instances go back; the others go on. */
async function locate(
  understood: readonly Understood[],
  ports: Ports,
  memory: Memory | null,
): Promise<{ readonly hints: readonly Hint[]; readonly unasked: readonly string[] }> {
  const ids = [
    ...new Set(understood.flatMap(({ signal }) => (signal.about === 'instances' ? signal.instanceIds : []))),
  ];
  let owners: ReadonlyMap<string, string> | null;
  try {
    owners = await ownersOf(ids, ports, memory);
  } catch (error) {
    ports.log.error('could not ask EC2 whose the instances are; the signals return to the queue', { ids, error });
    owners = null;
  }
  const hints: Hint[] = [];
  const unasked: string[] = [];
  for (const one of understood) {
    const { messageId, signal } = one;
    if (signal.about === 'clusters') {
      hints.push({ ...one, clusters: signal.clusters });
    } else if (signal.instanceIds.length === 0) {
      hints.push({ ...one, clusters: [] });
    } else if (owners === null) {
      unasked.push(messageId);
    } else {
      const known = owners;
      hints.push({ ...one, clusters: signal.instanceIds.flatMap((id) => known.get(id) ?? []) });
    }
  }
  if (unasked.length > 0) ports.metrics.count('SignalsReturned', unasked.length);
  return { hints, unasked };
}

/** Instance id to cluster, for those that carry the cluster's tag. One batched call, none when all are known. */
async function ownersOf(
  ids: readonly string[],
  ports: Ports,
  memory: Memory | null,
): Promise<ReadonlyMap<string, string>> {
  const nowMs = ports.clock.nowMs();
  const owners = new Map(memory?.ownersOf(ids, nowMs));
  const unknown = ids.filter((id) => !owners.has(id));
  if (unknown.length === 0) return owners;
  for (const { id, tags } of await ports.instances.byIds(unknown)) {
    const cluster = tags[CLUSTER_TAG];
    if (cluster === undefined) continue;
    owners.set(id, cluster);
    memory?.noteOwner(id, cluster, nowMs);
  }
  return owners;
}

/** Sends one request per touched cluster; answers the records whose request could not be sent. */
async function request(hints: readonly Hint[], ports: Ports, memory: Memory | null): Promise<readonly string[]> {
  const touched = new Map<string, Hint[]>();
  for (const hint of hints) {
    if (hint.clusters.length === 0) {
      ports.log.info('dropped a signal about nothing of ours', { ...hint.signal });
      ports.metrics.count('SignalsForeign', 1);
    }
    for (const cluster of new Set(hint.clusters)) {
      if (isAnswered(hint.sentMs, memory?.askedMs(cluster) ?? null)) ports.metrics.count('SignalsAnswered', 1);
      else touched.set(cluster, [...(touched.get(cluster) ?? []), hint]);
    }
  }
  if (touched.size === 0) return [];
  const nowMs = ports.clock.nowMs();
  const backlog = new Set([...touched].flatMap(([cluster, of]) => (isBacklog(of, nowMs) ? [cluster] : [])));
  const requests = [...touched].map(([cluster, of]) => ({
    cluster,
    cause: (backlog.has(cluster) ? memory?.freshCause() : undefined) ?? causeOf(of),
  }));
  try {
    await ports.requests.send(requests);
    for (const cluster of backlog) memory?.noteAsked(cluster, nowMs);
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

/** Some have waited, and others may; and none may be merged with another wish for the same time. */
const isBacklog = (hints: readonly Hint[], nowMs: number): boolean =>
  hints.every((h) => h.sentMs !== null) && hints.some((h) => hasWaited(h.sentMs, nowMs));

/**
 * The event ids, sorted: the same events delivered twice ask once (SQS deduplicates for five minutes), and any other event
 * asks again.
 */
const causeOf = (hints: readonly Hint[]): string => [...new Set(hints.map((h) => h.signal.eventId))].sort().join('+');
