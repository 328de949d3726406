/** What the scripts that Rejoin ran on a host have answered: the JSON object that each prints last. */
import { glob, readFile } from 'node:fs/promises';

/** In no order; outputs of scripts that failed are left out. */
export async function answersOn(hostDir: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const answers: Readonly<Record<string, unknown>>[] = [];
  for await (const file of glob('ssm/*/*/stdout', { cwd: hostDir })) {
    const last = (await readFile(`${hostDir}/${file}`, 'utf8')).trim().split('\n').pop() ?? '';
    if (last.startsWith('{')) answers.push(JSON.parse(last) as Readonly<Record<string, unknown>>);
  }
  return answers;
}
