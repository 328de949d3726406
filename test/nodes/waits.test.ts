/** The scripts' first and last words, without a database: facts that are not written yet, and errors that SSM cuts. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCommand } from '../support/galera/hosts.ts';

const SCRIPTS = fileURLToPath(new URL('../../nodes/galera/', import.meta.url));
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** GetCommandInvocation: the first characters of standard error that SSM hands over. */
const SSM_ERROR_CHARACTERS = 8000;

describe('on a host', () => {
  let dir: string;
  let env: Readonly<Record<string, string>>;

  const executable = async (name: string, text: string): Promise<void> => {
    await writeFile(join(dir, name), `#!/bin/sh\n${text}\n`);
    await chmod(join(dir, name), 0o755);
  };

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'rejoin-waits-'));
    env = {
      PATH: `${dir}:${SYSTEM_PATH}`,
      REJOIN_NODE_ENV: join(dir, 'node.env'),
      REJOIN_STATE_DIR: join(dir, 'state'),
    };
    await executable('systemctl', 'echo 0');
    const facts = {
      INSTANCE_ID: 'i-0123456789abcdef0',
      ADDRESS: '10.0.1.5',
      PORT: '3306',
      CLUSTER: 'orders',
      DATA_DIR: join(dir, 'data'),
      UNIX_USER: 'mysql',
      CONFIG_FILE: join(dir, '99-rejoin.cnf'),
      DEFAULTS_FILE: join(dir, 'my.cnf'),
      SOCKET: join(dir, 'mysqld.sock'),
      SERVICE: 'mariadb',
      SYSTEMCTL: join(dir, 'systemctl'),
    };
    const lines = Object.entries(facts).map(([name, value]) => `REJOIN_${name}=${value}\n`);
    await writeFile(join(dir, 'later.env'), lines.join(''));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  it('a script waits for the facts, which user data writes while the SSM agent takes commands already', async () => {
    // The stand-in for sleep is the user data that ends meanwhile.
    await executable('sleep', `cp '${dir}/later.env' '${dir}/node.env'`);
    const result = await runCommand(join(SCRIPTS, 'stop.sh'), [], { env });
    expect(result.code, result.stderr).toBe(0);
    expect(result.json).toMatchObject({ stopped: 'already' });
  });

  it('a script without facts ends by itself, naming what is missing', async () => {
    await executable('sleep', 'echo slept >>"$REJOIN_SLEPT"');
    const slept = join(dir, 'slept');
    const result = await runCommand(join(SCRIPTS, 'stop.sh'), [], {
      env: { ...env, REJOIN_SLEPT: slept, REJOIN_FACTS_SECONDS: '3' },
    });
    expect(result.code).toBe(64);
    expect(result.stderr).toMatch(/cannot read the host's facts in .*node\.env after 3 s/);
  });

  it("an error's own sentence stays within what SSM hands over, however long MariaDB's lines are", async () => {
    const log = join(dir, 'error.log');
    await writeFile(log, `WSREP: Passing config to GCS: ${'base_dir = /var/lib/mysql/; '.repeat(150)}\n`.repeat(40));
    const text = `. '${SCRIPTS}../lib.sh'; . '${SCRIPTS}lib.sh'; rejoin_last_messages; rejoin_fail 31 'MariaDB ended before it had joined'`;
    const result = await runCommand('/bin/sh', ['-c', text], { env: { ...env, REJOIN_LOG_FILE: log } });
    expect(result.code).toBe(31);
    expect(result.stderr.slice(0, SSM_ERROR_CHARACTERS)).toContain('rejoin: MariaDB ended before it had joined');
  });
});
