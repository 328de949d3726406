/** Runs a contestant's command under `measure.py`, which counts what all of its processes take. */
import { spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cleanup } from '../../rehearsal/cleanup.ts';
import type { Step, Usage } from './kinds.ts';

const MEASURE = join(import.meta.dirname, 'measure.py');
/** Of a log, as much as a message should show. */
const TAIL_BYTES = 2000;
/** Kernel ticks a second, as `/proc` counts: the same on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

interface Answer extends Usage {
  readonly exitCode: number;
}

export interface Runner {
  /** Answers what the step took. Throws Error with the end of its output when it fails or does not end in time. */
  run(step: Step, withinSeconds: number): Promise<Usage>;
}

/** Logs and reports go to `dir`. What runs is ended by the clean-up. */
export function runner(dir: string, cleanup: Cleanup): Runner {
  let count = 0;
  const running = new Set<() => Promise<void>>();
  cleanup.add('what is measured', () => Promise.all([...running].map((end) => end())));
  return {
    async run(step, withinSeconds) {
      count += 1;
      const [logFile, reportFile] = [join(dir, `${count}-${step.name}.log`), join(dir, `${count}-${step.name}.json`)];
      const log = await open(logFile, 'w');
      const measured = ['python3', MEASURE, reportFile, ...step.command];
      const child = spawn('setpriv', ['--pdeathsig', 'SIGTERM', ...measured], {
        ...{ cwd: step.cwd, stdio: ['ignore', log.fd, log.fd] },
        env: { PATH: process.env['PATH'], LANG: 'C.UTF-8', ...step.env },
      });
      const ended = new Promise<number | null>((resolve, reject) => {
        child.once('error', reject);
        child.once('exit', (code) => resolve(code));
      });
      const end = async (): Promise<void> => {
        child.kill('SIGTERM');
        await ended;
      };
      running.add(end);
      const limit = setTimeout(() => child.kill('SIGTERM'), withinSeconds * 1000);
      try {
        const code = await ended;
        const answer = code === 0 ? (JSON.parse(await readFile(reportFile, 'utf8')) as Answer) : null;
        if (answer?.exitCode === 0) return withoutCode(answer);
        const tail = (await readFile(logFile, 'utf8')).slice(-TAIL_BYTES);
        const how = answer === null ? `did not end within ${withinSeconds} s` : `ended with ${answer.exitCode}`;
        throw new Error(`${step.command.slice(0, 6).join(' ')} ${how}; the end of its output:\n${tail}`);
      } finally {
        clearTimeout(limit);
        running.delete(end);
        await log.close();
      }
    },
  };
}

const withoutCode = ({ seconds, userSeconds, systemSeconds, peakRssBytes }: Answer): Usage => ({
  ...{ seconds, userSeconds, systemSeconds, peakRssBytes },
});

/** CPU seconds, user and system, that a process and those of its children that ended and were waited for have used. */
export async function cpuSecondsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // utime, stime, cutime, cstime: fields 14 to 17 of proc(5), of which two are cut off.
  const ticks = fields.slice(11, 15).reduce((total, field) => total + Number(field), 0);
  return ticks / TICKS_PER_SECOND;
}
