/** Invocations of commands, and how SSM's API shows them. */
import type { RunResult } from './commands-run.ts';

export type Status = 'Pending' | 'InProgress' | 'Success' | 'Failed' | 'TimedOut';

export interface Invocation {
  readonly commandId: string;
  readonly instanceId: string;
  readonly document: string;
  readonly comment: string;
  readonly requestedMs: number;
  status: Status;
  /** Finer than the status: `Execution Timed Out`, `Undeliverable`. */
  details: string;
  startedMs: number | null;
  endedMs: number | null;
  result: RunResult | null;
  readonly cut: AbortController;
}

const iso = (ms: number | null): string => (ms === null ? '' : new Date(ms).toISOString());

export function invocationAnswer(i: Invocation): Record<string, unknown> {
  const tookMs = i.startedMs === null || i.endedMs === null ? 0 : i.endedMs - i.startedMs;
  return {
    CommandId: i.commandId,
    InstanceId: i.instanceId,
    Comment: i.comment,
    DocumentName: i.document,
    DocumentVersion: '$DEFAULT',
    PluginName: 'aws:runShellScript',
    ResponseCode: i.result?.exitCode ?? -1,
    ExecutionStartDateTime: iso(i.startedMs),
    ExecutionElapsedTime: `PT${tookMs / 1000}S`,
    ExecutionEndDateTime: iso(i.endedMs),
    Status: i.status,
    StatusDetails: i.details,
    StandardOutputContent: i.result?.output ?? '',
    StandardOutputUrl: '',
    StandardErrorContent: i.result?.error ?? '',
    StandardErrorUrl: '',
  };
}

export const listed = (i: Invocation, withPlugins: boolean): Record<string, unknown> => ({
  CommandId: i.commandId,
  InstanceId: i.instanceId,
  Comment: i.comment,
  DocumentName: i.document,
  RequestedDateTime: i.requestedMs / 1000,
  Status: i.status,
  StatusDetails: i.details,
  CommandPlugins: withPlugins
    ? [
        {
          Name: 'aws:runShellScript',
          Status: i.status,
          StatusDetails: i.details,
          ResponseCode: i.result?.exitCode ?? -1,
          // CommandPlugin, Output: the first 2,500 characters.
          Output: (i.result?.output ?? '').slice(0, 2500),
        },
      ]
    : [],
});

export const newInvocation = (
  what: Pick<Invocation, 'commandId' | 'instanceId' | 'document' | 'comment' | 'requestedMs'>,
): Invocation => ({
  ...what,
  status: 'Pending',
  details: 'Pending',
  startedMs: null,
  endedMs: null,
  result: null,
  cut: new AbortController(),
});

/** What SendCommand answers. */
export const commandAnswer = (
  params: Readonly<Record<string, unknown>>,
  name: string,
  commandId: string,
  instanceIds: readonly string[],
  requestedMs: number,
): Record<string, unknown> => ({
  CommandId: commandId,
  DocumentName: name,
  DocumentVersion: '$DEFAULT',
  Comment: params['Comment'] ?? '',
  ExpiresAfter: requestedMs / 1000 + Number(params['TimeoutSeconds'] ?? 3600),
  Parameters: params['Parameters'] ?? {},
  InstanceIds: instanceIds,
  Targets: [],
  RequestedDateTime: requestedMs / 1000,
  Status: 'Pending',
  StatusDetails: 'Pending',
  TargetCount: instanceIds.length,
  CompletedCount: 0,
  ErrorCount: 0,
  DeliveryTimedOutCount: 0,
});

/** For the timeline: the last line of what a failed script said. */
export function outcomeOf(i: Invocation): string {
  if (i.status === 'Success') return 'succeeded';
  const last = i.result?.error.trim().split('\n').pop() ?? '';
  return `${i.details} (exit code ${i.result?.exitCode})${last === '' ? '' : `: ${last}`}`;
}

export function settle(i: Invocation, result: RunResult): void {
  i.result = result;
  i.endedMs = Date.now();
  if (result.kind === 'cut') {
    i.status = 'Failed';
    i.details = 'Undeliverable';
  } else if (result.kind === 'timedOut') {
    i.status = 'TimedOut';
    i.details = 'Execution Timed Out';
  } else {
    i.status = result.exitCode === 0 ? 'Success' : 'Failed';
    i.details = i.status;
  }
}
