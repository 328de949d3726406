/** Plausible bugs of a plane that looks after PostgreSQL: the simulator must catch every one. */
import type { DbTarget } from '../../lambdas/cloud/ports.ts';
import { compareLsn } from '../../lambdas/model/lsn.ts';
import type { SyncState } from '../../lambdas/model/quorum.ts';
import type { Probe } from '../../lambdas/model/view.ts';
import { failover } from '../../lambdas/failover/steps.ts';
import type { FailoverState } from '../../lambdas/failover/state.ts';
import type { Capability, Step } from '../../lambdas/recovery/step.ts';
import { positionOf } from '../../test/fakes/postgres-cluster.ts';
import { SABOTAGES, ledgerSays } from '../sabotage.ts';
import type { Sabotage } from '../sabotage.ts';
import type { World } from '../world.ts';
import { SimPostgres } from './cluster.ts';

function modelOf({ database }: World): SimPostgres {
  if (database instanceof SimPostgres) return database;
  throw new Error('this sabotage is for worlds of PostgreSQL');
}

/** A failover that promotes whom `better` prefers, and nobody else. */
function choosing(
  w: World,
  better: (a: FailoverState['told'][string], b: FailoverState['told'][string]) => number,
): void {
  const choose: Step<FailoverState> = async ({ told }) => {
    const [first] = Object.entries(told).toSorted(([, a], [, b]) => better(a, b));
    return first === undefined ? { path: 'on' } : { path: 'on', candidate: first[0] };
  };
  const steps = { ...failover.steps, Choose: choose };
  w.functions.capabilities.failover = { ...failover, steps } as unknown as Capability<never>;
}

/** Of those for every engine, the ones that PostgreSQL's nights catch too. */
const SHARED = ['leave the record out', 'drop the epoch check', 'ignore the brake'];

const OWN: readonly Sabotage[] = [
  {
    name: 'skip the fence: believe that standbys are detached',
    caughtBy: 12,
    breaks: ['3', 'writes'],
    spoil: (w) => {
      const pg = modelOf(w);
      w.intercept = async ({ actor, operation, args }, go) => {
        if (operation === 'admin.detach') return positionOf(pg.diskOf(pg.server((args[0] as DbTarget).instanceId)));
        const answer = await go();
        if (operation !== 'prober.probe' || actor.execution === null) return answer;
        const probe = answer as Probe;
        if (probe.kind !== 'answered' || probe.status.engine !== 'postgres') return probe;
        return { ...probe, status: { ...probe.status, receiver: null, followsHost: null } };
      };
    },
  },
  {
    name: 'trust one standby fewer for the fence',
    caughtBy: 114,
    breaks: ['3', 'writes'],
    spoil: (w) => {
      const fewer = (sync: SyncState | null): SyncState | null =>
        sync && { ...sync, sets: sync.sets.map((s) => ({ ...s, need: s.need === 0 ? 0 : s.need + 1 })) };
      ledgerSays(w, ({ execution }, ledger) => (execution === null ? ledger : { ...ledger, sync: fewer(ledger.sync) }));
      const go = w.intercept;
      w.intercept = async (call, next) => {
        if (call.operation === 'ledger.setSync' && call.actor.execution !== null) call.args[1] = w.ledger().sync;
        return go === null ? next() : go(call, next);
      };
    },
  },
  {
    name: 'compare LSN before timeline',
    caughtBy: 10,
    breaks: ['writes'],
    spoil: (w) => choosing(w, (a, b) => compareLsn(b.lsn, a.lsn) || b.timeline - a.timeline),
  },
  {
    name: 'promote whoever is behind',
    breaks: ['writes'],
    spoil: (w) => choosing(w, (a, b) => a.timeline - b.timeline || compareLsn(a.lsn, b.lsn)),
  },
  {
    name: 'wait for a standby that is gone',
    breaks: ['liveness'],
    spoil: (w) => {
      w.intercept = ({ actor, operation }, go) =>
        operation === 'admin.setSync' && actor.execution === null ? Promise.resolve() : go();
    },
  },
  {
    name: 'change the setting and not the ledger',
    breaks: ['3', 'writes'],
    spoil: (w) => {
      w.intercept = ({ operation }, go) => (operation === 'ledger.setSync' ? Promise.resolve() : go());
    },
  },
  {
    name: 'promote before the ledger names the writer',
    breaks: ['3'],
    spoil: (w) => {
      w.intercept = ({ actor, operation }, go) =>
        operation === 'ledger.setWriter' && actor.execution !== null ? Promise.resolve(w.ledger().epoch) : go();
    },
  },
  {
    name: 'rejoin without a rewind',
    breaks: ['liveness'],
    spoil: (w) => {
      w.intercept = ({ operation, args }, go) => {
        if (operation === 'hosts.start' && args[1] === 'postgres-join') args[1] = 'postgres-start';
        return go();
      };
    },
  },
];

export const POSTGRES_SABOTAGES: readonly Sabotage[] = [
  ...SABOTAGES.filter((s) => SHARED.includes(s.name)),
  ...OWN,
].map((s) => ({ ...s, engine: 'postgres' }));
