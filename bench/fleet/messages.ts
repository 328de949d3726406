/**
 * Messages as EventBridge puts them into the queue: a mix of what a bad night brings, the same for the same seed. The kinds are
 * those of karpenter's interruption benchmark (spot interruptions, scheduled changes, state changes, and what says nothing) and
 * the rest of what Rejoin understands.
 */
import {
  type BusEvent,
  instanceStateChange,
  rebalanceRecommendation,
  spotInterruption,
} from '../../rehearsal/cloud/event-samples.ts';
import type { Random } from '../../simulator/random.ts';
import type { Node } from './world.ts';

export const PLACE = { region: 'eu-west-1', account: '123456789012' } as const;

type Make = (node: Node, random: Random) => BusEvent | string;

/** Source: https://docs.aws.amazon.com/health/latest/ug/aws-health-events-eventbridge-schema.html */
const scheduledChange = (node: Node): BusEvent => ({
  source: 'aws.health',
  detailType: 'AWS Health Event',
  resources: [node.id],
  detail: {
    eventArn: 'arn:aws:health:eu-west-1::event/EC2/AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED/1',
    service: 'EC2',
    eventTypeCode: 'AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED',
    eventTypeCategory: 'scheduledChange',
    affectedEntities: [{ entityValue: node.id }],
  },
});

const foreign = (random: Random): Node => ({
  id: `i-f${random
    .int(0, 2 ** 31)
    .toString(16)
    .padStart(16, '0')}`,
  cluster: '',
});

/** With the share of each in a hundred. */
const MIX: readonly (readonly [share: number, make: Make])[] = [
  [25, (node) => spotInterruption('eu-west-1a', node.id)],
  [15, (node) => rebalanceRecommendation(PLACE, node.id)],
  [15, scheduledChange],
  [
    35,
    (node, random) => instanceStateChange(PLACE, node.id, random.pick(['running', 'stopping', 'shutting-down']) ?? ''),
  ],
  [5, (_, random) => instanceStateChange(PLACE, foreign(random).id, 'terminated')],
  [4, () => ({ source: 'aws.ec2', detailType: 'EBS Snapshot Notification', resources: [], detail: {} })],
  [1, () => '{"not": "an event"'],
];

function kindOf(random: Random): Make {
  let left = random.int(0, 99);
  for (const [share, make] of MIX) {
    if (left < share) return make;
    left -= share;
  }
  throw new Error('the shares of the mix are less than a hundred');
}

/** `count` bodies about nodes drawn from `nodes`; each node in turn before any a second time. */
export function messages(count: number, nodes: readonly Node[], random: Random): readonly string[] {
  const order = shuffled(nodes, random);
  return Array.from({ length: count }, (_, n) => {
    const node = order[n % order.length];
    if (node === undefined) throw new Error('a fleet without nodes has no messages');
    const made = kindOf(random)(node, random);
    if (typeof made === 'string') return made;
    return JSON.stringify({
      version: '0',
      id: `event-${n}`,
      'detail-type': made.detailType,
      source: made.source,
      account: PLACE.account,
      time: '2026-01-15T02:00:00Z',
      region: PLACE.region,
      resources: made.resources,
      detail: made.detail,
    });
  });
}

function shuffled<T>(items: readonly T[], random: Random): readonly T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i -= 1) {
    const j = random.int(0, i);
    [result[i], result[j]] = [result[j] as T, result[i] as T];
  }
  return result;
}
