import * as z from 'zod/mini';
import { instanceId, kindOf } from '../signal.ts';

/** https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html */
export const autoscalingTerminate = kindOf(
  {
    source: 'aws.autoscaling',
    detailTypes: ['EC2 Instance-terminate Lifecycle Action', 'EC2 Instance Terminate Successful'],
  },
  z.object({ EC2InstanceId: instanceId, AutoScalingGroupName: z.string() }),
  (d) => ({
    about: 'instances',
    instanceIds: [d.EC2InstanceId],
    summary: `Auto Scaling group ${d.AutoScalingGroupName} terminates ${d.EC2InstanceId}`,
  }),
);
