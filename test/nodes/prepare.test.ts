import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processesOf, signal } from '../../rehearsal/cloud/hosts-processes.ts';
import {
  eventually,
  type Host,
  type HostSet,
  makeHosts,
  must,
  startCluster,
  status,
  synced,
} from '../support/galera/hosts.ts';

const run = promisify(execFile);
const VOLUME = 'vol-0123456789abcdef0';
const owner = async (path: string): Promise<string> => (await run('stat', ['-c', '%U', path])).stdout.trim();

describe('prepare, where the data directory is presented as it is', () => {
  let set: HostSet;
  let a: Host;
  let b: Host;

  beforeAll(async () => {
    set = await makeHosts({ octet: 205, third: 1, count: 2 });
    [a, b] = set.hosts as [Host, Host];
  });
  afterAll(() => set.dispose());

  it.each([
    ['Source', { SOURCE: 'tape', VOLUME_ID: 'none' }],
    ['VolumeId', { SOURCE: 'volume', VOLUME_ID: '/dev/sda' }],
  ])('refuses a wrong %s', async (name, parameters) => {
    const result = await a.script('prepare', parameters);
    expect(result.code).toBe(64);
    expect(result.stderr).toMatch(new RegExp(`${name} is '`));
  });

  it('volume: answers that whole data are there, and gives them to the database user', async () => {
    if (userInfo().uid === 0) await run('chown', ['root', join(b.volume, 'ibdata1')]);
    expect(await must(b.script('prepare', { SOURCE: 'volume', VOLUME_ID: VOLUME }))).toEqual({
      prepared: 'volume',
      dataDir: b.volume,
      device: null,
      formatted: false,
      aside: null,
    });
    expect(await owner(join(b.volume, 'ibdata1'))).toBe(b.env['REJOIN_UNIX_USER']);
  });

  it('volume: refuses data that a state transfer had left half done', async () => {
    await writeFile(join(b.volume, 'sst_in_progress'), '');
    const result = await b.script('prepare', { SOURCE: 'volume', VOLUME_ID: VOLUME });
    expect(result.code).toBe(11);
    expect(result.stderr).toMatch(/sst_in_progress.*Use Source=peer/);
    await rm(join(b.volume, 'sst_in_progress'));
  });

  it('join without anybody to join is not done in time, and does not make a cluster', async () => {
    const envFile = join(b.dir, 'hurried.env');
    await writeFile(envFile, await readFile(join(b.dir, 'node.env'), 'utf8'));
    await appendFile(envFile, 'REJOIN_JOIN_SECONDS=3\n');
    const result = await b.script('join', { PEERS: '127.205.9.9' }, { REJOIN_NODE_ENV: envFile });
    expect(result.code, result.stderr).toBe(32);
    expect(result.stderr).toMatch(/no primary component at 127\.205\.9\.9 within 3 s/);
    // While it looks for peers MariaDB does not heed SIGTERM, so galera-stop would wait for half a minute.
    signal(await b.pid(), 'SIGKILL');
    await eventually('the end of the process', 5, async () =>
      (await processesOf([b.dir])).length === 0 ? true : undefined,
    );
  });

  it('peer: moves what was there aside, and a full state transfer fills the directory', async () => {
    await startCluster([a]);
    await a.sql('CREATE TABLE app.t (id INT PRIMARY KEY); INSERT INTO app.t VALUES (7)');
    const prepared = await must(b.script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' }));
    expect(prepared).toMatchObject({ prepared: 'peer', formatted: false, aside: join(b.volume, '.rejoin-aside', '1') });
    expect(await readdir(b.volume)).toEqual(['.rejoin-aside']);
    expect(await readdir(join(b.volume, '.rejoin-aside', '1'))).toContain('ibdata1');
    expect(await must(b.script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' })), 'again').toMatchObject({
      aside: null,
    });
    const none = await b.script('prepare', { SOURCE: 'volume', VOLUME_ID: VOLUME });
    expect(none.code).toBe(11);
    expect(none.stderr).toMatch(/no whole MariaDB data directory/);

    const startedAtMs = Date.now();
    await must(b.script('join', { PEERS: a.address, DONOR: a.id }));
    expect(Date.now() - startedAtMs, 'join does not wait for the transfer').toBeLessThan(10_000);
    const early = await b.script('position');
    expect(early.code).toBe(21);
    const pid = await b.pid();
    for (const donor of [a.id, 'any']) {
      expect(await must(b.script('join', { PEERS: a.address, DONOR: donor })), 'during the transfer').toMatchObject({
        joined: 'already',
        pid,
      });
    }
    await synced(b, 60);
    expect(await b.log()).toContain('Proceeding with SST');
    expect(await b.sql('SELECT id FROM app.t')).toBe('7');
    expect(await status(b, 'wsrep_local_state_uuid')).toBe(await status(a, 'wsrep_local_state_uuid'));
    expect(existsSync(join(b.volume, 'ibdata1'))).toBe(true);
  });
});

describe('the first node of a new cluster, as docs/hosts.md makes it', () => {
  let set: HostSet;
  beforeAll(async () => {
    set = await makeHosts({ octet: 205, third: 3, count: 1, filled: false });
  });
  afterAll(() => set.dispose());

  it('starts from new data at no position', async () => {
    const [host] = set.hosts as [Host];
    await must(host.script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' }));
    const empty = await host.script('bootstrap', { STATE_UUID: '00000000-0000-0000-0000-000000000000', SEQNO: '-1' });
    expect(empty.code, 'nothing to start from').toBe(11);
    const user = process.getuid?.() === 0 ? [`--user=${host.env['REJOIN_UNIX_USER']}`] : [];
    await run('mariadb-install-db', [
      `--defaults-file=${host.env['REJOIN_DEFAULTS_FILE']}`,
      `--datadir=${host.volume}`,
      ...user,
      '--wsrep-on=OFF',
    ]);
    const at = await must(host.script('position'));
    expect(at).toMatchObject({ stateUuid: '00000000-0000-0000-0000-000000000000', seqno: -1, source: 'recovered' });
    await must(host.script('bootstrap', { STATE_UUID: String(at['stateUuid']), SEQNO: String(at['seqno']) }));
    expect(await status(host, 'wsrep_cluster_status')).toBe('Primary');
    expect(await status(host, 'wsrep_cluster_state_uuid')).not.toMatch(/^0{8}-/);
  });
});

// A loop device stands for the EBS volume; making one takes root, as the script itself does on a host.
describe.runIf(process.getuid?.() === 0)('prepare, with a device', () => {
  let set: HostSet;
  let host: Host;
  let loop: string;
  let devRoot: string;

  const facts = (data: string): Readonly<Record<string, string>> => ({ REJOIN_NODE_ENV: data });
  let envFile: string;

  beforeAll(async () => {
    set = await makeHosts({ octet: 205, third: 2, count: 1 });
    host = set.hosts[0] as Host;
    const image = join(host.dir, 'disk.img');
    await run('truncate', ['--size=64M', image]);
    loop = (await run('losetup', ['--find', '--show', image])).stdout.trim();
    devRoot = join(host.dir, 'dev');
    await mkdir(join(devRoot, 'disk', 'by-id'), { recursive: true });
    await symlink(loop, join(devRoot, 'disk', 'by-id', `nvme-Amazon_Elastic_Block_Store_${VOLUME.replace('-', '')}`));
    await mkdir(join(host.dir, 'mnt'));
    envFile = join(host.dir, 'device.env');
    const own = {
      DATA_DEVICE: '/dev/sdz',
      DEV_ROOT: devRoot,
      DATA_DIR: join(host.dir, 'mnt'),
      DEVICE_SECONDS: '1',
      FILESYSTEM: 'ext4',
    };
    await writeFile(envFile, await readFile(join(host.dir, 'node.env'), 'utf8'));
    for (const [name, value] of Object.entries(own)) await appendFile(envFile, `REJOIN_${name}='${value}'\n`);
  });
  afterAll(async () => {
    await run('umount', [join(host.dir, 'mnt')]).catch(() => undefined); // not mounted when a test failed early
    await run('losetup', ['--detach', loop]);
    await set.dispose();
  });

  it('says which volume it has waited for in vain', async () => {
    const result = await host.script('prepare', { SOURCE: 'peer', VOLUME_ID: 'vol-0fffffffffffffff0' }, facts(envFile));
    expect(result.code).toBe(10);
    expect(result.stderr).toMatch(/no device of volume 'vol-0fffffffffffffff0'/);
  });

  it('volume: never formats, a blank device is refused', async () => {
    const result = await host.script('prepare', { SOURCE: 'volume', VOLUME_ID: VOLUME }, facts(envFile));
    expect(result.code).toBe(11);
    expect(result.stderr).toMatch(/is blank/);
    expect((await run('wipefs', ['--no-act', loop])).stdout).toBe('');
  });

  it('peer: formats a blank device, mounts it, and finds it mounted the next time', async () => {
    const parameters = { SOURCE: 'peer', VOLUME_ID: VOLUME };
    expect(await must(host.script('prepare', parameters, facts(envFile)))).toMatchObject({
      formatted: true,
      aside: null,
    });
    expect((await run('findmnt', ['-no', 'SOURCE', join(host.dir, 'mnt')])).stdout.trim()).toBe(loop);
    expect(await owner(join(host.dir, 'mnt'))).toBe(host.env['REJOIN_UNIX_USER']);
    expect(await must(host.script('prepare', parameters, facts(envFile)))).toMatchObject({ formatted: false });
  });

  it('mounts a device that holds data again after a boot, keeps them, and checks that they are whole', async () => {
    const data = join(host.dir, 'mnt');
    await mkdir(join(data, 'mysql'));
    await writeFile(join(data, 'ibdata1'), 'data');
    await writeFile(
      join(data, 'grastate.dat'),
      '# GALERA saved state\nversion: 2.1\nuuid:    11111111-2222-3333-4444-555555555555\nseqno:   42\nsafe_to_bootstrap: 0\n',
    );
    await run('umount', [data]);
    expect(await readdir(data)).toEqual([]);
    const at = await must(host.script('position', {}, facts(envFile)));
    expect(at).toMatchObject({ stateUuid: '11111111-2222-3333-4444-555555555555', seqno: 42 });
    await run('umount', [data]);
    expect(await must(host.script('prepare', { SOURCE: 'volume', VOLUME_ID: VOLUME }, facts(envFile)))).toMatchObject({
      prepared: 'volume',
      formatted: false,
    });
    expect((await stat(join(data, 'ibdata1'))).size).toBe(4);
    const moved = await must(host.script('prepare', { SOURCE: 'peer', VOLUME_ID: VOLUME }, facts(envFile)));
    expect(moved).toMatchObject({ formatted: false, aside: join(data, '.rejoin-aside', '1') });
    expect(await readFile(join(data, '.rejoin-aside', '1', 'ibdata1'), 'utf8')).toBe('data');
  });

  it('refuses when another device is mounted than the volume asked for', async () => {
    const image = join(host.dir, 'other.img');
    await run('truncate', ['--size=16M', image]);
    const other = (await run('losetup', ['--find', '--show', image])).stdout.trim();
    try {
      await symlink(other, join(devRoot, 'disk', 'by-id', 'nvme-Amazon_Elastic_Block_Store_vol0aaaaaaaaaaaaaaa0'));
      const result = await host.script(
        'prepare',
        { SOURCE: 'volume', VOLUME_ID: 'vol-0aaaaaaaaaaaaaaa0' },
        facts(envFile),
      );
      expect(result.code).toBe(13);
      expect(result.stderr).toContain(`${loop} is mounted`);
    } finally {
      await run('losetup', ['--detach', other]);
    }
  });
});
