import * as z from 'zod/mini';
import { clusterName, instanceId, kindOf } from '../signal.ts';

const metric = z.object({ dimensions: z._default(z.record(z.string(), z.string()), {}) });

/**
 * An alarm on one instance (dimension InstanceId) or on one cluster (dimension Cluster, as Rejoin's own metrics have it).
 * A composite alarm and a metric expression have no metric of their own.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
 */
export const alarmStateChange = kindOf(
  { source: 'aws.cloudwatch', detailTypes: ['CloudWatch Alarm State Change'] },
  z.object({
    alarmName: z.string(),
    state: z.object({ value: z.string() }),
    configuration: z.object({
      metrics: z._default(z.array(z.object({ metricStat: z.optional(z.object({ metric })) })), []),
    }),
  }),
  (d) => {
    const dimensions = d.configuration.metrics.map((m) => m.metricStat?.metric.dimensions ?? {});
    const named = (name: string, schema: z.ZodMiniType<string>) =>
      dimensions.flatMap((all) => (schema.safeParse(all[name]).success ? (all[name] ?? []) : []));
    const summary = `alarm ${d.alarmName} is ${d.state.value}`;
    const clusters = named('Cluster', clusterName);
    return clusters.length > 0
      ? { about: 'clusters', clusters, summary }
      : { about: 'instances', instanceIds: named('InstanceId', instanceId), summary };
  },
);
