#!/usr/bin/env node
// `npx rejoin`: runs bin/rejoin-cli.ts with a Node that runs TypeScript: this one, or the one among the packages.
import { spawnSync } from 'node:child_process';
import { URL, fileURLToPath } from 'node:url';

if (process.features.typescript) await import('./rejoin-cli.ts');
else {
  const node = fileURLToPath(new URL('../node_modules/.bin/node', import.meta.url));
  const cli = fileURLToPath(new URL('rejoin-cli.ts', import.meta.url));
  // Ctrl-C reaches both: the child says what there is to say.
  process.on('SIGINT', () => undefined);
  const ended = spawnSync(node, [cli, ...process.argv.slice(2)], { stdio: 'inherit' });
  process.exitCode = ended.status ?? 1;
}
