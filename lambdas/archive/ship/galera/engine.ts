/**
 * Ships a MariaDB cluster's log: from the end of what the bucket has without a hole, from whichever node has what comes next. All is
 * looked up anew at each go, so that a go may end anywhere.
 */
import type { DbCredentials, DbTarget } from '../../../cloud/ports.ts';
import { LogUnavailable } from '../../../engines/galera/binlog/errors.ts';
import { shipperServerId } from '../../../engines/galera/binlog/server-id.ts';
import { type ServerLog, sharedPart } from '../../../engines/galera/binlog/log-state.ts';
import { formatGtidPosition, type GtidPosition, includesPosition } from '../../../model/archive/gtid.ts';
import type { ArchivePlace, BinlogObject } from '../../../model/archive/keys.ts';
import type { ClusterSpec } from '../../../model/spec.ts';
import type { ShipPorts } from '../ports.ts';
import type { ShipEnd, ShipEngine, ShipRun } from '../run.ts';
import { chooseSource, type LogNode, type SourceChoice } from './choose-source.ts';
import { formerBehind } from './former.ts';
import { LogStream } from './log-stream.ts';
import { LOG_SERVERS, type LogServers } from './ports.ts';
import { recentObjects } from './recent.ts';

type Node = LogNode<DbTarget>;
type Source = Extract<SourceChoice<DbTarget>, { readonly kind: 'from' }>;

const LOOK_MS = 2000;
const LOOK_AGAIN_MS = 1000;

const again = (why: string): ShipEnd => ({ kind: 'again', why, pauseMs: LOOK_AGAIN_MS });

/** Set in tests. */
export interface GaleraShipOptions {
  readonly pieceBytes?: number;
  readonly servers?: LogServers;
}

export function galeraShipEngine(ports: ShipPorts, options: GaleraShipOptions = {}): ShipEngine {
  return {
    kind: 'galera',
    async ship(run) {
      const { spec } = run;
      const credentials = await ports.secrets.credentials(spec.credentialsSecretArn);
      const nodes = await answeringNodes(ports, run, credentials, options.servers ?? LOG_SERVERS);
      const history = commonHistory(nodes);
      if (history === null) return again(nodes.length === 0 ? 'no node answers' : describeHistories(nodes));
      const place = { cluster: spec.name, history };
      const objects = await archived(ports, place, nodes);
      return shipFromBest(run, { ports, credentials, place, options, objects }, nodes);
    },
  };
}

interface Given {
  readonly ports: ShipPorts;
  readonly credentials: DbCredentials;
  readonly place: ArchivePlace;
  readonly options: GaleraShipOptions;
  readonly objects: readonly BinlogObject[];
}

/** Node after node, until one gives its log. */
async function shipFromBest(run: ShipRun, given: Given, nodes: readonly Node[]): Promise<ShipEnd> {
  let left = nodes;
  for (;;) {
    const source = chooseSource(left, given.objects);
    if (source.kind === 'none') {
      const { behind, reason } = source;
      if (behind === null || !(await isLost(run, given, left, behind)))
        run.log.warn(`no log can be read: ${reason}`, { cluster: run.spec.name });
      return again(reason);
    }
    try {
      return await shipFrom(run, given, source, left);
    } catch (error) {
      const rest = left.filter(({ node }) => node !== source.node);
      if (!(error instanceof LogUnavailable) || rest.length === 0) throw error;
      const { name: cluster } = run.spec;
      run.log.warn('a node does not give the log that follows the archive', {
        ...{ cluster, node: source.node.instanceId, after: formatGtidPosition(source.after), error },
      });
      left = rest;
    }
  }
}

/**
 * Do the nodes only lag behind the archive, or has the cluster lost what is there (a bootstrap that gave up nodes). People are told of the
 * latter: the cluster is about to give the same GTIDs again, to other transactions.
 */
async function isLost(
  run: ShipRun,
  { credentials, options }: Given,
  nodes: readonly Node[],
  { node, archived }: NonNullable<Extract<SourceChoice<DbTarget>, { readonly kind: 'none' }>['behind']>,
): Promise<boolean> {
  const log = nodes.find((n) => n.node === node)?.log;
  const now = await askWhole(options.servers ?? LOG_SERVERS, node, credentials).catch(() => null);
  if (log === undefined || now === null || includesPosition(sharedPart(log, now), sharedPart(log, archived)))
    return false;
  const [has, is] = [formatGtidPosition(archived), formatGtidPosition(now) || 'the beginning'];
  run.metrics.count('ArchiveGap', 1, { cluster: run.spec.name });
  run.log.error(
    `the archive has ${has}, and the whole cluster is at ${is}: it has lost what lies between, and gives those GTIDs again. Take a base backup once it is beyond ${has} (docs/runbook.md)`,
    { cluster: run.spec.name, node: node.instanceId },
  );
  return true;
}

/** Where the cluster is, with all that any node has acknowledged. */
async function askWhole(servers: LogServers, node: DbTarget, credentials: DbCredentials): Promise<GtidPosition> {
  const observer = await servers.observe(node, credentials);
  try {
    await observer.prepare();
    return (await observer.mark()).position;
  } finally {
    observer.close();
  }
}

