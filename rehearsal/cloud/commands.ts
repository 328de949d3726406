/** SSM Run Command: documents from moto, scripts in the hosts' own environment, one invocation a host. */
import { GetDocumentCommand, SSMClient } from '@aws-sdk/client-ssm';
import type { AwsRequest, AwsResponse, CloudEvent, Interceptor } from './contract.ts';
import { DocumentFault, prepareDocument, type PreparedDocument } from './commands-document.ts';
import { runDocument, type RunResult } from './commands-run.ts';
import { jsonAnswer, jsonError, type MotoEndpoint } from './ec2-query.ts';
import { clientConfig, type Hosts } from './hosts.ts';

export interface CommandsOptions {
  readonly moto: MotoEndpoint;
  use(interceptor: Interceptor): void;
  onEvent(event: CloudEvent): void;
  readonly hosts: Pick<Hosts, 'get' | 'environment' | 'listen'>;
}

export interface Commands {
  /** Ends the scripts that still run and waits for them. Can be called twice. */
  stop(): Promise<void>;
}

type Status = 'Pending' | 'InProgress' | 'Success' | 'Failed' | 'TimedOut';

interface Invocation {
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

function invocationAnswer(i: Invocation): Record<string, unknown> {
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

const listed = (i: Invocation, withPlugins: boolean): Record<string, unknown> => ({
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

/** Instances named by `InstanceIds` or by a target of that key; by tag is not emulated and refused. */
function targetsOf(params: Readonly<Record<string, unknown>>): string[] | AwsResponse {
  const targets = (params['Targets'] ?? []) as { Key?: string; Values?: string[] }[];
  const foreign = targets.find(({ Key }) => Key !== 'InstanceIds');
  if (foreign !== undefined) {
    return jsonError(
      'InvalidTarget',
      `the rehearsal knows no target "${foreign.Key ?? ''}"; name instances by InstanceIds`,
    );
  }
  const ids = [...((params['InstanceIds'] ?? []) as string[]), ...targets.flatMap((t) => t.Values ?? [])];
  return ids.length === 0 ? jsonError('InvalidInstanceId', 'no instance named; give InstanceIds') : [...new Set(ids)];
}

function begin(i: Invocation): void {
  i.status = 'InProgress';
  i.details = 'InProgress';
  i.startedMs = Date.now();
}

function settle(i: Invocation, result: RunResult): void {
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

/** Plugs Run Command into the gateway. */
export function createCommands(options: CommandsOptions): Commands {
  const ssm = new SSMClient(clientConfig(options.moto));
  const invocations: Invocation[] = [];
  const running = new Set<Promise<void>>();
  let stopped = false;

  const tell = (i: Invocation, what: string): void =>
    options.onEvent({
      atMs: Date.now(),
      kind: 'command',
      what: `${i.document} on ${i.instanceId} ${what}`,
      detail: { commandId: i.commandId, status: i.status },
    });

  async function run(i: Invocation, document: PreparedDocument): Promise<void> {
    begin(i);
    const host = options.hosts.get(i.instanceId)!;
    const place = {
      hostDir: host.hostDir,
      environment: options.hosts.environment(i.instanceId),
      commandId: i.commandId,
    };
    try {
      settle(i, await runDocument(document, place, i.cut.signal));
    } catch (error) {
      // The script could not even be started: on AWS that is a failed invocation as well, with the agent's words.
      const message = error instanceof Error ? error.message : String(error);
      settle(i, { kind: 'finished', exitCode: 1, output: '', error: message });
    }
    const tail = i.result?.error.trim().split('\n').pop() ?? '';
    tell(i, i.status === 'Success' ? 'succeeded' : `${i.details} (${i.result?.exitCode})${tail ? `: ${tail}` : ''}`);
  }

  async function prepare(name: string, parameters: Record<string, string[]>): Promise<PreparedDocument | AwsResponse> {
    let content: string;
    try {
      content = (await ssm.send(new GetDocumentCommand({ Name: name, DocumentFormat: 'JSON' }))).Content ?? '';
    } catch (error) {
      const { name: code, message } = error as Error;
      if (code === 'InvalidDocument') return jsonError(code, `document ${name}: ${message}`);
      throw error;
    }
    try {
      return prepareDocument(content, parameters);
    } catch (error) {
      if (error instanceof DocumentFault) return jsonError(error.code, `document ${name}: ${error.message}`);
      throw error;
    }
  }

  async function send({ params }: AwsRequest): Promise<AwsResponse> {
    const ids = targetsOf(params);
    if (!Array.isArray(ids)) return ids;
    const offline = ids.filter((id) => options.hosts.get(id)?.online !== true);
    if (offline.length > 0 || stopped) {
      return jsonError('InvalidInstanceId', `Instances [[${offline.join(', ')}]] not in a valid state for account`);
    }
    const name = String(params['DocumentName']).split('/').pop()!;
    const parameters = (params['Parameters'] ?? {}) as Record<string, string[]>;
    const document = await prepare(name, parameters);
    if ('status' in document) return document;
    const commandId = crypto.randomUUID();
    const requestedMs = Date.now();
    for (const instanceId of ids) {
      const invocation: Invocation = {
        commandId,
        instanceId,
        document: name,
        comment: typeof params['Comment'] === 'string' ? params['Comment'] : '',
        requestedMs,
        status: 'Pending',
        details: 'Pending',
        startedMs: null,
        endedMs: null,
        result: null,
        cut: new AbortController(),
      };
      invocations.push(invocation);
      tell(invocation, 'started');
      const work = run(invocation, document).finally(() => running.delete(work));
      running.add(work);
    }
    return jsonAnswer({
      Command: {
        CommandId: commandId,
        DocumentName: name,
        DocumentVersion: '$DEFAULT',
        Comment: params['Comment'] ?? '',
        ExpiresAfter: requestedMs / 1000 + Number(params['TimeoutSeconds'] ?? 3600),
        Parameters: parameters,
        InstanceIds: ids,
        Targets: [],
        RequestedDateTime: requestedMs / 1000,
        Status: 'Pending',
        StatusDetails: 'Pending',
        TargetCount: ids.length,
        CompletedCount: 0,
        ErrorCount: 0,
        DeliveryTimedOutCount: 0,
      },
    });
  }

  function get({ params }: AwsRequest): AwsResponse {
    const found = invocations.find((i) => i.commandId === params['CommandId'] && i.instanceId === params['InstanceId']);
    if (found !== undefined) return jsonAnswer(invocationAnswer(found));
    return jsonError(
      'InvocationDoesNotExist',
      `no invocation of command ${String(params['CommandId'])} on ${String(params['InstanceId'])}`,
    );
  }

  function list({ params }: AwsRequest): AwsResponse {
    const { CommandId, InstanceId } = params;
    const found = invocations.filter(
      (i) =>
        (CommandId === undefined || i.commandId === CommandId) &&
        (InstanceId === undefined || i.instanceId === InstanceId),
    );
    return jsonAnswer({ CommandInvocations: found.map((i) => listed(i, params['Details'] === true)) });
  }

  const cutAll = (which: (i: Invocation) => boolean): void => {
    for (const i of invocations) if (i.result === null && which(i)) i.cut.abort();
  };
  options.hosts.listen({ powerOff: (id) => cutAll((i) => i.instanceId === id) });
  options.use({ service: 'ssm', operation: 'SendCommand', before: send });
  options.use({ service: 'ssm', operation: 'GetCommandInvocation', before: get });
  options.use({ service: 'ssm', operation: 'ListCommandInvocations', before: list });
  return {
    async stop() {
      stopped = true;
      cutAll(() => true);
      while (running.size > 0) await Promise.all([...running]);
      ssm.destroy();
    },
  };
}
