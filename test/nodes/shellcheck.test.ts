import { execFile } from 'node:child_process';
import { access, constants, glob, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const scripts = ['rehearsal/host/systemctl'];
for await (const path of glob('nodes/**/*.sh', { cwd: root })) scripts.push(path);
/** What is put in front of scripts, and does nothing by itself. */
const libraries = ['nodes/s3.sh', 'nodes/job.sh', 'nodes/backup.sh', 'nodes/restore.sh'];
const isLibrary = (path: string): boolean => path.endsWith('/lib.sh') || libraries.includes(path);

describe('shell scripts', () => {
  it('are the ones that documents are made of', () => {
    for (const name of ['position', 'prepare', 'join', 'bootstrap', 'stop', 'backup', 'restore', 'checksum'])
      expect(scripts).toContain(`nodes/galera/${name}.sh`);
    for (const name of ['position', 'prepare', 'start', 'stop', 'join', 'backup', 'restore', 'checksum'])
      expect(scripts).toContain(`nodes/postgres/${name}.sh`);
  });

  it.each(scripts)('%s passes shellcheck as POSIX sh', async (path) => {
    const { stdout } = await promisify(execFile)('shellcheck', ['--external-sources', '--shell=sh', path], {
      cwd: root,
    });
    expect(stdout).toBe('');
  });

  it.each(scripts.filter((path) => !isLibrary(path)))('%s can be run, by sh', async (path) => {
    await access(`${root}${path}`, constants.X_OK);
    expect(await readFile(`${root}${path}`, 'utf8')).toMatch(/^#!\/bin\/sh\n/);
  });
});
