import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DEADLINES } from '../../lambdas/recovery/wait.ts';
import { documentLines } from '../../lib/capabilities/host-documents.ts';
import { HOST_SCRIPTS, shortNameOf } from '../../lib/capabilities/host-scripts.ts';
import type { HostScript } from '../../lib/capabilities/host-scripts.ts';
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

const script = (shortName: string): HostScript => {
  const found = HOST_SCRIPTS.find((s) => shortNameOf(s) === shortName);
  if (found === undefined) throw new Error(`no script ${shortName}`);
  return found;
};

/** A folder like `nodes/` with these files. */
function nodesWith(files: Readonly<Record<string, string>>): string {
  const folder = temporary('nodes');
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  }
  return folder;
}

describe('documents', () => {
  it('are one a script of nodes/galera and nodes/postgres, all of them', () => {
    // What a timer on the host runs, and not the plane.
    const ofTheHost = ['lib.sh', 'disk.sh'];
    const scripts = ['galera', 'postgres'].flatMap((engine) =>
      readdirSync(join(ROOT, 'nodes', engine))
        .filter((f) => f.endsWith('.sh') && !ofTheHost.includes(f))
        .map((f) => `rejoin-${engine}-${f.replace('.sh', '')}`),
    );
    expect(documents.map((d) => d['Name']).sort()).toEqual(scripts.sort());
    for (const d of documents)
      expect(d).toMatchObject({ DocumentFormat: 'JSON', DocumentType: 'Command', UpdateMethod: 'NewVersion' });
  });

  it.each([
    ['galera-position', []],
    ['galera-prepare', ['Source', 'VolumeId']],
    ['galera-join', ['Peers', 'Donor']],
    ['galera-bootstrap', ['StateUuid', 'Seqno', 'NewHistory']],
    ['galera-stop', []],
    ['galera-backup', ['Bucket', 'Key', 'UploadId', 'PartBytes']],
    ['galera-restore', ['Bucket', 'Plan']],
    ['galera-checksum', ['Live']],
    ['postgres-position', []],
    ['postgres-prepare', ['Source', 'VolumeId']],
    ['postgres-start', []],
    ['postgres-join', ['Primary', 'PrimaryPort', 'Donor', 'ReplicationUser']],
    ['postgres-stop', []],
    ['postgres-backup', ['Bucket', 'Key', 'UploadId', 'PartBytes']],
    ['postgres-restore', ['Bucket', 'Plan', 'Finish']],
    ['postgres-checksum', ['Live']],
  ])('%s takes the parameters that the architecture names', (name, parameters) => {
    expect(Object.keys(contentOf(`rejoin-${name}`).parameters ?? {})).toEqual(parameters);
  });

  it.each(HOST_SCRIPTS)('$engine-$script is a whole script that a shell can read', (hostScript) => {
    const file = join(temporary('doc'), 'script.sh');
    const lines = contentOf(`rejoin-${shortNameOf(hostScript)}`).mainSteps[0]?.inputs.runCommand ?? [];
    expect(lines[0]).toBe('#!/bin/sh');
    writeFileSync(file, lines.join('\n'));
    expect(() => execFileSync('sh', ['-n', file])).not.toThrow();
  });

  it('hand parameters over as environment variables', () => {
    const folder = nodesWith({
      'lib.sh': 'say() { printf "%s|%s" "$1" "$2"; }\n',
      'galera/lib.sh': 'twice() { say "$1" "$2"; }\n',
      'galera/prepare.sh': '#!/bin/sh\ntwice "$REJOIN_PARAM_SOURCE" "$REJOIN_PARAM_VOLUME_ID"\n',
    });
    const text = documentLines(folder, script('galera-prepare'))
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
    ['NewHistory', 'yes'],
    ['NewHistory', 'no'],
    ['Seqno', '123456'],
    ['Primary', '10.0.1.5'],
    ['PrimaryPort', '5432'],
    ['ReplicationUser', 'rejoin_replication'],
    ['Bucket', 'rejoin-archive-123456789012'],
    ['Key', 'orders/7301444403200000001/base/20261128T140000Z/data.zst'],
    ['UploadId', 'VXBsb2FkIElEIGZvciA2aWWpbmcncyBteS1tb3ZpZS5tMnRzIHVwbG9hZA'],
    ['PartBytes', '67108864'],
    ['Plan', 'orders/restore/r-20261128/plan'],
  ])('accept for %s the value %s', (name, value) => {
    const parameter = HOST_SCRIPTS.flatMap((s) => s.parameters).find((p) => p.name === name);
    expect(new RegExp(parameter?.allowedPattern ?? '$^').test(value)).toBe(true);
  });

  /** Run Command may take this long to deliver; then the document's own time begins. */
  const DELIVERY_SECONDS = 60;
  it.each([
    ['galera-position', DEADLINES.positionMs, ['FACTS', 'DEVICE']],
    ['galera-prepare', DEADLINES.prepareMs, ['FACTS', 'DEVICE']],
    ['galera-join', DEADLINES.joinMs, ['FACTS', 'DEVICE', 'STOP', 'JOIN']],
    ['galera-bootstrap', DEADLINES.bootstrapMs, ['FACTS', 'LOCK', 'DEVICE', 'RENEW', 'BOOTSTRAP']],
    ['galera-stop', DEADLINES.stopMs, ['FACTS', 'STOP']],
    ['postgres-position', DEADLINES.positionMs, ['FACTS', 'DEVICE']],
    ['postgres-prepare', DEADLINES.prepareMs, ['FACTS', 'DEVICE']],
    ['postgres-start', DEADLINES.joinMs * 2, ['FACTS', 'DEVICE', 'LOCK', 'START']],
    ['postgres-join', DEADLINES.joinMs, ['FACTS', 'DEVICE', 'LOCK', 'STOP', 'START', 'JOIN']],
    ['postgres-stop', DEADLINES.stopMs, ['FACTS', 'LOCK', 'STOP']],
    // They answer within WATCH, and are asked again.
    ['galera-backup', Infinity, ['FACTS', 'DEVICE', 'WATCH']],
    ['galera-restore', Infinity, ['FACTS', 'DEVICE', 'WATCH']],
    ['galera-checksum', Infinity, ['FACTS', 'DEVICE', 'WATCH']],
    ['postgres-backup', Infinity, ['FACTS', 'DEVICE', 'WATCH']],
    ['postgres-restore', Infinity, ['FACTS', 'DEVICE', 'WATCH']],
    ['postgres-checksum', Infinity, ['FACTS', 'DEVICE', 'WATCH']],
  ] as const)(
    'let %s run for longer than its own limits, and end it before its step stops asking',
    (name, ms, limits) => {
      const { engine, timeoutSeconds } = script(name);
      const lib = ['lib.sh', `${engine}/lib.sh`, 'job.sh']
        .map((f) => readFileSync(join(ROOT, 'nodes', f), 'utf8'))
        .join('\n');
      const own = limits.map((l) => Number(new RegExp(`REJOIN_${l}_SECONDS:-(\\d+)`).exec(lib)?.[1]));
      expect(timeoutSeconds).toBeGreaterThan(own.reduce((sum, seconds) => sum + seconds, 0));
      expect(timeoutSeconds + DELIVERY_SECONDS).toBeLessThanOrEqual(ms / 1000);
    },
  );

  it('leave ten minutes to the crash recovery of a position, since one that is cut off begins anew', () => {
    expect(script('galera-position').timeoutSeconds).toBeGreaterThanOrEqual(600 + 300);
  });

  it('leave comments out, but none of what scripts write', () => {
    const text = '# a comment\nx=1 # stays\n  # another\ncat <<END\n# written\nEND\n#!/bin/sh\n# a third\n';
    const folder = nodesWith({ 'lib.sh': '', 'postgres/lib.sh': '', 'postgres/stop.sh': text });
    const lines = documentLines(folder, script('postgres-stop')).filter((line) => line !== '');
    expect(lines).toEqual(['#!/bin/sh', 'x=1 # stays', 'cat <<END', '# written', 'END']);
  });

  it('stay below the 64 KB that SSM takes', () => {
    for (const d of documents) expect(JSON.stringify(d['Content']).length, String(d['Name'])).toBeLessThan(64 * 1024);
  });

  it('refuse a script with double braces, which SSM would replace', () => {
    const braces = 'echo "{{ inspect }}"\n';
    for (const file of ['lib.sh', 'postgres/lib.sh', 'postgres/stop.sh']) {
      const folder = nodesWith({ 'lib.sh': '', 'postgres/lib.sh': '', 'postgres/stop.sh': '', [file]: braces });
      expect(() => documentLines(folder, script('postgres-stop'))).toThrow(
        `nodes/${file} contains {{ inspect }}, which SSM replaces by a parameter; write it without double braces`,
      );
    }
  });
});
