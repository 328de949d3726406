/** Scripts whose work is a detached job. */
import { eventually, type ScriptResult } from '../galera/hosts.ts';

/** Asks a script for its job until that has ended, as the plane does. Its messages are those of every asking. */
export function ended(what: string, ask: () => Promise<ScriptResult>): Promise<ScriptResult> {
  let said = '';
  return eventually(what, 150, async () => {
    const result = await ask();
    said += result.stderr;
    return result.json?.['state'] === 'running' ? undefined : { ...result, stderr: said };
  });
}
