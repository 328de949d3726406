import { SQSClient, GetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import { STEP_FUNCTIONS } from '../variants.ts';
import { waitFor } from '../wait.ts';
import type { World } from '../world.ts';
import { heal } from './healing.ts';
import { both, converges, type Scenario } from './scenario.ts';

const THROTTLED = [
  { service: 'ec2', operation: '*', code: 'RequestLimitExceeded', status: 503 },
  { service: 'elasticloadbalancing', operation: '*', code: 'Throttling', status: 400 },
  { service: 'route53', operation: '*', code: 'Throttling', status: 400 },
  { service: 'dynamodb', operation: '*', code: 'InternalServerError', status: 500 },
  { service: 'ssm', operation: '*', code: 'ThrottlingException', status: 400 },
];
const SHARE = 0.15;
const MALFORMED = 'this is not JSON {';
const UNKNOWN = JSON.stringify({
  version: '0',
  id: 'unknown-1',
  source: 'aws.tax',
  'detail-type': 'Moon Phase',
  detail: {},
});
const DEAD_LETTER_WITHIN_SECONDS = 120;

/**
 * The writer terminates on the worst of nights. The figures are not promises here; that the cluster converges, that one
 * instance is launched and that the unreadable message ends in the dead-letter queue, is.
 */
export const roughNight: Scenario = {
  name: 'rough-night',
  summary:
    'the writer terminates while events come twice, messages are unreadable, AWS throttles and fails, and every workflow step is killed once',
  promises: both(converges(1)),
  run: async (world) => {
    const writer = world.writer();
    const { cloud, timeline } = world;
    timeline.add(
      'fault',
      `events come twice; ${SHARE * 100} % of the plane's calls to EC2, ELB, Route 53, DynamoDB and SSM fail; each workflow step is killed once`,
    );
    cloud.events.setMode('double');
    for (const { service, operation, code, status } of THROTTLED) {
      cloud.faults.add({ service, operation, error: { code, status }, probability: SHARE });
    }
    // Before their first AWS call has happened, after it, or when all is done and only the answer is missing, in turn.
    cloud.kills.everyStep(STEP_FUNCTIONS);
    await cloud.events.injectMessage(world.signalsQueue, MALFORMED);
    await cloud.events.injectMessage(world.signalsQueue, UNKNOWN);
    const measured = await heal(world, [writer], () => world.terminate(writer));
    cloud.faults.clear();
    await waitFor(
      'the unreadable message to lie in the dead-letter queue',
      async () => (await lying(world)) === 1,
      DEAD_LETTER_WITHIN_SECONDS,
    );
    timeline.add(
      'check',
      'the unreadable message lies in the dead-letter queue, the unknown one was dropped and counted',
    );
    return measured;
  },
};

/** Messages in the dead-letter queue of `signals`. */
async function lying(world: World): Promise<number> {
  const sqs = new SQSClient(world.cloud.adminConfig);
  try {
    const answer = await sqs.send(
      new GetQueueAttributesCommand({
        QueueUrl: world.signalsDeadLetters,
        AttributeNames: ['ApproximateNumberOfMessages'],
      }),
    );
    return Number(answer.Attributes?.['ApproximateNumberOfMessages'] ?? 0);
  } finally {
    sqs.destroy();
  }
}
