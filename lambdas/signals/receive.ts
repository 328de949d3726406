/** One batch of signals: parse each, ask once whose the instances are, send one request per touched cluster. */
import type { Metrics, ReconcileRequests } from '../cloud/ports.ts';
import type { SentRecord } from '../model/answered.ts';
import { hasWaited, isAnswered, sentAtMs } from '../model/answered.ts';
import type { Memory } from './memory.ts';
import { ownersOf } from './owners.ts';
import type { Named, Ports as OwnersPorts } from './owners.ts';
import { parseSignal } from './parse.ts';
import type { Signal } from './signal.ts';

export interface SignalRecord extends SentRecord {
  readonly messageId: string;
  readonly body: string;
}

export interface Ports extends OwnersPorts {
  readonly requests: ReconcileRequests;
  readonly metrics: Metrics;
}

/** How much later than it was launched an instance is surely listed by its tag: EC2 shows tags of new instances late, mostly by some seconds. */
export const LAUNCHES_LISTED_MS = 30_000;

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
  const named = understood.flatMap(namedBy);
  let owners: ReadonlyMap<string, string> | null;
  try {
    owners = await ownersOf(named, ports, memory);
  } catch (error) {
    ports.log.error('could not ask EC2 whose the instances are; the signals return to the queue', { named, error });
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

function namedBy({ signal, sentMs }: Understood): readonly Named[] {
  if (signal.about !== 'instances') return [];
  const listedFromMs = sentMs === null || signal.isLaunch !== true ? sentMs : sentMs + LAUNCHES_LISTED_MS;
  return signal.instanceIds.map((id) => ({ id, sentMs: listedFromMs }));
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
