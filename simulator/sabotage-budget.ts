/** Plausible bugs of a plane that AWS refuses. */
import { CloudUnavailable } from '../lambdas/cloud/ports.ts';
import type { Sabotage } from './sabotage.ts';

export const BUDGET_SABOTAGES: readonly Sabotage[] = [
  {
    name: 'swallow a throttling error of the ledger',
    caughtBy: 215,
    breaks: ['12'],
    spoil: (w) => {
      w.intercept = ({ operation }, go) =>
        go().catch((error: unknown) => {
          if (operation === 'ledger.record' && error instanceof CloudUnavailable) return undefined;
          throw error;
        });
    },
  },
  {
    name: 'ask again at once until AWS answers',
    caughtBy: 367,
    breaks: ['budget'],
    spoil: ({ account }) => {
      account.attemptsOf = () => 1000;
      account.backoffMs = () => 50;
    },
  },
  {
    name: 'look at the cluster all the time',
    breaks: ['budget'],
    spoil: (w) => {
      w.intercept = async ({ operation, actor }, go) => {
        const answer = await go();
        // Each look is a hundred of them.
        if (operation === 'instances.ofCluster' && actor.name === 'reconcile')
          for (let i = 0; i < 100; i += 1) await go();
        return answer;
      };
    },
  },
];
