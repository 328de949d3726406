/** Rules that this code keeps about itself. Layering has its own check (dependency-cruiser). */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');
const HANDLER_LINES = 40;
const FILE_LINES = 320;

const files = (folder: string, ending: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name));

const lines = (file: string): string[] => readFileSync(join(ROOT, file), 'utf8').split('\n');

describe('the code keeps its own rules', () => {
  const handlers = files('lambdas', 'handler.ts');

  it('has a handler for every function', () => {
    expect(handlers.map((h) => h.split('/')[1]).sort()).toEqual([
      'archive',
      'backup',
      'bootstrap',
      'failover',
      'operate',
      'reconcile',
      'replace',
      'restore',
      'rolling',
      'ship-galera',
      'ship-postgres',
      'signals',
      'switchover',
      'watch',
    ]);
  });

  it.each(handlers)('%s is wiring, under 40 lines', (handler) => {
    expect(lines(handler).length).toBeLessThan(HANDLER_LINES + 1);
  });

  it('has no file that has grown past one idea', () => {
    const long = ['lambdas', 'lib', 'bin', 'rehearsal', 'bench', 'scripts']
      .flatMap((folder) => files(folder, '.ts'))
      .filter((file) => lines(file).length > FILE_LINES);
    expect(long).toEqual([]);
  });

  it('keeps decisions free of the clock and of chance', () => {
    const impure = [
      'lambdas/model',
      'lambdas/reconcile',
      'lambdas/replace',
      'lambdas/bootstrap',
      'lambdas/recovery',
      'lambdas/signals',
      'lambdas/operate',
      'lambdas/backup',
      'lambdas/restore',
      'lambdas/archive',
    ]
      .flatMap((folder) => files(folder, '.ts'))
      .filter((file) => !file.endsWith('/handler.ts'))
      .filter((file) => /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bprocess\.env\b/.test(lines(file).join('\n')));
    expect(impure).toEqual([]);
  });

  it('runs every test that it has', () => {
    const asleep = files('test', '.test.ts').filter((file) =>
      /\b(it|test|describe)\.(skip|only|todo)\(/.test(lines(file).join('\n')),
    );
    expect(asleep).toEqual([]);
  });
});
