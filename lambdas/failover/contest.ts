/** What the pure decisions of a failover look at, gathered from the state and from what was just read. */
import { standingAcceptance } from '../model/ledger.ts';
import type { ClusterLedger } from '../model/ledger.ts';
import type { ClusterSpec } from '../model/spec.ts';
import type { Instance } from '../model/view.ts';
import type { StepContext } from '../recovery/step.ts';
import type { Contest } from './choose-candidate.ts';
import type { FenceView } from './fence-proof.ts';
import type { FailoverState, Told } from './state.ts';
import { postgresOf } from './steps/claim.ts';

export type Tellings = Readonly<Record<string, Told>>;

export const contestOf = (state: FailoverState, spec: ClusterSpec, ledger: ClusterLedger, told: Tellings): Contest => ({
  cluster: spec.name,
  told,
  remembered: state.remembered,
  old: ledger.writer,
  revived: isPrimarysOwn(state) ? state.revived : null,
  sync: ledger.sync,
  engine: postgresOf(spec),
  position: ledger.position,
  accept: state.accept ?? standingAcceptance(ledger)?.node ?? null,
  maintenance: ledger.maintenance?.node ?? null,
});

/**
 * Named by EC2 as the primary's when it still described it. A volume that only lay there, the one in its zone, may be a replica's: what that
 * says of its place counts, and says nothing of the primary's.
 */
const isPrimarysOwn = ({ volume, lost }: FailoverState): boolean => volume !== null && volume === lost?.volume;

export const fenceViewOf = (
  state: FailoverState,
  spec: ClusterSpec,
  ledger: ClusterLedger,
  found: { readonly told: Tellings; readonly primaries: readonly string[]; readonly hosts: Hosts },
): FenceView => ({
  durability: postgresOf(spec).durability,
  sync: ledger.sync,
  old: ledger.writer,
  ended: found.hosts.ended,
  // A candidate that was given up had been detached from the primary before it, and nobody attaches it again.
  detached: new Set([
    ...Object.keys(found.told),
    ...Object.keys(state.remembered).filter((id) => id !== ledger.writer),
  ]),
  otherPrimaries: new Set(found.primaries.filter((id) => id !== ledger.writer)),
  live: new Set(found.hosts.instances.filter((i) => !isEnded(i)).map((i) => i.id)),
});

/** What EC2 says of the cluster's hosts. */
export interface Hosts {
  readonly instances: readonly Instance[];
  /** Those that the ledger names and that EC2 has stopped or terminated, or does not know. */
  readonly ended: ReadonlySet<string>;
}

const isEnded = (i: Instance): boolean => i.state === 'stopped' || i.state === 'terminated';

/** An instance that lost its tag is missing among the cluster's and may run all the same: it is asked for by its id. */
export async function hostsOf(
  { ports, cluster }: StepContext,
  ledger: ClusterLedger,
  ofCluster?: readonly Instance[],
): Promise<Hosts> {
  const instances = ofCluster ?? (await ports.instances.ofCluster(cluster));
  const named = [...new Set([ledger.writer ?? [], ledger.sync?.sets.map((s) => s.standbys) ?? []].flat(2))];
  const missing = named.filter((id) => !instances.some((i) => i.id === id));
  const others = missing.length === 0 ? [] : await ports.instances.byIds(missing);
  const known = [...instances, ...others];
  const ended = named.filter((id) => known.find((i) => i.id === id && !isEnded(i)) === undefined);
  return { instances, ended: new Set(ended) };
}
