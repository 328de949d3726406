/** Plausible bugs of a failover that may lose something, put into nights of asynchronous clusters. */
import { comparePosition } from '../../lambdas/model/lsn.ts';
import type { Instance } from '../../lambdas/model/view.ts';
import type { FailoverState } from '../../lambdas/failover/state.ts';
import { failover } from '../../lambdas/failover/steps.ts';
import { choose } from '../../lambdas/failover/steps/choose.ts';
import type { Capability, Step } from '../../lambdas/recovery/step.ts';
import type { SwitchoverState } from '../../lambdas/switchover/state.ts';
import { switchover } from '../../lambdas/switchover/steps.ts';
import { promote } from '../../lambdas/switchover/steps/promote.ts';
import type { Sabotage } from '../sabotage.ts';
import type { World } from '../world.ts';

/** The failover chooses as it does, from less than it was told. */
function choosingFrom(w: World, known: (told: FailoverState['told']) => FailoverState['told']): void {
  const chooses: Step<FailoverState> = (state, context) => choose({ ...state, told: known(state.told) }, context);
  const steps = { ...failover.steps, Choose: chooses };
  w.functions.capabilities.failover = { ...failover, steps } as unknown as Capability<never>;
}

const withoutTheBest = (told: FailoverState['told']): FailoverState['told'] => {
  const sorted = Object.entries(told).toSorted(([, a], [, b]) => comparePosition(a, b));
  return Object.fromEntries(sorted.length > 1 ? sorted.slice(0, -1) : sorted);
};

const OWN: readonly Sabotage[] = [
  {
    name: "async: promote without EC2's word",
    caughtBy: 10,
    breaks: ['3'],
    spoil: (w) => {
      w.intercept = async ({ actor, operation }, go) => {
        const answer = await go();
        if (actor.execution?.includes(':failover:') !== true || operation !== 'instances.ofCluster') return answer;
        const { writer } = w.ledger();
        return (answer as readonly Instance[]).map((i) => (i.id === writer ? { ...i, state: 'stopped' } : i));
      };
    },
  },
  {
    name: 'async: promote a node that is behind the other',
    caughtBy: 30,
    breaks: ['writes'],
    spoil: (w) => choosingFrom(w, withoutTheBest),
  },
  {
    name: 'async: a switchover does not wait for the last write',
    caughtBy: 330,
    breaks: ['writes'],
    spoil: (w) => {
      const hasty: Step<SwitchoverState> = (state, context) =>
        promote({ ...state, stopped: state.stopped && { ...state.stopped, lsn: '0/0' } }, context);
      const steps = { ...switchover.steps, Promote: hasty };
      w.functions.capabilities.switchover = { ...switchover, steps } as unknown as Capability<never>;
    },
  },
  {
    name: 'async: note only once where the primary is',
    caughtBy: 5960,
    breaks: ['writes'],
    spoil: (w) => {
      w.intercept = ({ operation }, go) =>
        operation === 'ledger.notePosition' && w.ledger().position !== null ? Promise.resolve() : go();
    },
  },
  {
    name: 'async: say that nothing is lost',
    caughtBy: 50,
    breaks: ['12'],
    spoil: (w) => {
      w.intercept = ({ operation, args }, go) => {
        const entry = args[3] as { what: string; why: string } | undefined;
        if (operation === 'ledger.record' && entry?.what.startsWith('chooses ') === true)
          args[3] = { ...entry, why: 'it has everything' };
        return go();
      };
    },
  },
];

export const ASYNC_SABOTAGES: readonly Sabotage[] = OWN.map((s) => ({ ...s, engine: 'postgres', durability: 'async' }));
