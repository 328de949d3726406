import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DEADLINES } from '../../lambdas/recovery/wait.ts';
import { HOST_SCRIPTS, documentLines } from '../../lib/capabilities/host-documents.ts';
import { ROOT, exampleTemplate, resourcesOf, temporary } from './fixture.ts';

interface Content {
  readonly schemaVersion: string;
  readonly parameters?: Readonly<Record<string, { readonly allowedPattern: string; readonly type: string }>>;
  readonly mainSteps: readonly {
    readonly action: string;
    readonly inputs: { readonly runCommand: readonly string[] };
  }[];
}

const documents = resourcesOf(exampleTemplate(), 'AWS::SSM::Document').map(([, d]) => d.Properties);
const contentOf = (name: string): Content => documents.find((d) => d['Name'] === name)?.['Content'] as Content;

describe('documents', () => {
  it('are one a script of nodes/galera, all of them', () => {
    const scripts = readdirSync(join(ROOT, 'nodes', 'galera')).filter((f) => f.endsWith('.sh') && f !== 'lib.sh');
    expect(documents.map((d) => d['Name']).sort()).toEqual(
      scripts.map((f) => `rejoin-galera-${f.replace('.sh', '')}`).sort(),
    );
    for (const d of documents)
      expect(d).toMatchObject({ DocumentFormat: 'JSON', DocumentType: 'Command', UpdateMethod: 'NewVersion' });
  });

  it.each([
    ['galera-position', []],
    ['galera-prepare', ['Source', 'VolumeId']],
    ['galera-join', ['Peers', 'Donor']],
    ['galera-bootstrap', ['StateUuid', 'Seqno']],
    ['galera-stop', []],
  ])('%s takes the parameters that the architecture names', (name, parameters) => {
    expect(Object.keys(contentOf(`rejoin-${name}`).parameters ?? {})).toEqual(parameters);
  });

  it.each(HOST_SCRIPTS)('$script is a whole script that a shell can read', (script) => {
    const file = join(temporary('doc'), 'script.sh');
    const lines = contentOf(`rejoin-galera-${script.script}`).mainSteps[0]?.inputs.runCommand ?? [];
    expect(lines[0]).toBe('#!/bin/sh');
    writeFileSync(file, lines.join('\n'));
    expect(() => execFileSync('sh', ['-n', file])).not.toThrow();
  });

  it('hand parameters over as environment variables', () => {
    const folder = temporary('nodes');
    writeFileSync(join(folder, 'lib.sh'), 'say() { printf "%s|%s" "$1" "$2"; }\n');
    writeFileSync(join(folder, 'prepare.sh'), '#!/bin/sh\nsay "$REJOIN_PARAM_SOURCE" "$REJOIN_PARAM_VOLUME_ID"\n');
    const prepare = HOST_SCRIPTS.find((s) => s.script === 'prepare');
    const text = documentLines(folder, prepare as NonNullable<typeof prepare>)
      .join('\n')
      .replace('{{ Source }}', 'volume')
      .replace('{{ VolumeId }}', 'vol-0123456789abcdef0');
    expect(execFileSync('sh', ['-c', text], { encoding: 'utf8' })).toBe('volume|vol-0123456789abcdef0');
  });

  it.each([
    "x'; reboot; '",
    '$(reboot)',
    '`reboot`',
    'a b',
    'a\nb',
    'a"b',
    '{{ ssm:x }}',
    'a|b',
    'a&b',
    'a>b',
    'a\\',
    '',
  ])('accept %j for no parameter at all', (attack) => {
    const patterns = HOST_SCRIPTS.flatMap((s) => s.parameters.map((p) => p.allowedPattern));
    expect(patterns.length).toBeGreaterThan(0);
    for (const pattern of patterns) expect(new RegExp(pattern).test(attack), pattern).toBe(false);
  });

  it.each([
    ['Peers', '127.10.1.4,127.10.2.4'],
    ['Peers', 'fd00::1,db-2.example.com'],
    ['Donor', 'i-0123456789abcdef0'],
    ['Donor', 'any'],
    ['VolumeId', 'vol-0123456789abcdef0'],
    ['VolumeId', 'none'],
    ['StateUuid', 'f1c3a3c6-2f5e-11ef-9d3b-0a1b2c3d4e5f'],
    ['Seqno', '-1'],
    ['Seqno', '123456'],
  ])('accept for %s the value %s', (name, value) => {
    const parameter = HOST_SCRIPTS.flatMap((s) => s.parameters).find((p) => p.name === name);
    expect(new RegExp(parameter?.allowedPattern ?? '$^').test(value)).toBe(true);
  });

  /** Run Command may take this long to deliver; then the document's own time begins. */
  const DELIVERY_SECONDS = 60;
  it.each([
    ['position', DEADLINES.positionMs, ['FACTS', 'DEVICE']],
    ['prepare', DEADLINES.prepareMs, ['FACTS', 'DEVICE']],
    ['join', DEADLINES.joinMs, ['FACTS', 'DEVICE', 'STOP', 'JOIN']],
    ['bootstrap', DEADLINES.bootstrapMs, ['FACTS', 'DEVICE', 'BOOTSTRAP']],
    ['stop', DEADLINES.prepareMs, ['FACTS', 'STOP']],
  ] as const)(
    'let %s run for longer than its own limits, and end it before its step stops asking',
    (name, ms, limits) => {
      const lib = readFileSync(join(ROOT, 'nodes', 'galera', 'lib.sh'), 'utf8');
      const own = limits.map((l) => Number(new RegExp(`REJOIN_${l}_SECONDS:-(\\d+)`).exec(lib)?.[1]));
      const script = HOST_SCRIPTS.find((s) => s.script === name);
      expect(script?.timeoutSeconds).toBeGreaterThan(own.reduce((sum, seconds) => sum + seconds, 0));
      expect((script?.timeoutSeconds ?? 0) + DELIVERY_SECONDS).toBeLessThanOrEqual(ms / 1000);
    },
  );

  it('leave ten minutes to the crash recovery of a position, since one that is cut off begins anew', () => {
    expect(HOST_SCRIPTS.find((s) => s.script === 'position')?.timeoutSeconds).toBeGreaterThanOrEqual(600 + 300);
  });

  it('stay below the 64 KB that SSM takes', () => {
    for (const d of documents) expect(JSON.stringify(d['Content']).length, String(d['Name'])).toBeLessThan(64 * 1024);
  });

  it('refuse a script with double braces, which SSM would replace', () => {
    const folder = temporary('nodes');
    writeFileSync(join(folder, 'lib.sh'), '');
    writeFileSync(join(folder, 'stop.sh'), 'echo "{{ inspect }}"\n');
    const stop = HOST_SCRIPTS.find((s) => s.script === 'stop');
    expect(() => documentLines(folder, stop as NonNullable<typeof stop>)).toThrow(
      /stop\.sh contains \{\{ inspect \}\}.*without double braces/,
    );
  });
});
