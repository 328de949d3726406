/** SSM Run Command: documents from moto, scripts in the hosts' own environment, one invocation a host. */
import { GetDocumentCommand, SSMClient } from '@aws-sdk/client-ssm';
import type { AwsRequest, AwsResponse, CloudEvent, Interceptor } from './contract.ts';
import {
  commandAnswer,
  invocationAnswer,
  listed,
  newInvocation,
  outcomeOf,
  settle,
  type Invocation,
} from './commands-answers.ts';
import { DocumentFault, prepareDocument, type PreparedDocument } from './commands-document.ts';
import { runDocument } from './commands-run.ts';
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

/** Everything of Run Command but its protocol. */
class RunCommand implements Commands {
  private readonly options: CommandsOptions;
  private readonly ssm: SSMClient;
  private readonly invocations: Invocation[] = [];
  private readonly running = new Set<Promise<void>>();
  private stopped = false;

  constructor(options: CommandsOptions) {
    this.options = options;
    this.ssm = new SSMClient(clientConfig(options.moto));
  }

  async send({ params }: AwsRequest): Promise<AwsResponse> {
    const ids = targetsOf(params);
    if (!Array.isArray(ids)) return ids;
    const offline = ids.filter((id) => this.stopped || this.options.hosts.get(id)?.online !== true);
    if (offline.length > 0) {
      return jsonError('InvalidInstanceId', `Instances [[${offline.join(', ')}]] not in a valid state for account`);
    }
    const name = String(params['DocumentName']).split('/').pop()!;
    const document = await this.prepare(name, (params['Parameters'] ?? {}) as Record<string, string[]>);
    if ('status' in document) return document;
    const commandId = crypto.randomUUID();
    const requestedMs = Date.now();
    const comment = typeof params['Comment'] === 'string' ? params['Comment'] : '';
    for (const instanceId of ids) {
      this.begin(newInvocation({ commandId, instanceId, document: name, comment, requestedMs }), document);
    }
    return jsonAnswer({ Command: commandAnswer(params, name, commandId, ids, requestedMs) });
  }

  get({ params }: AwsRequest): AwsResponse {
    const { CommandId, InstanceId } = params;
    const found = this.invocations.find((i) => i.commandId === CommandId && i.instanceId === InstanceId);
    if (found !== undefined) return jsonAnswer(invocationAnswer(found));
    return jsonError(
      'InvocationDoesNotExist',
      `no invocation of command ${String(CommandId)} on ${String(InstanceId)}`,
    );
  }

  list({ params }: AwsRequest): AwsResponse {
    const { CommandId, InstanceId } = params;
    const found = this.invocations.filter(
      (i) =>
        (CommandId === undefined || i.commandId === CommandId) &&
        (InstanceId === undefined || i.instanceId === InstanceId),
    );
    return jsonAnswer({ CommandInvocations: found.map((i) => listed(i, params['Details'] === true)) });
  }

  /** Ends the scripts of one host (its power goes), or of all. */
  cut(instanceId?: string): void {
    for (const i of this.invocations) {
      if (i.result === null && (instanceId === undefined || i.instanceId === instanceId)) i.cut.abort();
    }
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.cut();
    while (this.running.size > 0) await Promise.all([...this.running]);
    this.ssm.destroy();
  }

  private begin(invocation: Invocation, document: PreparedDocument): void {
    this.invocations.push(invocation);
    this.tell(invocation, 'started');
    const work = this.run(invocation, document).finally(() => this.running.delete(work));
    this.running.add(work);
  }

  private async run(i: Invocation, document: PreparedDocument): Promise<void> {
    i.status = 'InProgress';
    i.details = 'InProgress';
    i.startedMs = Date.now();
    const { hosts } = this.options;
    const place = {
      hostDir: hosts.get(i.instanceId)!.hostDir,
      environment: hosts.environment(i.instanceId),
      commandId: i.commandId,
    };
    try {
      settle(i, await runDocument(document, place, i.cut.signal));
    } catch (error) {
      // The script could not even be started: on AWS that is a failed invocation as well, with the agent's words.
      const message = error instanceof Error ? error.message : String(error);
      settle(i, { kind: 'finished', exitCode: 1, output: '', error: message });
    }
    this.tell(i, outcomeOf(i));
  }

  /** Document and parameters made ready, or the error that SendCommand answers. */
  private async prepare(name: string, parameters: Record<string, string[]>): Promise<PreparedDocument | AwsResponse> {
    try {
      const { Content } = await this.ssm.send(new GetDocumentCommand({ Name: name, DocumentFormat: 'JSON' }));
      return prepareDocument(Content ?? '', parameters);
    } catch (error) {
      if (error instanceof DocumentFault) return jsonError(error.code, `document ${name}: ${error.message}`);
      const { name: code, message } = error as Error;
      if (code === 'InvalidDocument') return jsonError(code, `document ${name}: ${message}`);
      throw error;
    }
  }

  private tell(i: Invocation, what: string): void {
    this.options.onEvent({
      atMs: Date.now(),
      kind: 'command',
      what: `${i.document} on ${i.instanceId} ${what}`,
      detail: { commandId: i.commandId, status: i.status },
    });
  }
}

/** Plugs Run Command into the gateway. */
export function createCommands(options: CommandsOptions): Commands {
  const commands = new RunCommand(options);
  const intercept = (operation: string, before: NonNullable<Interceptor['before']>): void =>
    options.use({ service: 'ssm', operation, before });
  intercept('SendCommand', (request) => commands.send(request));
  intercept('GetCommandInvocation', (request) => commands.get(request));
  intercept('ListCommandInvocations', (request) => commands.list(request));
  options.hosts.listen({ powerOff: (id) => commands.cut(id) });
  return { stop: () => commands.stop() };
}
