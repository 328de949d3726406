import { Metrics as PowertoolsMetrics } from '@aws-lambda-powertools/metrics';
import type { Metrics } from './ports.ts';

/**
 * Counters and measured values in CloudWatch's embedded format, by Powertools (namespace and service from its environment variables). Each is
 * written at once: nothing is lost when a function is killed, and nobody has to remember to flush.
 */
export function powertoolsMetrics(metrics: PowertoolsMetrics = new PowertoolsMetrics()): Metrics {
  const write: Metrics['gauge'] = (name, value, unit, dimensions = {}) => {
    const single = metrics.singleMetric();
    for (const [key, text] of Object.entries(dimensions)) single.addDimension(key, text);
    single.addMetric(name, unit, value);
  };
  return {
    count: (name, value = 1, dimensions = {}) => write(name, value, 'Count', dimensions),
    gauge: write,
  };
}
