import { execFile } from 'node:child_process';
import { appendFile, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { postgresUnixUser, runAsPostgres } from '../../rehearsal/host/postgres-template.ts';
import {
  eventually,
  type Host,
  type HostSet,
  makeHosts,
  makeSlots,
  must,
  promote,
  sameRows,
  SCRIPTS,
} from './postgres-hosts.ts';

const run = promisify(execFile);
const VOLUME = 'vol-0123456789abcdef0';
const PEER = { SOURCE: 'peer', VOLUME_ID: 'none' };
const owner = async (path: string): Promise<string> => (await run('stat', ['-c', '%U', path])).stdout.trim();

describe('prepare, where the data directory is presented as it is', () => {
  let set: HostSet;
  let host: Host;

  beforeAll(async () => {
    set = await makeHosts({ third: 4, count: 1 });
    host = set.hosts[0] as Host;
  });
  afterAll(() => set.dispose());

  it.each([
    ['Source', { SOURCE: 'tape', VOLUME_ID: 'none' }],
    ['VolumeId', { SOURCE: 'volume', VOLUME_ID: '/dev/sda' }],
  ])('refuses a wrong %s', async (name, parameters) => {
    const result = await host.script('prepare', parameters);
    expect(result.code).toBe(64);
    expect(result.stderr).toMatch(new RegExp(`${name} is '`));
  });

  it('volume: answers that whole data are there, and gives them to the database user', async () => {
    if (process.getuid?.() === 0) await run('chown', ['root', join(host.data, 'PG_VERSION')]);
    expect(await must(host.script('prepare', { SOURCE: 'volume', VOLUME_ID: VOLUME }))).toEqual({
      prepared: 'volume',
      dataDir: host.data,
      device: null,
      formatted: false,
      aside: null,
    });
    expect(await owner(join(host.data, 'PG_VERSION'))).toBe(postgresUnixUser());
  });

  it('refuses the host of another engine', async () => {
    const envFile = join(host.dir, 'galera.env');
    await writeFile(envFile, (await readFile(join(host.dir, 'node.env'), 'utf8')).replace(/REJOIN_ENGINE=.*\n/, ''));
    const result = await host.script('prepare', PEER, { REJOIN_NODE_ENV: envFile, REJOIN_ENGINE: '' });
    expect(result.code).toBe(64);
    expect(result.stderr).toMatch(/REJOIN_ENGINE=galera, and this script is one of postgres/);
  });

  it('peer: keeps every earlier copy that nobody has replaced yet', async () => {
    await must(host.script('prepare', PEER));
    await writeFile(join(host.data, 'something'), 'of value');
    const again = await must(host.script('prepare', PEER));
    expect(again['aside']).toBe(join(host.volume, '.rejoin-aside', '2'));
    expect(await readdir(join(host.volume, '.rejoin-aside', '1'))).toContain('PG_VERSION');
    expect(await readdir(join(host.volume, '.rejoin-aside', '2'))).toEqual(['something']);
  });
});

describe('a new cluster, as docs/hosts.md makes it', () => {
  let set: HostSet;
  beforeAll(async () => {
    set = await makeHosts({ third: 5, count: 2, filled: false });
  });
  afterAll(() => set.dispose());

  it('one host is initialised and promoted, the other takes a base backup of it', async () => {
    const [first, second] = set.hosts as [Host, Host];
    await must(first.script('prepare', PEER));
    expect((await first.script('start')).code, 'nothing to start from').toBe(11);
    await runAsPostgres('initdb', ['-D', first.data, '-U', 'postgres', '-A', 'trust', '-N', '--data-checksums']);
    await appendFile(join(first.dir, 'postgresql.conf'), 'max_connections = 100\n'); // as initdb wrote them down
    await appendFile(join(second.dir, 'postgresql.conf'), 'max_connections = 100\n');
    expect(await must(first.script('start'))).toMatchObject({ started: true, primary: false });
    await first.sql('SELECT pg_promote()');
    const psql = ['-X', '-q', '-h', join(first.dir, 'db'), '-U', 'postgres', '-d', 'postgres'];
    await runAsPostgres('psql', [...psql, '-f', join(SCRIPTS, 'setup.sql')]);
    await first.sql("ALTER ROLE rejoin_replication PASSWORD 'replication-rehearsal-only'");
    await first.sql('CREATE TABLE t (id int); INSERT INTO t VALUES (7)');
    await makeSlots(first, [second]);
    await must(second.script('prepare', PEER));
    expect(await must(second.join(first, first))).toMatchObject({ joined: 'started', rebuilt: true });
    expect(await sameRows(first, second)).toBe(1);
  });
});

// A loop device stands for the EBS volume; making one takes root, as the script itself does on a host.
describe.runIf(process.getuid?.() === 0)('with a device', () => {
  let set: HostSet;
  let primary: Host;
  let host: Host;
  let loop: string;
  let mount: string;
  let data: string;
  let facts: Readonly<Record<string, string>>;

  beforeAll(async () => {
    set = await makeHosts({ third: 6, count: 2 });
    [primary, host] = set.hosts as [Host, Host];
    const image = join(host.dir, 'disk.img');
    await run('truncate', ['--size=400M', image]);
    loop = (await run('losetup', ['--find', '--show', image])).stdout.trim();
    const devRoot = join(host.dir, 'dev');
    await mkdir(join(devRoot, 'disk', 'by-id'), { recursive: true });
    await symlink(loop, join(devRoot, 'disk', 'by-id', `nvme-Amazon_Elastic_Block_Store_${VOLUME.replace('-', '')}`));
    mount = join(host.dir, 'mnt');
    data = join(mount, 'main');
    await mkdir(mount);
    const own = { DATA_DEVICE: '/dev/sdz', DEV_ROOT: devRoot, DATA_DIR: data, DEVICE_SECONDS: '1', FILESYSTEM: 'ext4' };
    const envFile = join(host.dir, 'device.env');
    const lines = Object.entries(own).map(([name, value]) => `REJOIN_${name}='${value}'\n`);
    await writeFile(envFile, `${await readFile(join(host.dir, 'node.env'), 'utf8')}${lines.join('')}`);
    facts = { REJOIN_NODE_ENV: envFile };
    await promote(primary, [host]);
    await primary.sql('CREATE TABLE t (id int); INSERT INTO t VALUES (1)');
  });
  afterAll(async () => {
    await host.kill();
    await run('umount', [mount]).catch(() => undefined); // not mounted when a test failed early
    await run('losetup', ['--detach', loop]);
    await set.dispose();
  });

  it('volume: never formats, a blank device is refused', async () => {
    const result = await host.script('prepare', { SOURCE: 'volume', VOLUME_ID: VOLUME }, facts);
    expect(result.code).toBe(11);
    expect(result.stderr).toMatch(/is blank; expected .*PostgreSQL's data.*postgres-prepare/);
    expect((await run('wipefs', ['--no-act', loop])).stdout).toBe('');
  });

  it('peer: formats a blank device; the data directory is a folder on it, beside lost+found', async () => {
    const parameters = { SOURCE: 'peer', VOLUME_ID: VOLUME };
    expect(await must(host.script('prepare', parameters, facts))).toMatchObject({ dataDir: data, formatted: true });
    expect((await readdir(mount)).sort()).toEqual(['lost+found', 'main']);
    expect([await owner(data), (await stat(data)).mode & 0o777]).toEqual([postgresUnixUser(), 0o700]);
    expect(await must(host.script('prepare', parameters, facts))).toMatchObject({ formatted: false, aside: null });
  });

  it('a data directory that is the mount point itself is refused', async () => {
    const envFile = join(host.dir, 'wrong.env');
    await writeFile(envFile, `${await readFile(String(facts['REJOIN_NODE_ENV']), 'utf8')}REJOIN_DATA_DIR='${mount}'\n`);
    const result = await host.script('position', {}, { REJOIN_NODE_ENV: envFile });
    expect(result.code).toBe(64);
    expect(result.stderr).toMatch(/is a mount point; expected a folder on the volume/);
  });

  it('join takes a base backup onto it; after a boot it is mounted again and the replica only catches up', async () => {
    expect(await must(host.join(primary, primary, facts))).toMatchObject({ joined: 'started', rebuilt: true });
    await host.kill();
    await run('umount', [mount]);
    expect(await readdir(mount)).toEqual([]);
    await primary.sql('INSERT INTO t VALUES (2)');
    expect(await must(host.join(primary, primary, facts))).toMatchObject({ joined: 'started', rebuilt: false });
    expect(await sameRows(primary, host)).toBe(2);
  });

  it('with no room for a second copy: exit 53, and the old data stay', async () => {
    await must(host.script('stop', {}, facts));
    // Data that can only be replaced.
    await writeFile(join(mount, '.rejoin-rewinding'), '');
    const { stdout } = await run('df', ['--block-size=1', '--output=avail', mount]);
    await run('fallocate', ['--length', String(Number(stdout.split('\n')[1]) - 20_000_000), join(mount, 'ballast')]);
    const result = await host.join(primary, primary, facts);
    expect(result.code).toBe(53);
    expect(result.stderr).toMatch(/has \d+ bytes free; expected \d+ for a new copy/);
    expect(await readdir(data)).toContain('PG_VERSION');
    await run('rm', [join(mount, 'ballast')]);
    expect(await must(host.join(primary, primary, facts))).toMatchObject({ joined: 'started', rebuilt: true });
    expect(await sameRows(primary, host)).toBe(2);
    await eventually('the old data gone', 10, async () =>
      (await readdir(mount)).includes('.rejoin-aside') ? undefined : true,
    );
  });

  it('another cluster on the volume that was attached is not joined', async () => {
    await host.kill();
    await run('rm', ['-rf', data]);
    await mkdir(data);
    await run('chown', [postgresUnixUser(), data]);
    await runAsPostgres('initdb', ['-D', data, '-U', 'postgres', '-A', 'trust', '-N']);
    await must(host.script('prepare', { SOURCE: 'volume', VOLUME_ID: VOLUME }, facts));
    expect((await host.join(primary, primary, facts)).code).toBe(51);
  });
});
