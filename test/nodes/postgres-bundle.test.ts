import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle } from '../../scripts/bundle.ts';
import { ACCOUNTS, postgresServers, type PostgresServer, type ServerSet } from '../support/postgres/servers.ts';

const engine = (file: string): string =>
  JSON.stringify(fileURLToPath(new URL(`../../lambdas/engines/${file}`, import.meta.url)));
const ENTRY = `import { databaseProber } from ${engine('prober.ts')};
import { postgresAdmin } from ${engine('postgres/admin.ts')};
const [host, user, password] = process.argv.slice(2);
const prober = databaseProber();
const target = { instanceId: 'i-1', host, port: 5432, engine: 'postgres' };
const probes = [];
for (let n = 0; n < 2; n++) probes.push(await prober.probe(target, { user, password }));
const written = await postgresAdmin().verifyWritable(target, { user, password }).catch((error) => error.message);
console.log(JSON.stringify({ probes, written }));
`;

describe('the PostgreSQL engine as it is bundled for Lambda', () => {
  const dir = mkdtempSync(join(tmpdir(), 'rejoin-pg-bundle-'));
  let set: ServerSet;
  let node: PostgresServer;

  beforeAll(async () => {
    set = await postgresServers();
    node = await set.primary('127.81.4.1');
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
    const args = [join(dir, 'out', 'probe', 'index.mjs'), node.address, ACCOUNTS.plane.user, password];
    return JSON.parse(execFileSync(process.execPath, args, { cwd: dir, encoding: 'utf8', timeout: 20_000 }));
  };

  it('asks and changes a real server, and its idle connection does not keep the process alive', () => {
    const answered = { kind: 'answered', status: { engine: 'postgres', inRecovery: false, timeline: 1 } };
    expect(run(ACCOUNTS.plane.password)).toMatchObject({ probes: [answered, answered], written: { timeline: 1 } });
  });

  it('decodes an error of the server', () => {
    const words = expect.stringContaining('28P01 password authentication failed') as string;
    const rejected = { kind: 'rejected', detail: words };
    expect(run('wrong')).toMatchObject({ probes: [rejected, rejected], written: words });
  });
});
