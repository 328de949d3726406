import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { postgresAdmin } from '../../lambdas/engines/postgres/admin.ts';
import { answered, probing } from '../support/postgres/probing.ts';
import {
  ACCOUNTS,
  eventually,
  postgresServers,
  type PostgresServer,
  type ServerSet,
} from '../support/postgres/servers.ts';
import { own } from '../support/postgres/template.ts';

const { prober, timed, target } = probing();
const LOGIN = ACCOUNTS.plane;
const dir = mkdtempSync(join(tmpdir(), 'rejoin-pg-tls-'));
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'] as const;
const openssl = (...args: readonly string[]): string =>
  execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' }).toString();

/** A self-made CA; answers its certificate. */
function makeCa(name: string): string {
  openssl('req', '-x509', ...KEY, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.pem`);
  return readFileSync(join(dir, `${name}.pem`), 'utf8');
}

describe('the prober on a PostgreSQL node that speaks TLS only', () => {
  let set: ServerSet;
  let node: PostgresServer;
  let ca: string;
  let strange: string;
  const tlsOf = (): Promise<string> =>
    node.sql("SELECT ssl, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'rejoin'");

  beforeAll(async () => {
    ca = makeCa('ours');
    strange = makeCa('strange');
    set = await postgresServers();
    node = await set.prepare('127.81.3.1', {
      settings: "ssl = on\nssl_cert_file = 'node.pem'\nssl_key_file = 'node.key'",
    });
    const file = (name: string): string => join(node.dataDir, name);
    const signed = ['-CA', 'ours.pem', '-CAkey', 'ours.key'];
    openssl(
      'req',
      '-x509',
      ...KEY,
      '-subj',
      '/CN=node',
      ...signed,
      '-keyout',
      file('node.key'),
      '-out',
      file('node.pem'),
    );
    execFileSync('sed', ['-i', 's/^host /hostssl /', file('pg_hba.conf')]);
    execFileSync('chmod', ['600', file('node.key')]);
    await own(file('node.key'), file('node.pem'));
    await node.start();
  });
  afterAll(async () => {
    await set.dispose();
    rmSync(dir, { recursive: true, force: true });
  });

  it('gets an answer when the CA vouches for the certificate, over one kept connection in TLS', async () => {
    const p = prober();
    for (let n = 0; n < 2; n++) {
      expect(answered(await timed(p.probe(target(node.address, 5432, { ca }), LOGIN))).inRecovery).toBe(false);
      expect(await tlsOf()).toMatch(/^t\tTLSv1\.[23]$/);
    }
    await p.close();
    await eventually('no session left', 5, async () => ((await tlsOf()) === '' ? true : undefined));
  });

  it('is changed over TLS too', async () => {
    const admin = postgresAdmin();
    await admin.setSlots(target(node.address, 5432, { ca }), LOGIN, { create: ['i-0a'], drop: [] });
    expect(await node.sql('SELECT slot_name FROM pg_replication_slots')).toBe('i_0a');
    await admin.close();
  });

  it.each([
    ['another CA is expected', () => ({ ca: strange })],
    ['only the public roots are trusted', () => 'required' as const],
  ])('is rejected in a clear sentence when %s', async (_, tls) => {
    expect(await timed(prober().probe(target(node.address, 5432, tls()), LOGIN))).toMatchObject({
      kind: 'rejected',
      detail: expect.stringMatching(
        /^127\.81\.3\.1:5432 shows a certificate that is not trusted: .* \([A-Z_]+\); expected one that the specification's engine\.tls/,
      ) as string,
    });
  });

  it('does not let a trusted connection vouch for one that is probed with another CA', async () => {
    const p = prober();
    answered(await p.probe(target(node.address, 5432, { ca }), LOGIN));
    expect(await p.probe(target(node.address, 5432, { ca: strange }), LOGIN)).toMatchObject({ kind: 'rejected' });
  });

  it.each(['off', undefined] as const)('is rejected by a server that insists on TLS when tls is %s', async (tls) => {
    expect(await timed(prober().probe(target(node.address, 5432, tls), LOGIN))).toMatchObject({
      kind: 'rejected',
      detail: expect.stringMatching(/28000 no pg_hba\.conf entry.*no encryption/) as string,
    });
  });

  it('is rejected with a wrong password', async () => {
    expect(
      await timed(prober().probe(target(node.address, 5432, { ca }), { ...LOGIN, password: 'wrong' })),
    ).toMatchObject({ kind: 'rejected', detail: expect.stringMatching(/28P01/) as string });
  });

  it.each([
    ['with a kept connection', true],
    ['for the first time', false],
  ])('finds a frozen server silent, probed %s', async (_, warm) => {
    const p = prober();
    if (warm) answered(await p.probe(target(node.address, 5432, { ca }), LOGIN));
    await node.freeze();
    try {
      expect((await timed(p.probe(target(node.address, 5432, { ca }), LOGIN))).kind).toBe('silent');
    } finally {
      await node.thaw();
    }
  });
});
