/**
 * The endpoint that every AWS client of the rehearsal talks to. A call is read, counted, checked (IAM), perhaps struck by
 * a fault, answered by an interceptor or by moto, and perhaps altered on its way back.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createCalls } from './calls.ts';
import type { Calls, CallRecord } from './calls.ts';
import type { Authorization, Authorizer, AwsRequest, AwsResponse, CloudEvent, Interceptor } from './contract.ts';
import type { Caller, Faults } from './faults.ts';
import { createForwarder } from './forward.ts';
import type { Forwarder } from './forward.ts';
import type { ContainerView } from './lambda.ts';
import { ENGINE_KEY_PREFIX } from './moto.ts';
import { deniedAnswer, errorAnswer } from './wire-answers.ts';
import { parseRequest, sessionTokenOf } from './wire.ts';

/** The platform team and the rehearsal itself: never refused, never struck. */
export const ADMIN_ACCESS_KEY_ID = 'REJOINADMIN';

/** Session tokens of Lambda's event source mappings; the function's name follows. */
export const MAPPING_TOKEN_PREFIX = 'mapping-';

/** The state machine whose execution makes the call, by name; null when it is not moto's engine that calls. */
export const stateMachineOf = (request: Pick<AwsRequest, 'accessKeyId'>): string | null =>
  request.accessKeyId?.startsWith(ENGINE_KEY_PREFIX) ? request.accessKeyId.slice(ENGINE_KEY_PREFIX.length) : null;

export interface Denial {
  readonly atMs: number;
  readonly caller: Caller;
  readonly denied: Extract<Authorization, { allowed: false }>;
}

export interface Gateway {
  readonly endpoint: string;
  readonly port: number;
  readonly calls: Calls;
  readonly denials: readonly Denial[];
  /** Calls that the gateway itself could not answer: an interceptor threw, moto was gone. Should stay empty. */
  readonly failures: readonly Error[];
  /** Where moto answers; until then every call waits. */
  forwardTo(endpoint: string): void;
  /** Later ones are asked later. Answers how to take it out. */
  use(interceptor: Interceptor): () => void;
  setAuthorizer(authorizer: Authorizer | null): void;
  stop(): Promise<void>;
}

export interface GatewayOptions {
  readonly faults: Faults;
  containerOf(token: string): ContainerView | null;
  emit(event: CloudEvent): void;
}

const fits = (interceptor: Interceptor, request: AwsRequest): boolean =>
  interceptor.service === request.service &&
  (interceptor.operation === '*' || interceptor.operation === request.operation);

async function readBody(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function write(outgoing: ServerResponse, method: string, response: AwsResponse): void {
  const headers = { ...response.headers };
  if (method !== 'HEAD' && response.status !== 204) headers['content-length'] = String(response.body.length);
  outgoing.writeHead(response.status, headers);
  outgoing.end(method === 'HEAD' ? undefined : response.body);
}

/** Listens on an ephemeral port of 127.0.0.1 (an address, so that S3 clients use path style). */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const core = new GatewayCore(options);
  const server = createServer((incoming, outgoing) => void core.serve(incoming, outgoing));
  server.requestTimeout = 0; // a Step Functions task waits as long as its Lambda runs
  server.keepAliveTimeout = 65_000;
  server.listen(0, '127.0.0.1', 1024);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    port,
    calls: core.calls,
    denials: core.denials,
    failures: core.failures,
    forwardTo: (endpoint) => core.moto.resolve(createForwarder(endpoint)),
    use: (interceptor) => core.use(interceptor),
    setAuthorizer: (authorizer) => (core.authorizer = authorizer),
    async stop() {
      if (!server.listening) return;
      server.close();
      server.closeAllConnections();
      if (core.forwarder !== null) core.forwarder.close();
    },
  };
}

class GatewayCore {
  readonly calls = createCalls();
  readonly denials: Denial[] = [];
  readonly failures: Error[] = [];
  readonly moto = Promise.withResolvers<Forwarder>();
  readonly options: GatewayOptions;
  authorizer: Authorizer | null = null;
  forwarder: Forwarder | null = null;
  private readonly interceptors: Interceptor[] = [];
  /** Keys that the CDK CLI got by assuming the bootstrap roles as the administrator. */
  private readonly adminKeys = new Set([ADMIN_ACCESS_KEY_ID]);

  constructor(options: GatewayOptions) {
    this.options = options;
    void this.moto.promise.then((forwarder) => (this.forwarder = forwarder));
  }

  use(interceptor: Interceptor): () => void {
    this.interceptors.push(interceptor);
    return () => {
      const at = this.interceptors.indexOf(interceptor);
      if (at >= 0) this.interceptors.splice(at, 1);
    };
  }

