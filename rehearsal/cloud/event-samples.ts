/** Events as the AWS services send them, for EventBridge. Field names and spellings are AWS's. */

export interface BusEvent {
  readonly source: string;
  readonly detailType: string;
  readonly resources: readonly string[];
  readonly detail: Readonly<Record<string, unknown>>;
  readonly time?: Date;
}

export interface Place {
  readonly region: string;
  readonly account: string;
}

const instanceArn = (at: Place, id: string): string => `arn:aws:ec2:${at.region}:${at.account}:instance/${id}`;

/** Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html */
export const instanceStateChange = (at: Place, instanceId: string, state: string): BusEvent => ({
  source: 'aws.ec2',
  detailType: 'EC2 Instance State-change Notification',
  resources: [instanceArn(at, instanceId)],
  detail: { 'instance-id': instanceId, state },
});

/** Two minutes ahead of the interruption; the ARN has no account here, as in AWS's own sample. */
export const spotInterruption = (zone: string, instanceId: string): BusEvent => ({
  source: 'aws.ec2',
  detailType: 'EC2 Spot Instance Interruption Warning',
  resources: [`arn:aws:ec2:${zone}:instance/${instanceId}`],
  detail: { 'instance-id': instanceId, 'instance-action': 'terminate' },
});

export const rebalanceRecommendation = (at: Place, instanceId: string): BusEvent => ({
  source: 'aws.ec2',
  detailType: 'EC2 Instance Rebalance Recommendation',
  resources: [instanceArn(at, instanceId)],
  detail: { 'instance-id': instanceId },
});

/** Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html */
export const alarmStateChange = (
  at: Place,
  alarmName: string,
  value: 'ALARM' | 'OK',
  metrics: readonly unknown[],
): BusEvent => ({
  source: 'aws.cloudwatch',
  detailType: 'CloudWatch Alarm State Change',
  resources: [`arn:aws:cloudwatch:${at.region}:${at.account}:alarm:${alarmName}`],
  detail: {
    alarmName,
    configuration: { metrics },
    state: { value, reason: 'rehearsal' },
    previousState: { value: value === 'ALARM' ? 'OK' : 'ALARM', reason: 'rehearsal' },
  },
});
