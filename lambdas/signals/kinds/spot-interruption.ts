import * as z from 'zod/mini';
import { instanceId, kindOf } from '../signal.ts';

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html */
export const spotInterruption = kindOf(
  { source: 'aws.ec2', detailTypes: ['EC2 Spot Instance Interruption Warning'] },
  z.object({ 'instance-id': instanceId, 'instance-action': z.string() }),
  (d) => ({
    about: 'instances',
    instanceIds: [d['instance-id']],
    summary: `Spot will ${d['instance-action']} ${d['instance-id']} in two minutes`,
  }),
);
