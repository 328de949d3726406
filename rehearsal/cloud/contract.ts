/**
 * The emulated AWS as the rest of the rehearsal sees it. moto holds the state; the gateway stands in front of it and
 * adds what moto has not (Lambda, event source mappings, schedules, events, hosts, balancers, DNS, IAM).
 */

/** One AWS API call, parsed from any of AWS's wire protocols (query, ec2, json 1.0/1.1, rest-xml, rest-json). */
export interface AwsRequest {
  /** As in IAM: `ec2`, `elasticloadbalancing`, `route53`, `sqs`, `ssm`, `states`, `dynamodb`, `lambda`, … */
  readonly service: string;
  /** `RunInstances`, `SendMessage`, … */
  readonly operation: string;
  /** Parameters as AWS names them; query lists (`InstanceId.1`) come as arrays, JSON bodies as they are. */
  readonly params: Readonly<Record<string, unknown>>;
  /** Access key id of the caller, from the Authorization header; null when unsigned. */
  readonly accessKeyId: string | null;
  readonly method: string;
  /** Path and query as sent. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

export interface AwsResponse {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

/**
 * Stands between callers and moto for one operation. `before` may answer in moto's place; `after` sees moto's answer and
 * may replace it. Both may be asynchronous. Registered in order; the first `before` that answers wins.
 */
export interface Interceptor {
  readonly service: string;
  /** `*` for every operation of the service. */
  readonly operation: string;
  before?(request: AwsRequest): Promise<AwsResponse | undefined> | AwsResponse | undefined;
  after?(request: AwsRequest, response: AwsResponse): Promise<AwsResponse | undefined> | AwsResponse | undefined;
}

/** What the gateway asks before it forwards a call. Implemented by `rehearsal/iam/`. */
export interface Authorizer {
  authorize(request: AwsRequest): Promise<Authorization>;
}

export type Authorization =
  | { readonly allowed: true; readonly principal: string }
  /** `message` is worded as AWS does: "User: … is not authorized to perform: … on resource: …". */
  | {
      readonly allowed: false;
      readonly principal: string;
      readonly action: string;
      readonly resource: string;
      readonly message: string;
    };

/** Something for the timeline. */
export interface CloudEvent {
  readonly atMs: number;
  /** `lambda`, `event`, `instance`, `target`, `dns`, `workflow`, `command`, `fault`, … */
  readonly kind: string;
  readonly what: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

export interface Delays {
  /** From an EC2 state change to its event in the queue. Seen on AWS: about 0.1 to 1 s, best effort. */
  readonly eventMs: number;
  /** From RunInstances or StartInstances to a host that runs (a small Linux image takes 10 to 40 s on EC2). */
  readonly bootMs: number;
  /** From TerminateInstances or StopInstances (clean) to the power going off, at most. */
  readonly shutdownMs: number;
  /** From the end of that shutdown to EC2 saying terminated or stopped; none when left out. Seen on AWS: 10 s and more. */
  readonly powerOffMs?: number;
  /** From StopInstances with Force to `stopped`. */
  readonly forceStopMs: number;
}

/** Injected failure of AWS calls. */
export interface FaultRule {
  /** IAM service name, or `*`. */
  readonly service: string;
  readonly operation: string;
  /** What happens: an AWS error of that code and status, or only latency. */
  readonly error?: { readonly code: string; readonly status: number; readonly message?: string };
  readonly latencyMs?: number;
  /** Share of the matching calls, 0 to 1. */
  readonly probability: number;
  /** Stops after so many. */
  readonly times?: number;
  /** Only calls of this function (name contains). Without it, all callers but the rehearsal itself. */
  readonly functionName?: string;
}

/** Kills a function's process at a chosen moment, as a crash or an out-of-memory does. */
export interface KillRule {
  /** The function's name contains this. */
  readonly functionName: string;
  /** Matched against the invocation's payload, such as `{ step: 'Launch' }`; all of it when left out. */
  readonly payload?: Readonly<Record<string, unknown>>;
  /**
   * Kill when the invocation makes its nth AWS call (1 is the first), before or after AWS has carried it out; or at its
   * end (whatever `atCall` says): everything is done, and nobody hears of it.
   */
  readonly atCall: number;
  readonly moment: 'before' | 'after' | 'end';
  /** How many invocations are killed. */
  readonly times: number;
}

export interface FunctionSpec {
  readonly name: string;
  /** Folder that holds the bundle. */
  readonly codeDir: string;
  /** `index.handler`. */
  readonly handler: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutSeconds: number;
  readonly memoryMb: number;
  readonly roleArn: string;
  /** Invocations at one time at most; the rehearsal's default when left out. */
  readonly reservedConcurrency?: number;
  /** What happens to asynchronous events that fail; Lambda's defaults when left out (two retries, six hours, nothing). */
  readonly asyncEvents?: {
    readonly retries: number;
    readonly maximumAgeSeconds: number;
    readonly onFailureQueueUrl: string | null;
  };
}
