import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freeze, signal } from '../../rehearsal/cloud/hosts-processes.ts';
import { ACCOUNTS } from '../../rehearsal/host/galera-host.ts';
import { eventually, type Host, type HostSet, makeHosts, startCluster } from '../support/galera/hosts.ts';
import { probing } from '../support/galera/probing.ts';

const { prober, timed, target } = probing();
const dir = mkdtempSync(join(tmpdir(), 'rejoin-tls-'));
const openssl = (...args: readonly string[]): string =>
  execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' }).toString();
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'] as const;

/** A self-made CA; answers its certificate. */
function makeCa(name: string): string {
  openssl('req', '-x509', ...KEY, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.pem`);
  return readFileSync(join(dir, `${name}.pem`), 'utf8');
}

/** Key and certificate of a server in the host's folder, and the configuration that names them. */
function giveTls(host: Host, ca: string): void {
  const at = (file: string): string => join(host.dir, file);
  const signed = ['-CA', `${ca}.pem`, '-CAkey', `${ca}.key`];
  openssl('req', '-x509', ...KEY, '-subj', '/CN=node', ...signed, '-keyout', at('tls.key'), '-out', at('tls.pem'));
  writeFileSync(at('ca.pem'), readFileSync(join(dir, `${ca}.pem`)));
  execFileSync('chmod', ['644', at('tls.key'), at('tls.pem'), at('ca.pem')]);
  const settings = `ssl_cert=${at('tls.pem')}\nssl_key=${at('tls.key')}\nssl_ca=${at('ca.pem')}\nrequire_secure_transport=ON`;
  writeFileSync(at('conf.d/50-tls.cnf'), `[mariadbd]\n${settings}\n`);
}

describe('the prober on a node that speaks TLS only', () => {
  let set: HostSet;
  let host: Host;
  let ca: string;
  let strange: string;
  const connections = (): Promise<string> =>
    host.sql(`SELECT GROUP_CONCAT(id) FROM information_schema.processlist WHERE user = '${ACCOUNTS.probe.user}'`);

  beforeAll(async () => {
    ca = makeCa('ours');
    strange = makeCa('strange');
    set = await makeHosts({ octet: 206, third: 2, count: 1 });
    [host] = set.hosts as [Host];
    giveTls(host, 'ours');
    await startCluster(set.hosts);
  });
  afterAll(async () => {
    await set.dispose();
    rmSync(dir, { recursive: true, force: true });
  });

  it('gets an answer when the CA vouches for the certificate, over one kept connection', async () => {
    const p = prober();
    for (let n = 0; n < 2; n++) {
      expect(await timed(p.probe(target(host.address, 3306, { ca }), ACCOUNTS.probe))).toMatchObject({
        kind: 'answered',
        status: { state: 'Synced', component: 'Primary', nodeName: host.id },
      });
      expect(await connections()).toMatch(/^\d+$/);
    }
    const first = await connections();
    await host.sql(`KILL ${first}`);
    expect(await timed(p.probe(target(host.address, 3306, { ca }), ACCOUNTS.probe))).toMatchObject({
      kind: 'answered',
    });
    expect(await connections()).not.toBe(first);
    await p.close();
    await eventually('no connection left', 5, async () => ((await connections()) === 'NULL' ? true : undefined));
  });

  it.each([
    ['another CA is expected', () => ({ ca: strange })],
    ['only the public roots are trusted', () => 'required' as const],
  ])('is rejected in a clear sentence when %s', async (_, tls) => {
    expect(await timed(prober().probe(target(host.address, 3306, tls()), ACCOUNTS.probe))).toMatchObject({
      kind: 'rejected',
      detail: expect.stringMatching(
        /^127\.206\.2\.1:3306 shows a certificate that is not trusted: .* \([A-Z_]+\); expected one that the specification's engine\.tls/,
      ) as string,
    });
  });

  it('does not let a trusted connection vouch for one that is probed with another CA', async () => {
    const p = prober();
    expect(await p.probe(target(host.address, 3306, { ca }), ACCOUNTS.probe)).toMatchObject({ kind: 'answered' });
    expect(await p.probe(target(host.address, 3306, { ca: strange }), ACCOUNTS.probe)).toMatchObject({
      kind: 'rejected',
    });
  });

  it.each(['off', undefined] as const)('is rejected by a server that insists on TLS when tls is %s', async (tls) => {
    expect(await timed(prober().probe(target(host.address, 3306, tls), ACCOUNTS.probe))).toMatchObject({
      kind: 'rejected',
      detail: expect.stringMatching(/refuses the probe: 1045 Access denied/) as string,
    });
  });

  it('is rejected with a wrong password', async () => {
    const login = { user: ACCOUNTS.probe.user, password: 'wrong' };
    expect(await timed(prober().probe(target(host.address, 3306, { ca }), login))).toMatchObject({
      kind: 'rejected',
      detail: expect.stringMatching(/refuses the probe: 1045 Access denied/) as string,
    });
  });

  it.each([
    ['with a kept connection', true],
    ['for the first time', false],
  ])('finds a frozen process silent, probed %s', async (_, warm) => {
    const p = prober();
    const tls = { ca };
    if (warm)
      expect(await p.probe(target(host.address, 3306, tls), ACCOUNTS.probe)).toMatchObject({ kind: 'answered' });
    const pid = await host.pid();
    await freeze([pid]);
    try {
      expect((await timed(p.probe(target(host.address, 3306, tls), ACCOUNTS.probe))).kind).toBe('silent');
    } finally {
      signal(pid, 'SIGCONT');
    }
  });
});
