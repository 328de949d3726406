import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ACCOUNTS } from '../../rehearsal/host/galera-host.ts';
import { bundle } from '../../scripts/bundle.ts';
import { type Host, type HostSet, makeHosts, startCluster } from '../support/galera/hosts.ts';

const PROBER = fileURLToPath(new URL('../../lambdas/engines/galera/prober.ts', import.meta.url));
const ENTRY = `import { galeraProber } from ${JSON.stringify(PROBER)};
const [host, user, password] = process.argv.slice(2);
const prober = galeraProber();
const probe = () => prober.probe({ instanceId: 'i-1', host, port: 3306 }, { user, password });
console.log(JSON.stringify([await probe(), await probe()]));
`;

describe('the prober as it is bundled for Lambda', () => {
  const dir = mkdtempSync(join(tmpdir(), 'rejoin-prober-bundle-'));
  let set: HostSet;
  let host: Host;

  beforeAll(async () => {
    set = await makeHosts({ octet: 206, third: 3, count: 1 });
    [host] = set.hosts as [Host];
    await startCluster(set.hosts);
    mkdirSync(join(dir, 'lambdas', 'probe'), { recursive: true });
    writeFileSync(join(dir, 'lambdas', 'probe', 'handler.ts'), ENTRY);
    await bundle(join(dir, 'out'), join(dir, 'lambdas'));
  });
  afterAll(async () => {
    await set.dispose();
    rmSync(dir, { recursive: true, force: true });
  });

  /** In a process that finds no packages; it must end by itself, though the prober is never closed. */
  const run = (password: string): unknown => {
    const args = [join(dir, 'out', 'probe', 'index.mjs'), host.address, ACCOUNTS.probe.user, password];
    return JSON.parse(execFileSync(process.execPath, args, { cwd: dir, encoding: 'utf8', timeout: 20_000 }));
  };

  it('decodes what a real server says, and its idle connection does not keep the process alive', () => {
    const answered = { kind: 'answered', status: { state: 'Synced', component: 'Primary', nodeName: host.id } };
    expect(run(ACCOUNTS.probe.password)).toMatchObject([answered, answered]);
  });

  it('decodes an error of the server', () => {
    const rejected = { kind: 'rejected', detail: expect.stringContaining('1045 Access denied') as string };
    expect(run('wrong')).toMatchObject([rejected, rejected]);
  });
});
