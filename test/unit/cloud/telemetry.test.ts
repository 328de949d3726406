import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics } from '@aws-lambda-powertools/metrics';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { powertoolsLog } from '../../../lambdas/cloud/log.ts';
import { powertoolsMetrics } from '../../../lambdas/cloud/metrics.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

/** What Powertools writes to the console, parsed. */
function written(method: 'log' | 'info' | 'warn' | 'error'): Record<string, unknown>[] {
  const lines: Record<string, unknown>[] = [];
  vi.spyOn(console, method).mockImplementation((line: string) => {
    lines.push(JSON.parse(line) as Record<string, unknown>);
  });
  return lines;
}

describe('Log', () => {
  it.each(['info', 'warn', 'error'] as const)('%s writes one JSON line with what it was given', (level) => {
    vi.stubEnv('POWERTOOLS_DEV', 'true');
    const lines = written(level);
    const log = powertoolsLog(new Logger({ serviceName: 'signals', logLevel: 'INFO' }));
    log[level]('what happened', { cluster: 'orders', error: new RangeError('why') });
    expect(lines).toMatchObject([
      {
        message: 'what happened',
        cluster: 'orders',
        service: 'signals',
        error: { name: 'RangeError', message: 'why' },
      },
    ]);
    vi.unstubAllEnvs();
  });
});

describe('Metrics', () => {
  it('each count is written at once, with its dimensions', () => {
    vi.stubEnv('POWERTOOLS_DEV', 'true');
    vi.stubEnv('POWERTOOLS_METRICS_DISABLED', 'false');
    const lines = written('log');
    const metrics = powertoolsMetrics(new Metrics({ namespace: 'Rejoin', serviceName: 'signals' }));
    metrics.count('SignalsUnknown');
    metrics.count('Refusals', 3, { Cluster: 'orders' });
    expect(lines).toMatchObject([
      { SignalsUnknown: 1, service: 'signals' },
      { Refusals: 3, Cluster: 'orders', service: 'signals' },
    ]);
    expect(JSON.stringify(lines[1])).toContain('"Namespace":"Rejoin"');
    vi.unstubAllEnvs();
  });
});
