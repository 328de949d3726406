/** Small typed pieces of Amazon States Language (JSONPath), and only those that AWS and moto's parser both run. */

export interface Catcher {
  readonly ErrorEquals: readonly string[];
  readonly ResultPath: string;
  readonly Next: string;
}

export interface Retrier {
  readonly ErrorEquals: readonly string[];
  readonly IntervalSeconds?: number;
  readonly MaxAttempts: number;
  readonly BackoffRate?: number;
  readonly MaxDelaySeconds?: number;
  readonly JitterStrategy?: 'FULL' | 'NONE';
}

export interface Task {
  readonly Type: 'Task';
  readonly Comment?: string;
  readonly Resource: string;
  readonly Parameters: Readonly<Record<string, unknown>>;
  readonly OutputPath: string;
  readonly TimeoutSeconds: number;
  readonly Retry: readonly Retrier[];
  readonly Catch: readonly Catcher[];
  readonly Next: string;
}

export type ChoiceRule =
  | { readonly Variable: string; readonly BooleanEquals: boolean; readonly Next: string }
  | { readonly Variable: string; readonly StringEquals: string; readonly Next: string };

export type State =
  | Task
  | { readonly Type: 'Choice'; readonly Choices: readonly ChoiceRule[]; readonly Default: string }
  | { readonly Type: 'Wait'; readonly SecondsPath: string; readonly Next: string }
  | { readonly Type: 'Succeed' }
  | { readonly Type: 'Fail'; readonly Error: string; readonly Cause: string }
  /** The cause is a text of the state. https://docs.aws.amazon.com/step-functions/latest/dg/state-fail.html */
  | { readonly Type: 'Fail'; readonly Error: string; readonly CausePath: string };

export type States = Readonly<Record<string, State>>;

export interface Definition {
  readonly Comment: string;
  readonly StartAt: string;
  readonly TimeoutSeconds: number;
  readonly States: States;
}

export interface MachineArgs {
  /** The Lambda that runs the steps. */
  readonly functionArn: string;
}

/**
 * What passes by itself: Lambda and AWS failing for now, and a function killed in the middle of a step. Every step may
 * be repeated for that reason. Lambda's own list: https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
 */
export const TRANSIENT = [
  'Lambda.ServiceException',
  'Lambda.AWSLambdaException',
  'Lambda.SdkClientException',
  'Lambda.ClientExecutionTimeoutException',
  'Lambda.TooManyRequestsException',
  'Lambda.Unknown',
  'Runtime.ExitError',
  'Sandbox.Timedout',
  'States.Timeout',
  'CloudUnavailable',
] as const;

/** About a minute and a half in all; jitter keeps the workflows of many clusters from asking in step. */
const RETRY: Retrier = {
  ErrorEquals: TRANSIENT,
  IntervalSeconds: 1,
  MaxAttempts: 8,
  BackoffRate: 2,
  MaxDelaySeconds: 20,
  JitterStrategy: 'FULL',
};

/** For the steps that clean up: retried whatever the error, but for the two that time does not mend. */
const RETRY_ALL: readonly Retrier[] = [
  { ErrorEquals: ['ClaimLost', 'BrakeEngaged'], MaxAttempts: 0 },
  { ...RETRY, ErrorEquals: ['States.ALL'] },
];

/** Longer than the function's own timeout, so that this one speaks only when the invocation itself is lost. */
const STEP_TIMEOUT_SECONDS = 150;

/** On these errors, go there; the error is left in `$.error`. */
export const onError = (next: string, ...errors: readonly string[]): Catcher => ({
  ErrorEquals: errors,
  ResultPath: '$.error',
  Next: next,
});

export interface StepOptions {
  readonly comment?: string;
  /** Before the catch-all. */
  readonly catches?: readonly Catcher[];
  /** Where everything else goes. */
  readonly otherwise: string;
  /** Retried whatever the error: for the steps that clean up. */
  readonly always?: boolean;
}

/** A step: one invocation, given its name, the execution and the state; its answer is the next state. */
export function task({ functionArn }: MachineArgs, step: string, next: string, options: StepOptions): Task {
  return {
    Type: 'Task',
    ...(options.comment === undefined ? {} : { Comment: options.comment }),
    Resource: 'arn:aws:states:::lambda:invoke',
    Parameters: {
      FunctionName: functionArn,
      Payload: {
        step,
        'execution.$': '$$.Execution.Id',
        'started.$': '$$.Execution.StartTime',
        'state.$': '$',
      },
    },
    OutputPath: '$.Payload',
    TimeoutSeconds: STEP_TIMEOUT_SECONDS,
    Retry: options.always === true ? RETRY_ALL : [RETRY],
    Catch: [
      onError('Withdraw', 'ClaimLost', 'GivesWay'),
      ...(options.catches ?? []),
      onError(options.otherwise, 'States.ALL'),
    ].filter((c) => c.Next !== step),
    Next: next,
  };
}

/** Goes by `$.path`; each rule is a value of it and the state it leads to. */
export const byPath = (paths: Readonly<Record<string, string>>, otherwise: string): State => ({
  Type: 'Choice',
  Choices: Object.entries(paths).map(([path, Next]) => ({ Variable: '$.path', StringEquals: path, Next })),
  Default: otherwise,
});

/**
 * A step that may have to wait: asked again after `$.waitSeconds` until it answers `ready`. Its deadline is its own,
 * past which it fails by name. The step chooses the pace, so that long waiting stays below the limit of 25,000 events.
 */
export const poll = (args: MachineArgs, step: string, next: string, options: StepOptions): States => ({
  [step]: task(args, step, `${step}Ready`, options),
  [`${step}Ready`]: {
    Type: 'Choice',
    Choices: [{ Variable: '$.ready', BooleanEquals: true, Next: next }],
    Default: `${step}Wait`,
  },
  [`${step}Wait`]: { Type: 'Wait', SecondsPath: '$.waitSeconds', Next: step },
});

/** The three ends that all machines share. */
export const endings = (args: MachineArgs, what: string): States => ({
  Report: task(args, 'Report', 'Done', { otherwise: 'Escalate', always: true }),
  Done: { Type: 'Succeed' },
  Withdraw: task(args, 'Withdraw', 'Withdrawn', {
    comment: 'Somebody else holds the claim, or needs it more: touches nothing, tells nobody',
    otherwise: 'Withdrawn',
    always: true,
  }),
  Withdrawn: { Type: 'Succeed' },
  Escalate: task(args, 'Escalate', 'GaveUp', { otherwise: 'GaveUp', always: true }),
  GaveUp: {
    Type: 'Fail',
    Error: 'GaveUp',
    Cause: `The ${what} gave up. The reason is on the incident's record, in the notification and in the caught error.`,
  },
});
