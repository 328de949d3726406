/**
 * Which processes of this machine belong to an emulated host: all that carry `REJOIN_HOST_DIR=<its folder>` in their
 * environment, which children inherit, and all whose standard error is a file in its folder (PostgreSQL's processes write
 * their titles over their environment). Read from /proc, so a daemon that left its process group is found too.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';

export interface HostProcess {
  readonly pid: number;
  readonly parentPid: number;
  /** As the kernel keeps it: 15 characters at most. */
  readonly name: string;
  readonly hostDir: string;
}

const HOST_VARIABLE = 'REJOIN_HOST_DIR=';

/** A process may end between two reads of its files: then it is gone, which is an answer and no error. */
async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'latin1');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES') return null;
    throw error;
  }
}

/** Where its standard error goes; null when it has ended or has none. */
async function standardError(pid: number): Promise<string | null> {
  return readlink(`/proc/${pid}/fd/2`).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ESRCH' || error.code === 'EACCES') return null;
    throw error;
  });
}

/** The host's folder that the process belongs to, out of `wanted`; null: to none of them. */
async function hostOf(pid: number, wanted: ReadonlySet<string>): Promise<string | null> {
  const environment = await readIfThere(`/proc/${pid}/environ`);
  const entry = environment?.split('\0').find((line) => line.startsWith(HOST_VARIABLE));
  if (entry !== undefined) {
    const hostDir = entry.slice(HOST_VARIABLE.length);
    return wanted.has(hostDir) ? hostDir : null;
  }
  const file = await standardError(pid);
  if (file === null) return null;
  for (const hostDir of wanted) if (file.startsWith(`${hostDir}/`)) return hostDir;
  return null;
}

async function describe(pid: number, wanted: ReadonlySet<string>): Promise<HostProcess | null> {
  const hostDir = await hostOf(pid, wanted);
  if (hostDir === null) return null;
  const stat = await readIfThere(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The name is in parentheses and may hold spaces and parentheses itself: proc(5).
  const open = stat.indexOf('(');
  const close = stat.lastIndexOf(')');
  const [state, parentPid] = stat.slice(close + 2).split(' ');
  if (state === 'Z' || state === 'X') return null;
  return {
    pid,
    parentPid: Number(parentPid),
    name: stat.slice(open + 1, close),
    hostDir,
  };
}

/** Every living process of any of these hosts. The caller itself is never among them. */
export async function processesOf(hostDirs: readonly string[]): Promise<HostProcess[]> {
  const wanted = new Set(hostDirs);
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.filter((pid) => pid !== process.pid).map((pid) => describe(pid, wanted)));
  return found.filter((p): p is HostProcess => p !== null);
}

/** Sends a signal; a process that has just ended is fine. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Ends every process of the hosts as a power cut does, and answers when none is left. A process that forks while it is
 * looked at is caught by the next round.
 * @throws Error after 10 s, naming what would not die (a process in uninterruptible sleep).
 */
export async function killAll(hostDirs: readonly string[]): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const left = await processesOf(hostDirs);
    if (left.length === 0) return;
    if (Date.now() > deadline) {
      const names = left.map((p) => `${p.name} (${p.pid})`).join(', ');
      throw new Error(`power off: still alive 10 s after SIGKILL: ${names}; end them by hand`);
    }
    for (const p of left) signal(p.pid, 'SIGKILL');
    await pause(20);
  }
}

/** Stopped, or ended: a process that was just ending stays a zombie, since its frozen parent cannot collect it. proc(5) */
const AT_REST = new Set(['T', 't', 'Z', 'X']);

/** Whether the thread, `<pid>/task/<tid>` of /proc, is at rest, or gone. */
async function isAtRest(thread: string): Promise<boolean> {
  const stat = await readIfThere(`/proc/${thread}/stat`);
  return stat === null || AT_REST.has(stat.charAt(stat.lastIndexOf(')') + 2));
}

async function threadsOf(pid: number): Promise<string[]> {
  const tids = await readdir(`/proc/${pid}/task`).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return [];
    throw error;
  });
  return tids.map((tid) => `${pid}/task/${tid}`);
}

/**
 * Sends SIGSTOP and answers when the kernel has stopped every thread of these processes: the signal takes effect a moment
 * after it was sent, and not for all threads in the same moment, so that a busy machine's server may still answer.
 * @throws Error after 2 s, naming the pid that still runs.
 */
export async function freeze(pids: readonly number[]): Promise<void> {
  for (const pid of pids) signal(pid, 'SIGSTOP');
  const deadline = Date.now() + 2000;
  for (const pid of pids) {
    while (!(await Promise.all((await threadsOf(pid)).map(isAtRest))).every(Boolean)) {
      if (Date.now() > deadline) throw new Error(`pid ${pid} still runs 2 s after SIGSTOP; is it being traced?`);
      await pause(5);
    }
  }
}

/** The chosen processes and all that they have started. */
export function withDescendants(all: readonly HostProcess[], chosen: readonly HostProcess[]): HostProcess[] {
  const result = new Map(chosen.map((p) => [p.pid, p]));
  for (let grew = true; grew;) {
    grew = false;
    for (const p of all) {
      if (!result.has(p.pid) && result.has(p.parentPid)) {
        result.set(p.pid, p);
        grew = true;
      }
    }
  }
  return [...result.values()];
}

/** Has any of the processes a file open below `folder` (so that the volume there cannot be unmounted). */
export async function holdsOpen(processes: readonly HostProcess[], folder: string): Promise<boolean> {
  for (const { pid } of processes) {
    let fds: string[];
    try {
      fds = await readdir(`/proc/${pid}/fd`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw error;
    }
    for (const fd of fds) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return '';
        throw error;
      });
      if (target.startsWith(`${folder}/`)) return true;
    }
  }
  return false;
}
