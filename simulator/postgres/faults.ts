/** What befalls a PostgreSQL cluster beside what befalls every cluster. */
import { FAULTS, passing, running, some, writer } from '../faults.ts';
import type { Fault } from '../faults.ts';
import type { World } from '../world.ts';
import type { RecoveryInput } from '../../lambdas/model/recovery.ts';
import type { SimPostgres } from './cluster.ts';

/** The instance and its volume. */
export function loses(w: World, id: string | undefined): string | null {
  if (id === undefined) return null;
  const instance = w.aws.instances.get(id);
  if (instance === undefined) return null;
  const volumes = instance.volumes.map((v) => ({ ...v, deleteOnTermination: true }));
  w.aws.instances.set(id, { ...instance, volumes });
  w.database.crash(id);
  void w.cloud.instances.terminate(id);
  return `${id} is lost with its volume`;
}

/** A person starts a workflow by hand, by its mode. */
export function byHand(w: World, mode: RecoveryInput['mode'], node: string | null): string {
  const name = `manual-${w.aws.nextNumber()}`;
  const input = { cluster: w.spec.name, incident: name, mode, node, reason: 'a person wants it' } as const;
  void w.cloud.workflows.start(name, input).then((arn) => w.functions.begin(arn));
  return `a person starts the ${mode} ${name}`;
}

export const faultsOf = (pg: SimPostgres): Readonly<Record<string, Fault>> => ({
  ...FAULTS,
  loseNode: (w) => loses(w, some(w)),
  loseWriter: (w) => loses(w, writer(w)),
  holdStream: (w) => {
    const id = some(w);
    if (id === undefined) return null;
    const ms = w.random.int(2000, 60_000);
    pg.heldUntilMs.set(id, w.clock.nowMs() + ms);
    return `the stream of ${id} stands still for ${ms} ms`;
  },
  holdThenLoseWriter: (w) => {
    const primary = writer(w);
    const other = w.random.pick(running(w).filter((i) => i.id !== primary))?.id;
    if (primary === undefined || other === undefined) return null;
    pg.heldUntilMs.set(other, w.clock.nowMs() + 8000);
    w.clock.in(4000, () => {
      w.unattended.struck();
      w.database.crash(primary);
    });
    return `the stream of ${other} stands still, and 4 s later the database on ${primary} is killed`;
  },
  writerCutOff: (w) => {
    const id = writer(w);
    if (id === undefined) return null;
    passing(w, w.unseen, id, 5000, 90_000);
    if (w.random.chance(0.7)) passing(w, w.isolated, id, 5000, 90_000);
    return `the primary ${id} is cut off, and its clients are not`;
  },
  acceptLoss: (w) => {
    const node = some(w);
    if (node === undefined) return null;
    void w.functions.operate({ action: 'accept-loss', cluster: w.spec.name, node, by: 'sim' });
    return `a person accepts the loss with ${node}, whether or not anything is lost`;
  },
  manualSwitchover: (w) => byHand(w, 'switchover', null),
  manualFailover: (w) => byHand(w, 'failover', writer(w) ?? null),
  rolling: (w) => {
    const { id } = w.spec.launchTemplate;
    const { latest } = w.aws.templates.get(id) ?? { latest: 1 };
    w.aws.templates.set(id, { default: latest + 1, latest: latest + 1 });
    return byHand(w, 'rolling', null);
  },
});
