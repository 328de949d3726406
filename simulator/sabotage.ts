/** Plausible bugs, each put into the plane from outside: the simulator must catch every one. */
import type { Volume } from '../lambdas/model/volume.ts';
import { CLUSTER_TAG } from '../lambdas/model/spec.ts';
import type { ClusterLedger } from '../lambdas/model/ledger.ts';
import type { BootstrapState } from '../lambdas/bootstrap/state.ts';
import { bootstrapping } from '../lambdas/bootstrap/steps.ts';
import type { Capability, Step } from '../lambdas/recovery/step.ts';
import { replacement } from '../lambdas/replace/steps.ts';
import type { ReplaceState } from '../lambdas/replace/state.ts';
import type { EngineName } from './side.ts';
import type { World } from './world.ts';

export interface Sabotage {
  readonly name: string;
  /** `galera` unless given. */
  readonly engine?: EngineName;
  /** A seed that has caught it; a change of the product may make it another night. */
  readonly caughtBy?: number;
  /** It needs nights of clusters that declare this; of every one unless given. */
  readonly durability?: 'async';
  /** It needs nights with an archive. */
  readonly archive?: boolean;
  /** The rules of which one is expected to be broken. */
  readonly breaks: readonly string[];
  readonly spoil: (world: World) => void;
}

const step = (w: World, name: string, spoiled: Step<ReplaceState>): void => {
  const steps = { ...replacement.steps, [name]: spoiled };
  w.functions.capabilities.replace = { ...replacement, steps } as unknown as Capability<never>;
};

/** The ledger as one who reads it is told. */
export function ledgerSays(
  w: World,
  edit: (actor: { execution: string | null }, ledger: ClusterLedger) => ClusterLedger,
): void {
  w.intercept = async ({ actor, operation }, go) => {
    const answer = await go();
    if (operation !== 'ledger.read') return answer;
    const read = answer as { cluster: ClusterLedger };
    return { ...read, cluster: edit(actor, read.cluster) };
  };
}