  async serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    let request: AwsRequest | null = null;
    try {
      const { method = 'GET', url = '/', headers } = incoming;
      request = parseRequest({ method, url, headers, body: await readBody(incoming) });
      const response = await this.answer(request);
      if (response === 'cut') outgoing.destroy();
      else write(outgoing, method, response);
    } catch (error) {
      // The caller sees what AWS shows of a fault on its side; the run is told that the emulation failed.
      if (incoming.destroyed && !incoming.complete) return; // the caller hung up while it sent
      this.fail(error, request);
      if (request === null) outgoing.writeHead(400).end(String(error));
      else
        write(
          outgoing,
          request.method,
          errorAnswer(request, { code: 'InternalFailure', status: 500, message: String(error) }),
        );
    }
  }

  private fail(error: unknown, request: AwsRequest | null): void {
    const call = request === null ? 'an unreadable call' : `${request.service}:${request.operation}`;
    const failure = new Error(
      `the gateway failed on ${call}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
    this.failures.push(failure);
    this.options.emit({ atMs: Date.now(), kind: 'gateway', what: failure.message });
  }

  private callerOf(request: AwsRequest, token: string | null, container: ContainerView | null): Caller {
    const machine = stateMachineOf(request);
    if (machine !== null) return { kind: 'engine', name: machine };
    if (container !== null) return { kind: 'function', name: container.functionName };
    if (token?.startsWith(MAPPING_TOKEN_PREFIX))
      return { kind: 'mapping', name: token.slice(MAPPING_TOKEN_PREFIX.length) };
    if (request.service === 'moto-api') return { kind: 'rehearsal', name: 'moto-api' };
    if (request.accessKeyId === null) return { kind: 'other', name: 'anonymous' };
    if (this.adminKeys.has(request.accessKeyId)) return { kind: 'rehearsal', name: 'rehearsal' };
    return { kind: 'other', name: request.accessKeyId };
  }

  /** `cut`: the caller's process was killed at this call, there is nobody to answer. */
  private async answer(request: AwsRequest): Promise<AwsResponse | 'cut'> {
    const token = sessionTokenOf(request);
    const container = token === null ? null : this.options.containerOf(token);
    const caller = this.callerOf(request, token, container);
    const record = this.calls.begin({
      atMs: Date.now(),
      caller,
      service: request.service,
      operation: request.operation,
    });
    const kill = container?.nextCall() ?? null;
    if (kill === 'before') return this.kill(container!, request, record, kill);
    const response = (await this.refusal(request, caller)) ?? (await this.perform(request));
    record.status = response.status;
    if (caller.kind === 'rehearsal') this.learnAdminKey(request, response);
    if (kill === 'after') return this.kill(container!, request, record, kill);
    return response;
  }

  private kill(container: ContainerView, request: AwsRequest, record: CallRecord, moment: string): 'cut' {
    container.kill();
    const what = `killed ${container.functionName} ${moment} ${record.service}:${record.operation}`;
    this.options.emit({
      atMs: Date.now(),
      kind: 'fault',
      what,
      detail: { requestId: container.requestId, url: request.url },
    });
    return 'cut';
  }

  /** What stands against the call: IAM, or an injected fault (whose latency is spent here). */
  private async refusal(request: AwsRequest, caller: Caller): Promise<AwsResponse | null> {
    if (this.authorizer !== null && caller.kind !== 'rehearsal') {
      const verdict = await this.authorizer.authorize(request);
      if (!verdict.allowed) {
        this.denials.push({ atMs: Date.now(), caller, denied: verdict });
        this.options.emit({ atMs: Date.now(), kind: 'denied', what: verdict.message });
        return deniedAnswer(request, verdict.message);
      }
    }
    const fault = this.options.faults.strike(request, caller);
    if (fault === null) return null;
    if (fault.latencyMs !== undefined) await new Promise((resolve) => setTimeout(resolve, fault.latencyMs));
    return fault.error === undefined ? null : errorAnswer(request, fault.error);
  }

  private async perform(request: AwsRequest): Promise<AwsResponse> {
    const concerned = this.interceptors.filter((interceptor) => fits(interceptor, request));
    let response: AwsResponse | undefined;
    for (const interceptor of concerned) {
      response = await interceptor.before?.(request);
      if (response !== undefined) break;
    }
    response ??= await (await this.moto.promise).send(request);
    for (const interceptor of concerned) response = (await interceptor.after?.(request, response)) ?? response;
    return response;
  }

  /** The CLI assumes the bootstrap's roles; what it does under them is still the platform team's doing. */
  private learnAdminKey(request: AwsRequest, response: AwsResponse): void {
    if (request.service !== 'sts' || request.operation !== 'AssumeRole') return;
    const key = /<AccessKeyId>([^<]+)</.exec(response.body.toString('utf8'))?.[1];
    if (key !== undefined) this.adminKeys.add(key);
  }
}
