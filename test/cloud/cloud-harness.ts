/** What the tests of the emulated AWS share: an account, a function, and a condition to wait for. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startCloud } from '../../rehearsal/cloud/cloud.ts';
import type { Cloud, CloudOptions } from '../../rehearsal/cloud/cloud.ts';
import type { FunctionSpec } from '../../rehearsal/cloud/contract.ts';
import { PATIENCE } from '../support/patience.ts';

export interface TestCloud {
  readonly cloud: Cloud;
  readonly workDir: string;
  /** SDK configuration of somebody who is not the administrator. */
  readonly userConfig: {
    endpoint: string;
    region: string;
    credentials: { accessKeyId: string; secretAccessKey: string };
  };
  stop(): Promise<void>;
}

export async function startTestCloud(options: Partial<CloudOptions> = {}): Promise<TestCloud> {
  const workDir = mkdtempSync(join(tmpdir(), 'rejoin-cloud-'));
  const cloud = await startCloud({ workDir, ...options });
  return {
    cloud,
    workDir,
    userConfig: { ...cloud.adminConfig, credentials: { accessKeyId: 'AKIATESTUSER', secretAccessKey: 'secret' } },
    async stop() {
      await cloud.stop();
      rmSync(workDir, { recursive: true, force: true });
    },
  };
}

export const workerSpec = (changes: Partial<FunctionSpec> = {}): FunctionSpec => ({
  name: 'worker',
  codeDir: join(import.meta.dirname, 'fixtures', 'functions', 'worker'),
  handler: 'index.handler',
  environment: { GREETING: 'hello' },
  timeoutSeconds: 10,
  memoryMb: 128,
  roleArn: 'arn:aws:iam::123456789012:role/worker',
  ...changes,
});

/** Waits until `look` answers something that is not null. Throws after PATIENCE times `deadlineMs`. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | null> | T | null,
  deadlineMs = 10_000,
): Promise<T> {
  const patientMs = deadlineMs * PATIENCE;
  const until = performance.now() + patientMs;
  for (;;) {
    const seen = await look();
    if (seen !== null) return seen;
    if (performance.now() > until) throw new Error(`${what}: not within ${patientMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The lines that the worker has written about what it handled; one that it is about to write is not there yet. */
export function handled(file: string): Record<string, unknown>[] {
  if (!existsSync(file)) return [];
  const text = readFileSync(file, 'utf8');
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>);
}
