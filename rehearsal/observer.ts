/**
 * Looks at the world from outside the control plane, several times a second: every database directly, the balancers'
 * targets, the DNS server's answer and the ledger. What scenarios wait for, and what the report's end state says.
 */
import { Resolver } from 'node:dns/promises';
import { DescribeTargetHealthCommand, ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import type { Ledger } from '../lambdas/cloud/ports.ts';
import { databaseProber } from '../lambdas/engines/prober.ts';
import { EMPTY_LEDGER, type ClusterLedger } from '../lambdas/model/ledger.ts';
import type { Hosts, HostView } from './cloud/hosts.ts';
import type { AdminConfig } from './cloud/cloud.ts';
import type { Engine, ProbedNode } from './engines/engine.ts';
import type { Environment } from './environment.ts';

export interface ObservedNode extends ProbedNode {
  readonly ec2: HostView['state'];
  /** A working part of the cluster, as its engine understands it. */
  readonly synced: boolean;
}

export interface ObservedTarget {
  readonly id: string;
  readonly state: string;
}

export interface WorldState {
  readonly nodes: readonly ObservedNode[];
  readonly writerTargets: readonly ObservedTarget[];
  readonly readTargets: readonly ObservedTarget[];
  /** Address that the writer's name resolves to. */
  readonly dnsWriter: string | null;
  readonly ledger: ClusterLedger;
  /** What is not as declared, in the engine's words (`Engine.problems`). */
  readonly problems: readonly string[];
}

export interface ObserverOptions {
  readonly admin: AdminConfig;
  readonly environment: Environment;
  readonly hosts: Hosts;
  readonly dns: { readonly address: string; readonly port: number };
  readonly cluster: string;
  readonly engine: Engine;
  /** Null until the table is deployed. */
  readonly ledger: Ledger | null;
}

/** A donor that the plane chose, and who else could have been chosen at that moment. */
export interface DonorChoice {
  readonly donor: string;
  readonly writer: string | null;
  readonly synced: readonly string[];
}

export interface Observer {
  state(): WorldState;
  /** Every writer that the ledger has named, in order; the same one again when another was in between. */
  writers(): readonly string[];
  donors(): readonly DonorChoice[];
  stop(): Promise<void>;
}

const LOOK_EVERY_MS = 150;
/** A frozen database must not slow the looks at the others down for long. */
const PROBE_DEADLINE_MS = 700;

const NOTHING: WorldState = {
  nodes: [],
  writerTargets: [],
  readTargets: [],
  dnsWriter: null,
  ledger: EMPTY_LEDGER,
  problems: [],
};

/** Starts looking. Errors of single looks leave the last answer standing; `onTrouble` hears of them. */
export function startObserver(options: ObserverOptions, onTrouble: (what: string, error: unknown) => void): Observer {
  const elb = new ElasticLoadBalancingV2Client(options.admin);
  const { engine } = options;
  const prober = databaseProber({ deadlineMs: PROBE_DEADLINE_MS });
  const resolver = new Resolver({ timeout: 1000, tries: 3 }); // the server is in this process, which may be busy
  resolver.setServers([`${options.dns.address}:${options.dns.port}`]);
  const name = `${options.cluster}.${options.environment.zoneName}`;
  const donors = new Map<string, DonorChoice>();
  const writers: string[] = [];
  let latest = NOTHING;
  let stopped = false;

  const targets = async (arn: string): Promise<ObservedTarget[]> => {
    const answer = await elb.send(new DescribeTargetHealthCommand({ TargetGroupArn: arn }));
    return (answer.TargetHealthDescriptions ?? []).map((d) => ({
      id: d.Target?.Id ?? '',
      state: d.TargetHealth?.State ?? '',
    }));
  };

  const probed = async (host: HostView): Promise<ProbedNode & Pick<ObservedNode, 'ec2'>> => ({
    id: host.id,
    address: host.address,
    ec2: host.state,
    probe: await prober.probe(
      { instanceId: host.id, host: host.address, port: engine.port, engine: engine.kind },
      engine.probeUser,
    ),
  });

  const dnsWriter = async (): Promise<string | null> => {
    try {
      return (await resolver.resolve4(name))[0] ?? null;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOTFOUND' || code === 'ENODATA') return null;
      throw error;
    }
  };

  const look = async (): Promise<void> => {
    const hosts = options.hosts.list().filter((h) => h.cluster === options.cluster && h.state !== 'terminated');
    const [found, writerTargets, readTargets, dns, state] = await Promise.all([
      Promise.all(hosts.map(probed)),
      targets(options.environment.writerGroupArn),
      targets(options.environment.readGroupArn),
      dnsWriter(),
      options.ledger?.read(options.cluster),
    ]);
    const ledger = state?.cluster ?? EMPTY_LEDGER;
    const nodes = found.map((n) => ({ ...n, synced: engine.serves(n, found, ledger) }));
    const problems = engine.problems(found, ledger);
    latest = { nodes, writerTargets, readTargets, dnsWriter: dns, ledger, problems };
    noteDonor(latest);
    if (ledger.writer !== null && ledger.writer !== writers.at(-1)) writers.push(ledger.writer);
  };

  const noteDonor = ({ ledger, nodes }: WorldState): void => {
    const { claim, writer } = ledger;
    if (claim === null || claim.donor === null) return;
    const key = `${claim.execution} ${claim.joiner} ${claim.donor}`;
    if (donors.has(key)) return;
    const synced = nodes.filter((n) => n.synced && n.id !== claim.joiner).map((n) => n.id);
    donors.set(key, { donor: claim.donor, writer, synced });
  };

  const loop = (async () => {
    while (!stopped) {
      await look().catch((error: unknown) => {
        if (!stopped) onTrouble('a look at the world failed', error);
      });
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  })();

  return {
    state: () => latest,
    writers: () => [...writers],
    donors: () => [...donors.values()],
    stop: async () => {
      stopped = true;
      await loop;
      await prober.close();
      elb.destroy();
    },
  };
}
