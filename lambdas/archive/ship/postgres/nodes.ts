/** Looks at the nodes: who answers, and whether the node that is streamed from is still the right one. */
import type { DbCredentials, DbTarget } from '../../../cloud/ports.ts';
import type { ClusterSpec } from '../../../model/spec.ts';
import type { ShipRun } from '../run.ts';
import type { PostgresShipPorts } from './ports.ts';
import type { AnsweringNode } from './source.ts';
import { isWriter } from './source.ts';

const PROBE_MS = 1500;
const LOOK_MS = 3000;

/** Nodes that run and answer. */
export async function answeringNodes(
  ports: PostgresShipPorts,
  spec: ClusterSpec,
  credentials: DbCredentials,
): Promise<readonly AnsweringNode[]> {
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
  return answers.flat();
}

/**
 * Looks beside the stream every few seconds: is the ledger's writer another one by now, or does it answer again. `reasonToLeave`
 * is the last look's; a look that fails changes nothing.
 */
export function isCurrent(
  ports: PostgresShipPorts,
  run: ShipRun,
  credentials: DbCredentials,
  { node, writer }: { readonly node: AnsweringNode; readonly writer: string | null },
): { reasonToLeave(): string | null; stop(): Promise<void> } {
  let reason: string | null = null;
  let over = false;
  const look = async (): Promise<void> => {
    const { cluster: ledger } = await ports.ledger.read(run.spec.name);
    if (ledger.writer !== writer) {
      reason = `the writer is ${ledger.writer ?? 'nobody'} now, no longer ${writer ?? 'nobody'}`;
      return;
    }
    if (isWriter(node, writer)) return;
    const answering = await answeringNodes(ports, run.spec, credentials);
    if (answering.some((other) => isWriter(other, writer))) reason = `the writer ${writer} answers again`;
  };
  const looking = (async () => {
    while (!over && reason === null) {
      await ports.clock.sleep(LOOK_MS);
      if (!over) await look().catch((error: unknown) => run.log.warn('the writer could not be looked up', { error }));
    }
  })();
  return {
    reasonToLeave: () => reason,
    stop: async () => {
      over = true;
      void looking;
    },
  };
}
