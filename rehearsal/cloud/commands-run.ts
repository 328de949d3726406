/** Runs the steps of one command on one host, as its SSM agent would. */
import { spawn } from 'node:child_process';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PreparedDocument, ShellStep } from './commands-document.ts';
import { signal } from './hosts-processes.ts';

/** What GetCommandInvocation shows. Source: SSM API reference, GetCommandInvocation. */
const STDOUT_CHARACTERS = 24_000;
const STDERR_CHARACTERS = 8_000;

export interface RunPlace {
  readonly hostDir: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly commandId: string;
}

export interface RunResult {
  readonly kind: 'finished' | 'timedOut' | 'cut';
  readonly exitCode: number;
  readonly output: string;
  readonly error: string;
}

/** Ends the script's process group; a service that the script started is in a session of its own and lives on. */
function endGroup(pid: number): void {
  signal(-pid, 'SIGKILL');
}

async function runStep(step: ShellStep, place: RunPlace, extra: Readonly<Record<string, string>>, cut: AbortSignal) {
  const folder = join(place.hostDir, 'ssm', place.commandId, step.name.replace(/[^A-Za-z0-9_-]/g, '_'));
  await mkdir(folder, { recursive: true });
  const script = join(folder, '_script.sh');
  await writeFile(script, step.script, { mode: 0o700 });
  // Files and not pipes: a daemon that the script leaves behind would hold a pipe open for as long as it lives.
  const [out, err] = [join(folder, 'stdout'), join(folder, 'stderr')];
  const handles = await Promise.all([open(out, 'w'), open(err, 'w')]);
  try {
    const child = spawn('/bin/sh', [script], {
      cwd: step.workingDirectory ?? place.hostDir,
      env: { ...place.environment, ...extra },
      detached: true,
      stdio: ['ignore', handles[0].fd, handles[1].fd],
    });
    const ended = await new Promise<{ kind: RunResult['kind']; exitCode: number }>((resolve, reject) => {
      let kind: RunResult['kind'] = 'finished';
      const end = (why: RunResult['kind']) => () => {
        kind = why;
        if (child.pid !== undefined) endGroup(child.pid);
      };
      const onCut = end('cut');
      const timer = setTimeout(end('timedOut'), step.timeoutSeconds * 1000);
      cut.addEventListener('abort', onCut);
      const settle = (): void => {
        clearTimeout(timer);
        cut.removeEventListener('abort', onCut);
      };
      child.once('error', (error) => {
        settle();
        reject(new Error(`command ${place.commandId}: /bin/sh could not be run: ${error.message}`));
      });
      child.once('exit', (code) => {
        settle();
        resolve({ kind: cut.aborted ? 'cut' : kind, exitCode: code ?? 137 });
      });
      if (cut.aborted) onCut();
    });
    return { ...ended, output: await readFile(out, 'utf8'), error: await readFile(err, 'utf8') };
  } finally {
    await Promise.all(handles.map((handle) => handle.close()));
  }
}

/** Runs all steps in their order; the first that fails is the last, and its exit code is the command's. */
export async function runDocument(document: PreparedDocument, place: RunPlace, cut: AbortSignal): Promise<RunResult> {
  let output = '';
  let error = '';
  let last: Pick<RunResult, 'kind' | 'exitCode'> = { kind: 'finished', exitCode: 0 };
  for (const step of document.steps) {
    const result = await runStep(step, place, document.environment, cut);
    output += result.output;
    error += result.error;
    last = { kind: result.kind, exitCode: result.exitCode };
    if (last.kind !== 'finished' || last.exitCode !== 0) break;
  }
  return { ...last, output: output.slice(0, STDOUT_CHARACTERS), error: error.slice(0, STDERR_CHARACTERS) };
}
