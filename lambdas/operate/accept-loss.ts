/**
 * A person takes upon themselves what is lost when this node becomes the primary though it is, or may be, behind (safety
 * rule 4). What that is, is in the answer. It is used up by the next change of the writer, and void once the writer serves again.
 */
import type { ClusterLedger, PrimaryPosition } from '../model/ledger.ts';
import { comparePosition, lagBytes } from '../model/lsn.ts';
import type { ClusterSpec } from '../model/spec.ts';
import type { OperatePorts } from './ports.ts';
import { positionsOf } from './positions.ts';
import type { HostPosition } from './positions.ts';

export type Verdict = { readonly accepted: boolean; readonly message: string };

/** Refused with a sentence, or written to the ledger; asking for a reconcile is the caller's. */
export async function acceptLoss(
  { node, by }: { readonly node: string; readonly by: string },
  spec: ClusterSpec,
  ports: OperatePorts,
): Promise<Verdict> {
  const cluster = spec.name;
  const refuse = (message: string): Verdict => ({ accepted: false, message });
  if (spec.engine.kind !== 'postgres') {
    return refuse(
      `${cluster} is a ${spec.engine.kind} cluster: losses are accepted with "giveUp" of its bootstrap; see the runbook`,
    );
  }
  const [instances, { cluster: ledger }] = await Promise.all([
    ports.instances.ofCluster(cluster),
    ports.ledger.read(cluster),
  ]);
  const live = instances.filter((i) => i.state === 'running').map((i) => i.id);
  if (!live.includes(node)) {
    return refuse(`${node} is no running instance of ${cluster}; there are ${live.toSorted().join(', ') || 'none'}`);
  }
  if (ledger.maintenance !== null) {
    return refuse(
      `${ledger.maintenance.node} is in maintenance by ${ledger.maintenance.by}, so no failover starts: end that first with {"action":"maintenance-off"}`,
    );
  }
  const positions = await positionsOf(live, ports);
  const primary = positions.find((p) => p.running && p.primary && p.node === ledger.writer);
  if (primary !== undefined) {
    return refuse(
      `${primary.node} is the primary of ${cluster} and runs: nothing is lost, and nothing needs accepting`,
    );
  }
  const own = positions.find((p) => p.node === node);
  if (own === undefined) {
    return refuse(
      `${node} does not tell its position, so nobody can say what would be lost: bring its host up, then ask again`,
    );
  }
  await ports.ledger.setAccepted(cluster, { node, by, atMs: ports.clock.nowMs() });
  return {
    accepted: true,
    message: [`${by} accepts ${node} as the primary of ${cluster}`, ...story(own, positions, ledger)].join('. '),
  };
}

function story(
  own: HostPosition,
  all: readonly HostPosition[],
  { position, writer }: ClusterLedger,
): readonly string[] {
  const others = all.filter((p) => p.node !== own.node);
  const ahead = others.filter((p) => comparePosition(p, own) > 0);
  return [
    `It is at ${where(own)}${own.exact ? '' : ' or beyond, since its database does not run'}`,
    lossInWords(own, position),
    ahead.length === 0
      ? 'No other host that answered has more'
      : `More advanced: ${ahead.map((p) => `${p.node} at ${where(p)}`).join(', ')}; accept that one instead unless you know why not`,
    `The failover begins when ${writer ?? 'the primary'} is proven to be cut off or stopped`,
  ];
}

const where = ({ timeline, lsn }: HostPosition | PrimaryPosition): string => `timeline ${timeline}, ${lsn}`;

/** Against the primary's last known position; what it wrote after that nobody knows. */
export function lossInWords(own: HostPosition, last: PrimaryPosition | null): string {
  if (last === null) return 'Where the primary was is not known, so neither is what is lost';
  const seen = `${last.node} was last seen at ${where(last)} (${new Date(last.atMs).toISOString()})`;
  const after = `and whatever ${last.node} acknowledged after that and this node has not`;
  if (own.timeline !== last.timeline)
    return `${seen}, on another timeline: lost is everything that only that one has, ${after}`;
  const bytes = lagBytes(last.lsn, own.lsn);
  return bytes === 0
    ? `${seen}: lost is nothing up to there, ${after}`
    : `${seen}: lost are the last ${bytes} bytes of log, ${after}`;
}
