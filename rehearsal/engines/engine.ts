/** What differs by engine in a rehearsal: the hosts' database, the first cluster, what is looked at and what is proven. */
import type { ClusterLedger } from '../../lambdas/model/ledger.ts';
import type { EngineKind } from '../../lambdas/model/spec.ts';
import type { Probe } from '../../lambdas/model/view.ts';
import type { DirectAcknowledgement } from '../client/direct.ts';
import type { Login, Server } from '../client/sessions/session.ts';
import type { HostFacts, PreparedHost } from '../cloud/hosts-machine.ts';
import type { Hosts } from '../cloud/hosts.ts';
import type { Accounting } from '../report.ts';

/** A node as the observer has just probed it. */
export interface ProbedNode {
  readonly id: string;
  readonly address: string;
  readonly probe: Probe;
}

/** What every node holds at the end, against what the client was told. */
export interface Comparison {
  readonly accounting: Accounting;
  /** Rows of the application's table on each node, by instance id. */
  readonly rows: ReadonlyMap<string, number>;
  /** Directly acknowledged rows that the final primary lacks, as `node/sequence`. */
  readonly directLost: readonly string[];
  /** What differs between the nodes; empty when all hold the same. */
  readonly differences: readonly string[];
}

export interface Journaled {
  readonly acknowledged: readonly number[];
  readonly direct: readonly DirectAcknowledgement[];
}

export interface Engine {
  readonly kind: EngineKind;
  /** For people. */
  readonly title: string;
  readonly port: number;
  /** Ports that the nodes use among themselves, beside it. */
  readonly peerPorts: readonly number[];
  readonly probeUser: { readonly user: string; readonly password: string };
  readonly app: Login;
  /** Are there writers that go straight to every node: where only one node may take writes. */
  readonly directWriters: boolean;
  /** May acknowledged writes be lost, and how much WAL at most; null: none. */
  readonly declaredLossBytes: number | null;
  /** What a platform team writes as `engine` of a cluster. */
  specification(): Readonly<Record<string, unknown>>;
  /** Makes ahead what new hosts start from. */
  prepareTemplate(): Promise<unknown>;
  prepareHost(facts: HostFacts): Promise<PreparedHost>;
  /** Starts the database of freshly launched hosts, by hand and with the same scripts that Rejoin uses; makes the tables. */
  startCluster(hosts: Hosts, ids: readonly string[]): Promise<void>;
  /** What a host does by itself beside its database; answers how to end it. */
  tend(hosts: Hosts, onTrouble: (what: string, error: unknown) => void): () => void;
  stopDatabase(hosts: Hosts, id: string): Promise<void>;
  /** As an engineer who has ended the work on a node. `serving` are the nodes that serve, `writer` the one that is written to. */
  startDatabase(hosts: Hosts, id: string, serving: readonly ProbedNode[], writer: string): Promise<void>;
  /** Is it a working part of the cluster. */
  serves(node: ProbedNode, all: readonly ProbedNode[], ledger: ClusterLedger): boolean;
  /** What is not as declared, beside nodes that do not serve; empty when all is well. */
  problems(nodes: readonly ProbedNode[], ledger: ClusterLedger): readonly string[];
  /** A node's database in a word or three. */
  inWords(probe: Probe): string;
  /** Members that the node sees; null where that is no question. */
  clusterSize(probe: Probe): number | null;
  /** Runs SQL on one node as the application does. */
  query(address: string, sql: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** How finely the log tells moments apart, which a restore to a moment can be no finer than. */
  readonly logPrecisionMs: number;
  compare(journal: Journaled, nodes: readonly ProbedNode[], writer: string | null): Promise<Comparison>;
  /** A command line that opens a shell on the database. */
  shell(server: Server): string;
  /** What is not as in production, for the report. */
  readonly emulated: readonly string[];
}
