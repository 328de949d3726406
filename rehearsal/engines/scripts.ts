/** The scripts of `nodes/` on an emulated host, as its operator would run them by hand. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { EngineKind } from '../../lambdas/model/spec.ts';
import type { Hosts } from '../cloud/hosts.ts';

const run = promisify(execFile);
const SCRIPT_WITHIN_MS = 120_000;

/** Answers what it printed. Throws with the script's own words when it fails. */
export async function runScript(
  hosts: Hosts,
  engine: EngineKind,
  id: string,
  script: string,
  parameters: Readonly<Record<string, string>> = {},
): Promise<string> {
  const file = fileURLToPath(new URL(`../../nodes/${engine}/${script}.sh`, import.meta.url));
  try {
    const { stdout } = await run('/bin/sh', [file], {
      env: { ...hosts.environment(id), ...parameters },
      timeout: SCRIPT_WITHIN_MS,
    });
    return stdout;
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    throw new Error(`${script}.sh on ${id}: ${(stderr ?? '').trim() || (error as Error).message}`, { cause: error });
  }
}

/** The JSON object that every script prints last. Throws SyntaxError when it is none. */
export const lastLine = (output: string): unknown => JSON.parse(output.trim().split('\n').pop() ?? '');