async function shipFrom(run: ShipRun, given: Given, source: Source, nodes: readonly Node[]): Promise<ShipEnd> {
  const { spec, archive, mode } = run;
  const { node, after, ask, gapAfter } = source;
  const log = nodes.find((n) => n.node === node)?.log;
  if (log === undefined) return again('the node is gone');
  const facts = { cluster: spec.name, node: node.instanceId, after: formatGtidPosition(after) };
  if (gapAfter !== null) {
    run.metrics.count('ArchiveGap', 1, { cluster: spec.name });
    const from = formatGtidPosition(gapAfter);
    run.log.error(
      `no node has the log after ${from} any more: it is lost to the archive up to ${facts.after}. Take a base backup (docs/runbook.md)`,
      facts,
    );
  }
  if (given.objects.length === 0) await tellOfFormer(run, given, log, after);
  const stream = new LogStream(
    {
      ...{ place: given.place, target: node, credentials: given.credentials, log, after, ask },
      serverId: shipperServerId(spec.name),
      cutEveryMs: (archive.rpoSeconds * 1000) / 2,
      follow: mode === 'stream',
      isBeginning: given.objects.length === 0 || gapAfter !== null,
      ...given.options,
      covered: (ms) => run.covered(ms),
    },
    run.clock,
    run.queue,
  );
  run.log.info('shipping', { ...facts, ask: formatGtidPosition(ask) });
  const outcome = await stream.run(() => run.stop());
  return outcome === 'ended' ? { kind: 'drained' } : again('it was told to stop');
}

/** A history begins: people are told when the one before does not lead up to it. */
async function tellOfFormer(run: ShipRun, given: Given, log: ServerLog, after: GtidPosition): Promise<void> {
  const { ports, place } = given;
  const former = await formerBehind(ports.bucket, place, log, after, ports.clock.nowMs());
  if (former === null) return;
  const [end, begin] = [formatGtidPosition(former.end), formatGtidPosition(after)];
  run.metrics.count('ArchiveGap', 1, { cluster: run.spec.name });
  run.log.error(
    `the archive of history ${former.history} ends at ${end}, ${place.history} begins at ${begin}, and no node has the log between: it is lost to the archive. Take a base backup (docs/runbook.md)`,
    { cluster: run.spec.name },
  );
}

/** Nodes that run and say what log they have. */
async function answeringNodes(
  ports: ShipPorts,
  run: ShipRun,
  credentials: DbCredentials,
  servers: LogServers,
): Promise<readonly Node[]> {
  const { name } = run.spec;
  const [instances, { cluster: ledger }] = await Promise.all([
    ports.instances.ofCluster(name),
    ports.ledger.read(name),
  ]);
  const targets = instances.flatMap((i) =>
    i.state === 'running' && i.privateIp !== null ? [targetOf(run.spec, i.id, i.privateIp)] : [],
  );
  const answers = await Promise.all(
    targets.map(async (node): Promise<readonly Node[]> => {
      try {
        const log = await askLog(servers, node, credentials);
        return [{ node, instance: node.instanceId, isWriter: node.instanceId === ledger.writer, log }];
      } catch (error) {
        run.log.warn('a node does not say what log it has', { cluster: name, node: node.instanceId, error });
        return [];
      }
    }),
  );
  return answers.flat();
}

const targetOf = ({ engine }: ClusterSpec, instanceId: string, host: string): DbTarget => ({
  ...{ instanceId, host, port: engine.port, engine: engine.kind },
  tls: engine.tls,
});

async function askLog(servers: LogServers, node: DbTarget, credentials: DbCredentials): Promise<ServerLog> {
  const observer = await servers.observe(node, credentials, { patienceMs: LOOK_MS });
  try {
    return await observer.log();
  } finally {
    observer.close();
  }
}

/** That of all nodes which are in a cluster; null when they differ, or nobody has one. */
function commonHistory(nodes: readonly Node[]): string | null {
  const histories = new Set(nodes.filter(({ log }) => log.state !== 'away').map(({ log }) => log.history));
  const [history] = histories;
  return histories.size === 1 && history !== undefined && history !== '' ? history : null;
}

const describeHistories = (nodes: readonly Node[]): string =>
  `no one history to archive: ${nodes.map(({ instance, log }) => `${instance} is ${log.state} with ${log.history || 'none'}`).join(', ')}`;

/** The newest objects, found by what any of the nodes knows of writers. */
async function archived(
  ports: ShipPorts,
  place: ArchivePlace,
  nodes: readonly Node[],
): Promise<readonly BinlogObject[]> {
  const able = nodes.filter(({ log }) => log.state !== 'away');
  const [first] = able;
  if (first === undefined) return [];
  const writers = able.flatMap(({ log }) => log.writers);
  const newest = new Map(writers.map((w) => [`${w.domain}-${w.server}`, w]));
  for (const w of writers) {
    const known = newest.get(`${w.domain}-${w.server}`);
    if (known === undefined || known.sequence < w.sequence) newest.set(`${w.domain}-${w.server}`, w);
  }
  const log = { newest: first.log.newest, writers: [...newest.values()] };
  return recentObjects(ports.bucket, place, log, ports.clock.nowMs());
}
