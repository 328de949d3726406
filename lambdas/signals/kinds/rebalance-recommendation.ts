import * as z from 'zod/mini';
import { instanceId, kindOf } from '../signal.ts';

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html */
export const rebalanceRecommendation = kindOf(
  { source: 'aws.ec2', detailTypes: ['EC2 Instance Rebalance Recommendation'] },
  z.object({ 'instance-id': instanceId }),
  (d) => ({
    about: 'instances',
    instanceIds: [d['instance-id']],
    summary: `${d['instance-id']} is at elevated risk of a Spot interruption`,
  }),
);
