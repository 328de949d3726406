/** Plausible bugs of a plane that AWS refuses. */
import { CloudUnavailable } from '../lambdas/cloud/ports.ts';
import type { Sabotage } from './sabotage.ts';

/** What one who has caught the error to go on would answer: nothing found, nothing to do. */
const NOTHING: Readonly<Record<string, unknown>> = {
  'instances.ofCluster': [],
  'instances.byIds': [],
  'volumes.byIds': [],
  'volumes.ofCluster': [],
  'targetGroups.health': [],
  'hosts.online': [],
};

export const BUDGET_SABOTAGES: readonly Sabotage[] = [
  {
    name: 'swallow a throttling error',
    breaks: ['1', '2', '3', '4', '5', '6', '12', 'launch', 'liveness', 'writes'],
    spoil: (w) => {
      w.intercept = ({ operation }, go) =>
        go().catch((error: unknown) => {
          if (error instanceof CloudUnavailable && error.message.includes('Throttling') && operation in NOTHING)
            return NOTHING[operation];
          throw error;
        });
    },
  },
  {
    name: 'ask again at once until AWS answers',
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
