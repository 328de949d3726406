import type { Log, Metrics } from '../../lambdas/cloud/ports.ts';

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly extra: Readonly<Record<string, unknown>>;
}

export class FakeLog implements Log {
  readonly lines: LogLine[] = [];
  info(message: string, extra: Record<string, unknown> = {}): void {
    this.lines.push({ level: 'info', message, extra });
  }
  warn(message: string, extra: Record<string, unknown> = {}): void {
    this.lines.push({ level: 'warn', message, extra });
  }
  error(message: string, extra: Record<string, unknown> = {}): void {
    this.lines.push({ level: 'error', message, extra });
  }
}

export class FakeMetrics implements Metrics {
  readonly counts: {
    readonly name: string;
    readonly value: number;
    readonly dimensions: Readonly<Record<string, string>>;
  }[] = [];
  count(name: string, value = 1, dimensions: Readonly<Record<string, string>> = {}): void {
    this.counts.push({ name, value, dimensions });
  }
  readonly gauges: {
    readonly name: string;
    readonly value: number;
    readonly unit: string;
    readonly dimensions: Readonly<Record<string, string>>;
  }[] = [];
  gauge(name: string, value: number, unit: string, dimensions: Readonly<Record<string, string>> = {}): void {
    this.gauges.push({ name, value, unit, dimensions });
  }
  /** Sum over all dimensions. */
  total(name: string): number {
    return this.counts.filter((c) => c.name === name).reduce((sum, c) => sum + c.value, 0);
  }
}
