/**
 * A script that works on detached: each of its commands ends soon, with JSON that says `"state":"running"` until it has done
 * all. Started again with the same parameters it goes on, or tells its result (docs/archive.md).
 */
import * as z from 'zod/mini';
import { RecoveryError } from '../model/recovery.ts';
import type { RecoveryErrorName } from '../model/recovery.ts';
import { advance, mustSucceed, tail } from './command.ts';
import type { Script } from './command.ts';
import type { Carried } from './state.ts';
import type { StepContext } from './step.ts';
import { pollSeconds } from './wait.ts';

/** Another command asks at this moment; or the work died without a word, and begins anew. Both pass. */
const PASSES = new Set([14, 33]);
/** How often in a row. */
const STUMBLES = 5;
/** Asked seldom, so that hours of work stay below the 25,000 events of an execution. */
const LONGEST_WAIT_SECONDS = 60;

/** What a state carries for a job. */
export const jobSchema = { stumbles: z._default(z.number(), 0) };

type JobState = Carried & { readonly stumbles: number };
export type Ask = Partial<Pick<JobState, 'ready' | 'waitSeconds' | 'command' | 'stumbles'>>;

export type JobProgress =
  | { readonly kind: 'running'; readonly said: Readonly<Record<string, unknown>>; readonly ask: Ask }
  | { readonly kind: 'done'; readonly answer: unknown };

const spoken = z.looseObject({ state: z.string() });

/** @throws RecoveryError `errorName`: it failed, answered no JSON, or has worked for longer than `deadlineMs`. */
export async function work(
  state: JobState,
  context: StepContext,
  script: Script,
  errorName: RecoveryErrorName,
  deadlineMs: number,
): Promise<JobProgress> {
  const progress = await advance(state, context, () => Promise.resolve(script));
  const again = (stumbles: number, said: Readonly<Record<string, unknown>> = {}): JobProgress => {
    const waitSeconds = pollSeconds(context.waitedMs, LONGEST_WAIT_SECONDS);
    return { kind: 'running', said, ask: { ready: false, waitSeconds, command: null, stumbles } };
  };
  if (progress.kind === 'failed' && PASSES.has(progress.exitCode) && state.stumbles < STUMBLES) {
    context.ports.log.warn(`${script.document} stumbled`, { instance: script.instance, why: tail(progress.error) });
    return again(state.stumbles + 1);
  }
  const output = mustSucceed(progress, context, script, errorName, deadlineMs);
  if (output === null) {
    const command = progress.kind === 'running' ? progress.command : null;
    return { kind: 'running', said: {}, ask: { ready: false, command } };
  }
  const said = read(output, script, errorName);
  if (said.state !== 'running') return { kind: 'done', answer: said };
  mustSucceed({ kind: 'running', command: null }, context, script, errorName, deadlineMs);
  return again(0, said);
}

function read(output: string, { document, instance }: Script, errorName: RecoveryErrorName): z.output<typeof spoken> {
  const line = output.trim().split('\n').at(-1) ?? '';
  try {
    const parsed = spoken.safeParse(JSON.parse(line));
    if (parsed.success) return parsed.data;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new RecoveryError(
    errorName,
    `${document} on ${instance} answered ${JSON.stringify(line.slice(0, 200))}; expected JSON with its state`,
  );
}

/** The job's last answer, by its form. @throws RecoveryError `errorName` naming what is wrong with it. */
export function parseAnswer<T extends z.ZodMiniType>(
  schema: T,
  answer: unknown,
  { document, instance }: Script,
  errorName: RecoveryErrorName,
): z.output<T> {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ');
  throw new RecoveryError(
    errorName,
    `${document} on ${instance} answered ${JSON.stringify(answer).slice(0, 400)}: ${problems}`,
  );
}
