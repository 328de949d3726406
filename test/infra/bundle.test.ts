import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { BundleSize } from '../../scripts/bundle.ts';
import { RECONCILE_LIMIT_BYTES, bundle, markSchemasPure } from '../../scripts/bundle.ts';
import { decode, encode, encodingExists, getDecoder } from '../../scripts/shims/iconv-lite.ts';
import { FUNCTION_NAMES } from '../../lib/names.ts';
import { temporary } from './fixture.ts';
import { DEFAULT_QUOTAS } from '../../lib/capabilities/reconcile.ts';

const outDir = temporary('bundle');
let sizes: readonly BundleSize[] = [];

beforeAll(async () => {
  sizes = await bundle(outDir);
});

/** Loads a bundle as Lambda does, in a process of its own, with the environment that it insists on. */
function load(name: string): string {
  const script = `const m = await import(${JSON.stringify(join(outDir, name, 'index.mjs'))}); process.stdout.write(typeof m.handler); process.exit(0);`;
  const variables = [
    'LEDGER_TABLE',
    'SIGNALS_QUEUE_URL',
    'RECONCILE_QUEUE_URL',
    'NOTIFY_TOPIC_ARN',
    'DOCUMENT_PREFIX',
    'REPLACE_STATE_MACHINE_ARN',
    'BOOTSTRAP_STATE_MACHINE_ARN',
    'FAILOVER_STATE_MACHINE_ARN',
    'SWITCHOVER_STATE_MACHINE_ARN',
    'BACKUP_STATE_MACHINE_ARN',
    'DRILL_STATE_MACHINE_ARN',
    'ARCHIVE_BUCKET',
    'AWS_LAMBDA_FUNCTION_NAME',
  ];
  const env = {
    ...Object.fromEntries(variables.map((v) => [v, 'x'])),
    PACE: JSON.stringify(DEFAULT_QUOTAS),
    PROBE_INTERVAL_MS: '1000',
    SWEEP_SECONDS: '180',
    AWS_REGION: 'eu-west-1',
    PATH: process.env['PATH'] ?? '',
  };
  return execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', env });
}

describe('bundles', () => {
  it('are made for every function that the plane deploys', () => {
    expect(sizes.map((s) => s.name).sort()).toEqual([...FUNCTION_NAMES].sort());
  });

  it('stay within 1.2 MB minified, reconcile first of all', () => {
    const reconcile = sizes.find((s) => s.name === 'reconcile');
    expect(reconcile?.bytes).toBeLessThan(RECONCILE_LIMIT_BYTES);
    for (const { name, bytes } of sizes) expect(bytes, name).toBeLessThan(RECONCILE_LIMIT_BYTES);
  });

  it.each(FUNCTION_NAMES)('%s loads and exports its handler', (name) => {
    expect(load(name)).toBe('function');
  });

  it('hold neither charset tables nor certificates, and have a source map', () => {
    const code = readFileSync(join(outDir, 'reconcile', 'index.mjs'), 'utf8');
    expect(code).not.toMatch(/-----BEGIN CERTIFICATE-----|shiftjis/);
    expect(code).toMatch(/\/\/# sourceMappingURL=index\.mjs\.map/);
  });

  it('name the folder when there is no handler in it', async () => {
    const empty = temporary('none');
    await expect(bundle(outDir, empty)).rejects.toThrow(/no handler found: expected .*<name>\/handler\.ts; add one/);
  });
});

describe('markSchemasPure', () => {
  it.each([
    ['on one line', 'export var A$ = [3, n0, _A];', 'export var A$ = /* @__PURE__ */ (() => [3, n0, _A])();'],
    ['on several', 'var B = [3,\n  0, { [_k]: 1 }\n];', 'var B = /* @__PURE__ */ (() => [3,\n  0, { [_k]: 1 }\n])();'],
  ])('wraps a schema %s', (_how, before, after) => {
    expect(markSchemasPure(before)).toBe(after);
  });

  it('leaves registrations and everything else as they are', () => {
    const other = 'const _A = "A";\nregistry.registerError(A$, A);\nexport const list = [\n  registry,\n];';
    expect(markSchemasPure(other)).toBe(other);
  });
});

describe('the stand-in for iconv-lite', () => {
  it.each(['utf8mb4', 'UTF-8', 'latin1', 'iso-8859-1'])('decodes and encodes %s', (charset) => {
    expect(decode(encode('Zoë', charset), charset)).toBe('Zoë');
    expect(getDecoder(charset).write(encode('Zoë', charset))).toBe('Zoë');
  });

  it('refuses a charset that it does not know, by name', () => {
    expect(encodingExists('shift_jis')).toBe(false);
    expect(() => decode(Buffer.from('x'), 'shift_jis')).toThrow(/character set "shift_jis" is not in Rejoin's bundles/);
  });
});
