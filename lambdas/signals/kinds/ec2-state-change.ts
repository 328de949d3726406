import * as z from 'zod/mini';
import { instanceId, kindOf } from '../signal.ts';

/** The first two that an instance has. One that was stopped comes through them, too. */
const OF_LAUNCHES: readonly string[] = ['pending', 'running'];

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html */
export const ec2StateChange = kindOf(
  { source: 'aws.ec2', detailTypes: ['EC2 Instance State-change Notification'] },
  z.object({ 'instance-id': instanceId, state: z.string() }),
  (d) => ({
    about: 'instances',
    instanceIds: [d['instance-id']],
    summary: `${d['instance-id']} is ${d.state}`,
    ...(OF_LAUNCHES.includes(d.state) ? { isLaunch: true } : {}),
  }),
);
