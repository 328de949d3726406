/** This plane's base backup and restore: the hosts' scripts `nodes/postgres/backup.sh` and `restore.sh`, against the same S3 server. */
import { execFile } from 'node:child_process';
import { appendFile, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { folderOf, keyOf, lsnOfBytes, parseKey, type ArchivePlace } from '../../lambdas/model/archive/keys.ts';
import { lsnBytes } from '../../lambdas/model/lsn.ts';
import { environmentFile } from '../../rehearsal/host/node-env.ts';
import { preparePostgresHost } from '../../rehearsal/host/postgres-host.ts';
import { asPostgres } from '../../rehearsal/host/postgres-template.ts';
import { SEGMENT_BYTES, type Database } from './database.ts';
import { OURS } from './figures.ts';
import type { Contestant, Prepared } from './kinds.ts';
import type { RestoreFacts } from './restore-pgbackrest.ts';
import { ending, expectContent, RESTORED_SETTINGS } from './restored.ts';
import type { LocalS3 } from './s3.ts';

const run = promisify(execFile);

const SCRIPTS = join(import.meta.dirname, '..', '..', 'nodes', 'postgres');
const PORT = 5432;
/** As the plane asks for it. */
const PART_BYTES = 128 * 2 ** 20;
const REGION = 'eu-west-1';

/** How a host's scripts reach the local S3 server. */
const s3Environment = ({ endpoint, certificates }: LocalS3): Readonly<Record<string, string>> => ({
  ...{ REJOIN_S3_ENDPOINT: endpoint, REJOIN_REGION: REGION, CURL_CA_BUNDLE: certificates.ca },
  ...{ AWS_ACCESS_KEY_ID: 'bench', AWS_SECRET_ACCESS_KEY: 'bench', REJOIN_WATCH_SECONDS: '900' },
});

export interface BaseBackup {
  readonly place: ArchivePlace;
  readonly bucket: string;
  readonly key: string;
  readonly sha256: string;
  readonly storedBytes: number;
  readonly rawBytes: number;
  /** Number, bytes and SHA-256 of each part. */
  readonly parts: readonly (readonly [string, string, string])[];
  readonly startLsn: string;
}

interface BackupAnswer {
  readonly state: string;
  readonly sha256: string;
  readonly storedBytes: number;
  readonly rawBytes: number;
  readonly start: { readonly lsn: string };
}

/** Backs the running database up into a bucket of its own. What it takes is not measured. */
export async function backUpBase(dir: string, database: Database, s3: LocalS3, cluster: string): Promise<BaseBackup> {
  const bucket = 'rejoin-restore';
  const place = { cluster, history: database.systemIdentifier };
  const key = keyOf(place, { kind: 'base', id: 'bench' });
  await s3.makeBucket(bucket);
  const uploadId = await s3.beginUpload(bucket, key);
  const hostDir = join(dir, 'backup-host');
  await mkdir(hostDir, { recursive: true });
  const facts = { ...{ hostDir, dataDir: dir, address: database.address, port: database.port }, ...HOST };
  const { env } = await preparePostgresHost({ ...facts, cluster });
  const own = { ...env, REJOIN_DATA_DIR: database.dataDir, REJOIN_SOCKET: database.socketDir };
  await environmentFile(hostDir, own);
  const parameters = {
    ...{ REJOIN_PARAM_BUCKET: bucket, REJOIN_PARAM_KEY: key, REJOIN_PARAM_UPLOAD_ID: uploadId },
    REJOIN_PARAM_PART_BYTES: String(PART_BYTES),
  };
  const { stdout } = await run('sh', [join(SCRIPTS, 'backup.sh')], {
    env: { PATH: process.env['PATH'], ...own, ...s3Environment(s3), ...parameters },
  });
  const answer = JSON.parse(stdout) as BackupAnswer;
  if (answer.state !== 'done') throw new Error(`the base backup ended with ${stdout}`);
  const listed = new TextDecoder().decode(await s3.read(bucket, key.replace(/data\.zst$/, 'parts')));
  const rows = listed
    .trim()
    .split('\n')
    .map((line) => line.split('\t'));
  const etags = rows.map(([number = '', , , etag = '']) => [Number(number), etag] as const);
  await s3.completeUpload(bucket, key, uploadId, etags);
  const parts = rows.map(([number = '', bytes = '', sha256 = '']) => [number, bytes, sha256] as const);
  return { place, bucket, key, ...answer, parts, startLsn: answer.start.lsn };
}

/** What an emulated host has beside its address. */
const HOST = { instanceId: 'i-00000000000000bec', groupId: null } as const;

/** The lines of docs/archive.md, for all log that follows the base: of one timeline, without a hole. */
async function planFor(base: BaseBackup, s3: LocalS3): Promise<string> {
  const { bucket, key, storedBytes, sha256, parts, startLsn } = base;
  const from = lsnBytes(startLsn) - (lsnBytes(startLsn) % BigInt(SEGMENT_BYTES));
  let end = lsnOfBytes(from);
  const logs: string[] = [];
  for (const { key: log } of await s3.keys(bucket, folderOf(base.place, 'wal'))) {
    const object = parseKey(log)?.object;
    if (object?.kind !== 'wal' || lsnBytes(object.end) <= from) continue;
    if (object.start !== end) throw new Error(`the log goes on at ${object.start}; expected ${end}`);
    logs.push(`log\t${log}\t${object.timeline}/${object.start}\t${object.timeline}/${object.end}`);
    end = object.end;
  }
  const whole = [
    'engine\tpostgres',
    `base\t${key}\t${storedBytes}\t${sha256}`,
    ...parts.map((part) => ['part', ...part].join('\t')),
    ...[...logs, 'target\tlatest\tlatest', `end\t1/${end}`],
  ];
  return `${whole.join('\n')}\n`;
}

/** The script's answer goes to the file $5; then as `ending` says. */
const RESTORE = `set -e
sh "${SCRIPTS}/restore.sh" >"$5"
${ending(asPostgres())}`;

interface RestoreAnswer {
  readonly state: string;
  readonly downloadMs: number;
  readonly replayMs: number;
}

export function rejoinRestore(facts: RestoreFacts, base: BaseBackup, s3: LocalS3): Contestant {
  const { dir, address, content } = facts;
  return {
    name: OURS,
    async prepare(round): Promise<Prepared> {
      const plan = `${base.place.cluster}/restore/${round}/plan`;
      await s3.put(base.bucket, plan, await planFor(base, s3));
      const hostDir = join(dir, `restore-host-${round}`);
      const dataDir = join(hostDir, 'volume');
      await mkdir(dataDir, { recursive: true });
      const host = { ...{ hostDir, dataDir, address, port: PORT, cluster: base.place.cluster }, ...HOST };
      const { env } = await preparePostgresHost(host);
      await appendFile(env['REJOIN_CONFIG_FILE'] ?? '', RESTORED_SETTINGS);
      const [data, socketDir] = [env['REJOIN_DATA_DIR'] ?? '', env['REJOIN_SOCKET'] ?? ''];
      const [held, answer] = [join(hostDir, 'content'), join(hostDir, 'answer')];
      const command = ['sh', '-c', RESTORE, 'sh', socketDir, String(PORT), data, held, answer];
      const parameters = { REJOIN_PARAM_BUCKET: base.bucket, REJOIN_PARAM_PLAN: plan };
      return {
        steps: [{ name: 'all', command, env: { ...env, ...s3Environment(s3), ...parameters }, cwd: hostDir }],
        check: async () => {
          await expectContent(held, content);
          const { downloadMs, replayMs } = JSON.parse(await readFile(answer, 'utf8')) as RestoreAnswer;
          return { kept: null, phaseSeconds: { restore: downloadMs / 1000, replay: replayMs / 1000 } };
        },
        clear: () => rm(hostDir, { recursive: true, force: true }),
      };
    },
  };
}
