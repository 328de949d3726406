import type { ElasticLoadBalancingV2Client, TargetDescription } from '@aws-sdk/client-elastic-load-balancing-v2';
import {
  DeregisterTargetsCommand,
  DescribeTargetGroupAttributesCommand,
  DescribeTargetHealthCommand,
  ModifyTargetGroupAttributesCommand,
  RegisterTargetsCommand,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import type { Target, TargetState } from '../model/view.ts';
import type { Lazy } from './clients.ts';
import { aws, isCode } from './errors.ts';
import type { TargetGroups, TargetRef } from './ports.ts';

const toTargets = (refs: readonly TargetRef[]): TargetDescription[] => refs.map((t) => ({ Id: t.id, Port: t.port }));

/** Target groups of Network Load Balancers. Errors as in `errors.ts`. */
export function awsTargetGroups(elb: Lazy<ElasticLoadBalancingV2Client>): TargetGroups {
  const deregister = (groupArn: string, targets: readonly TargetRef[]) =>
    aws('elasticloadbalancing:DeregisterTargets', () =>
      elb().send(new DeregisterTargetsCommand({ TargetGroupArn: groupArn, Targets: toTargets(targets) })),
    );

  return {
    async health(groupArn) {
      const answer = await aws('elasticloadbalancing:DescribeTargetHealth', () =>
        elb().send(new DescribeTargetHealthCommand({ TargetGroupArn: groupArn })),
      );
      return (answer.TargetHealthDescriptions ?? []).map((d): Target => {
        const { Id: id, Port: port } = d.Target ?? {};
        if (id === undefined || port === undefined) {
          throw new Error(`${groupArn} describes a target without id or port: ${JSON.stringify(d.Target)}`);
        }
        return { id, port, state: toState(id, d.TargetHealth?.State) };
      });
    },

    async register(groupArn, targets) {
      if (targets.length === 0) return;
      await aws('elasticloadbalancing:RegisterTargets', () =>
        elb().send(new RegisterTargetsCommand({ TargetGroupArn: groupArn, Targets: toTargets(targets) })),
      );
    },

    async deregister(groupArn, targets) {
      if (targets.length === 0) return;
      try {
        await deregister(groupArn, targets);
      } catch (error) {
        if (!isCode(error, 'InvalidTarget', 'InvalidTargetException')) throw error;
        // One target that is not there (its instance is long gone) must not keep the others in: one by one.
        for (const target of targets) await deregisterOne(target);
      }
      async function deregisterOne(target: TargetRef): Promise<void> {
        try {
          await deregister(groupArn, [target]);
        } catch (error) {
          if (!isCode(error, 'InvalidTarget', 'InvalidTargetException')) throw error;
        }
      }
    },

    async ensureTermination(groupArn, drainSeconds) {
      const answer = await aws('elasticloadbalancing:DescribeTargetGroupAttributes', () =>
        elb().send(new DescribeTargetGroupAttributesCommand({ TargetGroupArn: groupArn })),
      );
      const now = new Map((answer.Attributes ?? []).map((a) => [a.Key, a.Value]));
      const differing = terminationAttributes(drainSeconds).filter((a) => now.get(a.Key) !== a.Value);
      if (differing.length === 0) return false;
      await aws('elasticloadbalancing:ModifyTargetGroupAttributes', () =>
        elb().send(new ModifyTargetGroupAttributesCommand({ TargetGroupArn: groupArn, Attributes: differing })),
      );
      return true;
    },
  };
}

/** https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html */
const terminationAttributes = (drainSeconds: number) => [
  { Key: 'deregistration_delay.timeout_seconds', Value: String(drainSeconds) },
  { Key: 'deregistration_delay.connection_termination.enabled', Value: 'true' },
  { Key: 'target_health_state.unhealthy.connection_termination.enabled', Value: 'true' },
];

const STATES: Readonly<Record<string, TargetState>> = {
  initial: 'initial',
  healthy: 'healthy',
  unhealthy: 'unhealthy',
  // Still registered, and healthy again it takes connections: an old writer in this state has to be deregistered (rule 2).
  'unhealthy.draining': 'unhealthy',
  unused: 'unused',
  draining: 'draining',
  unavailable: 'unavailable',
};

function toState(id: string, name: string | undefined): TargetState {
  const state = STATES[name ?? ''];
  if (state === undefined) {
    throw new Error(
      `the balancer says that ${id} is ${JSON.stringify(name)}, expected ${Object.keys(STATES).join(', ')}`,
    );
  }
  return state;
}
