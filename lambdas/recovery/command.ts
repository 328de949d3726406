/** Runs a script on a host over several calls of a step: started once, then asked after until it ends. */
import type { CommandState } from '../cloud/ports.ts';
import { HostOffline } from '../cloud/ports.ts';
import { RecoveryError } from '../model/recovery.ts';
import type { RecoveryErrorName } from '../model/recovery.ts';
import type { Carried, Command } from './state.ts';
import type { StepContext } from './step.ts';
import { failAfter } from './wait.ts';

export interface Script {
  readonly instance: string;
  readonly document: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** `command` null: the host does not take it yet, so it is started at the next look. */
export type CommandProgress =
  { readonly kind: 'running'; readonly command: Command | null } | Exclude<CommandState, { readonly kind: 'running' }>;

/**
 * Starts the script, or asks after the one that this state already started. A step killed between the start and its
 * answer starts it twice: every script in nodes/ is idempotent for that reason.
 */
export async function advance(
  state: Carried,
  { ports }: StepContext,
  script: () => Promise<Script>,
): Promise<CommandProgress> {
  if (state.command === null) {
    const { instance, document, parameters } = await script();
    try {
      const id = await ports.hosts.start(instance, document, parameters);
      return { kind: 'running', command: { id, instance, document } };
    } catch (error) {
      if (!(error instanceof HostOffline)) throw error;
      ports.log.warn(`${document} is not started yet`, { instance, why: error.message });
      return { kind: 'running', command: null };
    }
  }
  const found = await ports.hosts.state(state.command.instance, state.command.id);
  return found.kind === 'running' ? { kind: 'running', command: state.command } : found;
}

/** Two lines are what a notification can carry. */
export const tail = (text: string): string => text.trim().split('\n').slice(-2).join(' / ').slice(-400);

/**
 * The same, for a script that must succeed: null while it runs, its output when done.
 * @throws RecoveryError `errorName` when it failed or has run for longer than `deadlineMs`.
 */
export function mustSucceed(
  progress: CommandProgress,
  context: StepContext,
  { instance, document }: Pick<Script, 'instance' | 'document'>,
  errorName: RecoveryErrorName,
  deadlineMs: number,
): string | null {
  switch (progress.kind) {
    case 'running':
      failAfter(context.waitedMs, deadlineMs, errorName, () => `${document} on ${instance} has not ended`);
      return null;
    case 'succeeded':
      return progress.output;
    case 'failed':
      throw new RecoveryError(
        errorName,
        `${document} on ${instance} failed with exit code ${progress.exitCode}: ${tail(progress.error || progress.output)}`,
      );
  }
}