export const SABOTAGES: readonly Sabotage[] = [
  {
    name: 'drop the epoch check',
    breaks: ['2'],
    spoil: (w) => {
      const first = new WeakMap<object, unknown>();
      w.intercept = async ({ actor, operation, args }, go) => {
        if (operation === 'ledger.setWriter') args[1] = w.ledger().epoch;
        const seen = first.get(actor);
        if (operation === 'ledger.read' && actor.name === 'reconcile' && seen !== undefined) return seen;
        const answer = await go();
        if (operation === 'ledger.read') first.set(actor, answer);
        return answer;
      };
    },
  },
  {
    name: 'skip the fence',
    breaks: ['3', '5'],
    spoil: (w) => step(w, 'Fence', async () => ({ path: 'on', joiner: null, donor: null, command: null, error: null })),
  },
  {
    name: 'ignore the claim',
    caughtBy: 373,
    breaks: ['5', 'launch'],
    spoil: (w) => {
      ledgerSays(w, ({ execution }, ledger) =>
        execution === null || ledger.claim === null ? ledger : { ...ledger, claim: { ...ledger.claim, execution } },
      );
      const go = w.intercept;
      w.intercept = async (call, next) => {
        if (call.operation === 'ledger.claim') return next().then(null, () => w.ledger().epoch);
        // What is noted on the claim is conditional on holding it: ignored as well.
        if (call.operation === 'ledger.amendClaim') return next().catch(() => undefined);
        return go === null ? next() : go(call, next);
      };
    },
  },
  {
    name: 'bootstrap the lowest seqno',
    breaks: ['4', 'writes'],
    spoil: (w) => {
      const choose = bootstrapping.steps['Choose'];
      if (choose === undefined) throw new Error('the bootstrap has no step Choose: spoil another');
      const lowest: Step<BootstrapState> = async (state, context) => {
        const found = await choose(state, context);
        const worst = state.positions.toSorted((a, b) => a.seqno - b.seqno)[0];
        return { ...found, chosen: worst ?? null };
      };
      const steps = { ...bootstrapping.steps, Choose: lowest };
      w.functions.capabilities.bootstrap = { ...bootstrapping, steps } as unknown as Capability<never>;
    },
  },
  {
    name: 'deduplicate by content',
    breaks: ['12', 'liveness'],
    spoil: (w) => {
      w.intercept = ({ operation, args }, go) => {
        if (operation === 'requests.send') {
          args[0] = (args[0] as readonly { cluster: string }[]).map(({ cluster }) => ({ cluster, cause: cluster }));
        }
        return go();
      };
    },
  },
  {
    name: 'ignore the brake',
    caughtBy: 112,
    breaks: ['7'],
    spoil: (w) => {
      w.intercept = async ({ operation, actor }, go) => {
        const answer = await go();
        if (operation !== 'ledger.read' || actor.execution === null) return answer;
        return {
          ...(answer as object),
          brake: { engaged: false, reason: null, sinceMs: null },
        };
      };
    },
  },
  {
    name: 'use a client token of its own with each launch',
    caughtBy: 75,
    breaks: ['launch'],
    spoil: (w) => {
      w.intercept = ({ operation, args }, go) => {
        if (operation === 'instances.launch')
          args[0] = { ...(args[0] as object), clientToken: `t${w.aws.nextNumber()}` };
        return go();
      };
    },
  },
  {
    name: 'clear up targets that it does not know',
    breaks: ['8'],
    spoil: (w) => {
      w.intercept = ({ operation, args }, go) => {
        const strangers = w.routed('healthy').filter(w.isForeign);
        const port = w.spec.engine.port;
        if (operation === 'targetGroups.deregister' && args[0] === w.groups.healthy)
          args[1] = [...(args[1] as readonly object[]), ...strangers.map((id) => ({ id, port }))];
        return go();
      };
    },
  },
  {
    name: "take any volume of the zone for the lost node's",
    breaks: ['8'],
    spoil: (w) => {
      w.intercept = async ({ operation }, go) => {
        if (operation !== 'volumes.ofCluster' && operation !== 'volumes.byIds') return go();
        const tags = { [CLUSTER_TAG]: w.spec.name };
        const known = (await go()) as readonly Volume[];
        if (operation === 'volumes.byIds') return known.map((v) => ({ ...v, tags }));
        return [...w.aws.volumes.values()]
          .filter((v) => v.tags[CLUSTER_TAG] !== w.spec.name)
          .map((v) => ({ ...v, tags }));
      };
    },
  },
  {
    name: 'register targets for half a minute, to be renewed',
    caughtBy: 33,
    breaks: ['9'],
    spoil: (w) => {
      let renewedMs = w.clock.nowMs();
      const look = (): void => {
        if (w.planeOn) renewedMs = w.clock.nowMs();
        else if (w.clock.nowMs() - renewedMs > 30_000) w.aws.targetGroups.get(w.groups.writer)?.targets.clear();
        w.clock.in(1000, look);
      };
      look();
    },
  },
  {
    name: 'say nothing of volumes that are left',
    breaks: ['liveness'],
    spoil: (w) => {
      w.intercept = ({ operation, args }, go) =>
        operation === 'ledger.record' && /(^|\/)(unused|left)-vol/.test(String(args[2])) ? Promise.resolve() : go();
    },
  },
  {
    name: 'keep the history after a bootstrap that gives up nodes',
    caughtBy: 171,
    breaks: ['writes'],
    spoil: (w) => {
      w.intercept = ({ operation, args }, go) => {
        if (operation === 'hosts.start' && args[1] === 'galera-bootstrap')
          args[2] = { ...(args[2] as object), NewHistory: 'no' };
        return go();
      };
    },
  },
  {
    name: 'leave the record out',
    breaks: ['12'],
    spoil: (w) => {
      w.intercept = ({ operation, actor }, go) =>
        operation === 'ledger.record' && actor.execution !== null ? Promise.resolve() : go();
    },
  },
];
