/** Looks at the nodes: who answers, and whether the node that is streamed from is still the right one. */
import type { DbCredentials, DbTarget } from '../../../cloud/ports.ts';
import type { ClusterSpec } from '../../../model/spec.ts';
import type { ShipRun } from '../run.ts';
import type { PostgresShipPorts } from './ports.ts';
import type { AnsweringNode } from './source.ts';
import { isWriter } from './source.ts';

const PROBE_MS = 1500;
/** Between two looks: a tenth of the RPO within these, for what an object covers waits for one. */
const LOOK_MS = { least: 500, most: 3000 } as const;

/** Nodes that run and answer. */
export const answeringNodes = async (...asked: Parameters<typeof runningNodes>): Promise<readonly AnsweringNode[]> =>
  (await runningNodes(...asked)).answering;

/** `silent`: their instances run, and they do not answer. */
export async function runningNodes(
  ports: PostgresShipPorts,
  spec: ClusterSpec,
  credentials: DbCredentials,
): Promise<{ readonly answering: readonly AnsweringNode[]; readonly silent: readonly string[] }> {
  const { kind: engine, port, tls } = spec.engine;
  const running = (await ports.instances.ofCluster(spec.name)).filter((i) => i.state === 'running');
  const asked = running.flatMap(({ id, privateIp }): DbTarget[] =>
    privateIp === null ? [] : [{ instanceId: id, host: privateIp, port, engine, tls, deadlineMs: PROBE_MS }],
  );
  const answers = await Promise.all(
    asked.map(async (target): Promise<readonly AnsweringNode[]> => {
      const probe = await ports.prober.probe(target, credentials);
      return probe.kind === 'answered' && probe.status.engine === 'postgres' ? [{ target, status: probe.status }] : [];
    }),
  );
  const answering = answers.flat();
  const silent = running.filter(({ id }) => !answering.some((n) => n.target.instanceId === id));
  return { answering, silent: silent.map(({ id }) => id) };
}

export interface Watched {
  readonly node: AnsweringNode;
  /** The ledger's, when the go began. */
  readonly writer: string | null;
  /** What the node has said until now; the answer is called when the ledger, read after that, names the same writer. */
  readonly attested: () => () => void;
}

export interface Current {
  /** The last look's. */
  reasonToLeave(): string | null;
  /** Besides those of each few seconds. */
  look(): Promise<void>;
  stop(): void;
}

/**
 * Looks beside the stream every few seconds: is the ledger's writer another one by now, or does it answer again. A look that fails
 * changes nothing.
 */
export function isCurrent(
  ports: PostgresShipPorts,
  run: ShipRun,
  credentials: DbCredentials,
  { node, writer, attested }: Watched,
): Current {
  let reason: string | null = null;
  let over = false;
  const see = async (): Promise<void> => {
    const confirm = attested();
    const { cluster: ledger } = await ports.ledger.read(run.spec.name);
    if (ledger.writer !== writer) {
      reason = `the writer is ${ledger.writer ?? 'nobody'} now, no longer ${writer ?? 'nobody'}`;
      return;
    }
    confirm();
    if (isWriter(node, writer)) return;
    const answering = await answeringNodes(ports, run.spec, credentials);
    if (answering.some((other) => isWriter(other, writer))) reason = `the writer ${writer} answers again`;
  };
  const look = (): Promise<void> =>
    see().catch((error: unknown) => run.log.warn('the writer could not be looked up', { error }));
  const everyMs = Math.min(LOOK_MS.most, Math.max(LOOK_MS.least, run.archive.rpoSeconds * 100));
  void (async () => {
    while (!over && reason === null) {
      await ports.clock.sleep(everyMs);
      if (!over) await look();
    }
  })();
  return { reasonToLeave: () => reason, look, stop: () => void (over = true) };
}
