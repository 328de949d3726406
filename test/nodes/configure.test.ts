import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCommand, type ScriptResult } from '../support/galera/hosts.ts';

const SCRIPT = fileURLToPath(new URL('../../nodes/configure.sh', import.meta.url));
const TOKEN = 'AQAEAtoken==';

describe('configure, against an instance metadata service', () => {
  let dir: string;
  let imds: Server;
  let url: string;
  let metadata: Record<string, string>;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'rejoin-configure-'));
    metadata = {
      'instance-id': 'i-0123456789abcdef0',
      'local-ipv4': '10.0.1.5',
      'tags/instance/rejoin:cluster': 'orders',
    };
    imds = createServer((request, response) => {
      const reply = (status: number, body: string): void => void response.writeHead(status).end(body);
      if (request.method === 'PUT' && request.url === '/latest/api/token') {
        reply(request.headers['x-aws-ec2-metadata-token-ttl-seconds'] === undefined ? 400 : 200, TOKEN);
        return;
      }
      // IMDSv2: no token, no answer.
      if (request.headers['x-aws-ec2-metadata-token'] !== TOKEN) return reply(401, '');
      const found = metadata[decodeURIComponent((request.url ?? '').replace('/latest/meta-data/', ''))];
      return reply(found === undefined ? 404 : 200, found ?? '');
    });
    await new Promise<void>((resolve) => imds.listen(0, '127.205.200.1', resolve));
    url = `http://127.205.200.1:${(imds.address() as { port: number }).port}`;
    const systemctl = join(dir, 'systemctl');
    await writeFile(systemctl, `#!/bin/sh\necho "$*" >>'${dir}/calls'\n`);
    await chmod(systemctl, 0o755);
  });
  afterEach(async () => {
    await new Promise((resolve) => imds.close(resolve));
    await rm(dir, { recursive: true, force: true });
  });

  const configure = (more: Record<string, string> = {}): Promise<ScriptResult> =>
    runCommand(SCRIPT, [], {
      env: {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        REJOIN_IMDS: url,
        REJOIN_NODE_ENV: join(dir, 'etc', 'node.env'),
        REJOIN_SYSTEMD_DIR: join(dir, 'systemd'),
        REJOIN_SYSTEMCTL: join(dir, 'systemctl'),
        REJOIN_CONFIG_FILE: join(dir, '99-rejoin.cnf'),
        ...more,
      },
    });
  const calls = async (): Promise<string[]> => (await readFile(join(dir, 'calls'), 'utf8')).trim().split('\n');

  it('writes the facts that the scripts read', async () => {
    const result = await configure();
    expect(result.json, result.stderr).toEqual({
      instanceId: 'i-0123456789abcdef0',
      address: '10.0.1.5',
      cluster: 'orders',
    });
    const facts = await readFile(join(dir, 'etc', 'node.env'), 'utf8');
    expect(
      Object.fromEntries(
        facts
          .split('\n')
          .filter((l) => l.startsWith('REJOIN_'))
          .map((l) => l.split('=')),
      ),
    ).toEqual({
      REJOIN_INSTANCE_ID: 'i-0123456789abcdef0',
      REJOIN_ADDRESS: '10.0.1.5',
      REJOIN_PORT: '3306',
      REJOIN_CLUSTER: 'orders',
      REJOIN_DATA_DIR: '/var/lib/mysql',
      REJOIN_DATA_DEVICE: '/dev/sdf',
      REJOIN_UNIX_USER: 'mysql',
      REJOIN_CONFIG_FILE: join(dir, '99-rejoin.cnf'),
      REJOIN_DEFAULTS_FILE: '/etc/mysql/my.cnf',
      REJOIN_SOCKET: '/run/mysqld/mysqld.sock',
      REJOIN_SERVICE: 'mariadb',
      REJOIN_SYSTEMCTL: join(dir, 'systemctl'),
    });
    expect(await readdir(join(dir, 'etc'))).toEqual(['node.env']);
  });

  it('keeps the database down: not at boot, not after a crash, and not the one that the package started', async () => {
    await configure();
    expect(await calls()).toEqual(['daemon-reload', 'disable mariadb', 'stop mariadb']);
    expect(await readFile(join(dir, 'systemd', 'mariadb.service.d', '10-rejoin.conf'), 'utf8')).toBe(
      '[Service]\nRestart=no\n',
    );
  });

  it('leaves alone a database that the plane has started, and changes nothing the second time', async () => {
    await configure();
    const first = await readFile(join(dir, 'etc', 'node.env'), 'utf8');
    await writeFile(join(dir, '99-rejoin.cnf'), '[mariadbd]\n');
    await rm(join(dir, 'calls'));
    expect((await configure()).code).toBe(0);
    expect(await calls()).toEqual(['daemon-reload', 'disable mariadb']);
    expect(await readFile(join(dir, 'etc', 'node.env'), 'utf8')).toBe(first);
  });

  it('writes the facts last, since scripts wait for them: a database that could not be held down has none', async () => {
    await writeFile(join(dir, 'systemctl'), '#!/bin/sh\nexit 1\n');
    expect((await configure()).code).not.toBe(0);
    expect(await readdir(dir)).not.toContain('etc');
  });

  it('takes what an image does otherwise from the environment', async () => {
    await configure({ REJOIN_PORT: '3307', REJOIN_DATA_DEVICE: '' });
    const facts = await readFile(join(dir, 'etc', 'node.env'), 'utf8');
    expect(facts).toContain('REJOIN_PORT=3307\n');
    expect(facts).toContain('REJOIN_DATA_DEVICE=\n');
  });

  it('refuses an engine that there is not', async () => {
    const result = await configure({ REJOIN_ENGINE: 'oracle' });
    expect(result.code).toBe(64);
    expect(result.stderr).toMatch(/REJOIN_ENGINE is 'oracle'; expected 'galera' or 'postgres'/);
  });

  describe('for PostgreSQL', () => {
    const forPostgres = (): Promise<ScriptResult> =>
      configure({
        REJOIN_ENGINE: 'postgres',
        REJOIN_LIB_DIR: join(dir, 'lib'),
        REJOIN_CONFIG_FILE: '/etc/postgresql/15/main/postgresql.conf',
      });
    const unit = (): Promise<string> => readFile(join(dir, 'systemd', 'rejoin-postgres.service'), 'utf8');

    it('writes the facts that the scripts read', async () => {
      expect((await forPostgres()).json).toMatchObject({ cluster: 'orders' });
      const facts = (await readFile(join(dir, 'etc', 'node.env'), 'utf8')).split('\n');
      for (const fact of [
        'REJOIN_ENGINE=postgres',
        'REJOIN_INSTANCE_ID=i-0123456789abcdef0',
        'REJOIN_PORT=5432',
        'REJOIN_DATA_DIR=/var/lib/postgresql/15/main',
        'REJOIN_DATA_DEVICE=/dev/sdf',
        'REJOIN_UNIX_USER=postgres',
        'REJOIN_CONFIG_FILE=/etc/postgresql/15/main/postgresql.conf',
        'REJOIN_PG_BIN=/usr/lib/postgresql/15/bin',
        'REJOIN_SOCKET=/run/postgresql',
        'REJOIN_PASSFILE=/etc/rejoin/pgpass',
        'REJOIN_SERVICE=rejoin-postgres',
      ])
        expect(facts).toContain(fact);
    });

    it("masks the package's services, and starts nothing but the timer", async () => {
      await forPostgres();
      expect(await calls()).toEqual([
        'mask --now postgresql postgresql@15-main',
        'daemon-reload',
        'enable --now rejoin-disk.timer',
      ]);
    });

    it('its service makes every start that of a standby, tries none again, and is not for the boot', async () => {
      await forPostgres();
      const text = await unit();
      const data = '/var/lib/postgresql/15/main';
      expect(text).toContain(
        `ExecStartPre=/bin/sh -c 'test ! -e "${data}/PG_VERSION" || touch "${data}/standby.signal"'\n`,
      );
      expect(text).toContain(
        `ExecStart=/usr/lib/postgresql/15/bin/postgres -D ${data} -c config_file=/etc/postgresql/15/main/postgresql.conf\n`,
      );
      expect(text).toMatch(/^Environment=PGPASSFILE=\/etc\/rejoin\/pgpass /m);
      expect(text).toMatch(/^Restart=no$/m);
      expect(text).toMatch(/^KillSignal=SIGINT$/m);
      expect(text).not.toContain('[Install]');
    });

    it('installs a timer that runs the disk script', async () => {
      await forPostgres();
      const script = join(dir, 'lib', 'postgres-disk.sh');
      expect(await readFile(join(dir, 'systemd', 'rejoin-disk.service'), 'utf8')).toContain(`ExecStart=${script}\n`);
      expect(await readFile(join(dir, 'systemd', 'rejoin-disk.timer'), 'utf8')).toMatch(/^OnUnitActiveSec=10$/m);
      const facts = join(dir, 'etc', 'node.env');
      await writeFile(facts, (await readFile(facts, 'utf8')).replace(/REJOIN_DATA_DIR=.*/, `REJOIN_DATA_DIR=${dir}`));
      const told = await runCommand(script, [], { env: { PATH: '/usr/bin:/bin', REJOIN_NODE_ENV: facts } });
      expect(told.json).toEqual({ totalBytes: null, availableBytes: null });
    });

    it('units are as systemd wants them', async () => {
      await forPostgres();
      // systemd-analyze looks at more than the file; what it finds wrong with this one has its name in front.
      const units = ['rejoin-postgres.service', 'rejoin-disk.service', 'rejoin-disk.timer'].map((name) =>
        join(dir, 'systemd', name),
      );
      const result = await runCommand('systemd-analyze', ['verify', '--man=no', ...units], {
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      }).catch((error: Error) => ({ stderr: error.message }));
      expect(result.stderr.split('\n').filter((line) => line.includes(`${dir}/systemd/`))).toEqual([]);
    });
  });

  it.each([
    ['the tag is not in the metadata', 'tags/instance/rejoin:cluster', undefined, 65, /InstanceMetadataTags=enabled/],
    ['the tag is no cluster name', 'tags/instance/rejoin:cluster', 'x; reboot', 64, /rejoin:cluster is 'x; reboot'/],
    ['a fact has two lines', 'local-ipv4', '10.0.1.5\n10.0.1.6', 64, /local-ipv4/],
  ])('refuses when %s, and writes nothing', async (_, path, value, code, words) => {
    metadata = Object.fromEntries(
      Object.entries({ ...metadata, [path]: value }).filter((e): e is [string, string] => e[1] !== undefined),
    );
    const result = await configure();
    expect(result.code).toBe(code);
    expect(result.stderr).toMatch(words);
    expect(await readdir(dir)).toEqual(['systemctl']);
  });
});
