/**
 * Processes of a host that is a folder: those whose working directory lies in it. (PostgreSQL's backends overwrite their
 * environment with their titles, so the folder cannot be read from there.)
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { freeze, signal } from '../../rehearsal/cloud/hosts-processes.ts';

/** Processes end while they are looked at: then they are none of the host's. */
async function unlessGone<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES') return null;
    throw error;
  }
}

export async function processesIn(dir: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const inside = await Promise.all(
    pids.map(async (pid) => {
      const cwd = await unlessGone(readlink(`/proc/${pid}/cwd`));
      return cwd === dir || cwd?.startsWith(`${dir}/`) === true;
    }),
  );
  return pids.filter((pid, i) => inside[i] === true && pid !== process.pid);
}

/** SIGKILL to every process of the host until none is left. */
export async function killHost(dir: string): Promise<void> {
  const deadlineMs = Date.now() + 10_000;
  for (;;) {
    const pids = await processesIn(dir);
    if (pids.length === 0) return;
    if (Date.now() > deadlineMs) throw new Error(`processes ${pids.join(', ')} of ${dir} live 10 s after SIGKILL`);
    for (const pid of pids) signal(pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** SIGSTOP to every process of the host; answers when the kernel has stopped them. */
export async function freezeHost(dir: string): Promise<readonly number[]> {
  const pids = await processesIn(dir);
  await freeze(pids);
  return pids;
}

export async function thawHost(dir: string): Promise<void> {
  for (const pid of await processesIn(dir)) signal(pid, 'SIGCONT');
}

/** kill -9 of the postmaster whose data directory this is; its children end themselves. */
export async function killPostmaster(dataDir: string): Promise<void> {
  const [line] = (await readFile(`${dataDir}/postmaster.pid`, 'utf8')).split('\n');
  const pid = Number(line);
  if (!Number.isInteger(pid) || pid < 2)
    throw new Error(`${dataDir}/postmaster.pid begins with ${JSON.stringify(line)}`);
  signal(pid, 'SIGKILL');
}
