/** What the host folders of both engines share. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The stand-in for systemctl that runs the host's one service. */
export const SYSTEMCTL = fileURLToPath(new URL('./systemctl', import.meta.url));

const quoted = (value: string): string => `'${value.replaceAll("'", `'\\''`)}'`;

/** Writes node.env, the one file from which the host's scripts learn everything. Answers its path. */
export async function environmentFile(hostDir: string, env: Readonly<Record<string, string>>): Promise<string> {
  const file = join(hostDir, 'node.env');
  await writeFile(
    file,
    Object.entries(env)
      .map(([name, value]) => `${name}=${quoted(value)}\n`)
      .join(''),
  );
  return file;
}
