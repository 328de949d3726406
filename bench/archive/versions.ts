/** Versions of the programs that are compared; a missing one is named before anything is started. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PG_BIN } from '../../rehearsal/host/postgres-template.ts';
import type { Part } from './kinds.ts';

const run = promisify(execFile);

interface Program {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly parts: readonly Part[];
  /** Debian's package. */
  readonly from: string;
}

const PROGRAMS: readonly Program[] = [
  {
    name: 'postgresql',
    command: [join(PG_BIN, 'postgres'), '--version'],
    parts: ['wal', 'restore'],
    from: 'postgresql-15',
  },
  { name: 'pgbackrest', command: ['pgbackrest', 'version'], parts: ['wal', 'restore'], from: 'pgbackrest' },
  { name: 'mariadb-binlog', command: ['mariadb-binlog', '--version'], parts: ['binlog'], from: 'mariadb-client' },
  { name: 'zstd', command: ['zstd', '--version'], parts: ['binlog', 'restore'], from: 'zstd' },
  { name: 'openssl', command: ['openssl', 'version'], parts: ['wal', 'binlog', 'restore'], from: 'openssl' },
];

/** @throws Error naming the package of a program that is not installed. */
export async function versionsOf(parts: readonly Part[]): Promise<Readonly<Record<string, string>>> {
  const wanted = PROGRAMS.filter((program) => program.parts.some((part) => parts.includes(part)));
  const versions = wanted.map(async ({ name, command: [program, ...args], from }) => {
    try {
      return [name, (await run(program, args)).stdout.trim().split('\n')[0] ?? ''] as const;
    } catch (error) {
      throw new Error(`${program} cannot be run; run \`sh scripts/setup.sh bench\` (Debian package ${from})`, {
        cause: error,
      });
    }
  });
  return { node: process.version, zlib: process.versions.zlib, ...Object.fromEntries(await Promise.all(versions)) };
}
