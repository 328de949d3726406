/** SQS, SNS, EventBridge, Step Functions, Lambda, Secrets Manager. Source: their pages of the Service Authorization Reference. */
import { context, tagContext } from '../context.ts';
import { CannotTell, arn, listOf, need, object, onEverything, text } from './need.ts';
import type { Call, Mapper, Need } from './need.ts';

/** What a caller also needs of the key that encrypts a queue or topic (SQS: "key management", SNS: the same). */
const TO_SEND = ['kms:GenerateDataKey', 'kms:Decrypt'];
const TO_READ = ['kms:Decrypt'];

function queueArn(call: Call): string {
  const url = text(call, 'QueueUrl');
  const [account, name] = url.split('/').slice(-2);
  if (name === undefined || name === '' || !/^\d{12}$/.test(account ?? '')) {
    throw new CannotTell(`the queue URL ${url} does not end in /ACCOUNT/NAME`);
  }
  return arn({ ...call.place, account: account! }, 'sqs', name);
}

const onQueue =
  (action: string, keyActions?: readonly string[]): Mapper =>
  (call) => {
    const queue = queueArn(call);
    return [
      need(`sqs:${action}`, queue, keyActions === undefined ? {} : { keyOf: { arn: queue, actions: keyActions } }),
    ];
  };

export const sqs: Readonly<Record<string, Mapper>> = {
  SendMessage: onQueue('SendMessage', TO_SEND),
  SendMessageBatch: onQueue('SendMessage', TO_SEND),
  ReceiveMessage: onQueue('ReceiveMessage', TO_READ),
  DeleteMessage: onQueue('DeleteMessage'),
  DeleteMessageBatch: onQueue('DeleteMessage'),
  ChangeMessageVisibility: onQueue('ChangeMessageVisibility'),
  ChangeMessageVisibilityBatch: onQueue('ChangeMessageVisibility'),
  GetQueueAttributes: onQueue('GetQueueAttributes'),
  GetQueueUrl: (call) => [need('sqs:GetQueueUrl', arn(call.place, 'sqs', text(call, 'QueueName')))],
};

const publish: Mapper = (call) => {
  const topic = text(call, 'TopicArn', 'TargetArn');
  return [need('sns:Publish', topic, { keyOf: { arn: topic, actions: TO_SEND } })];
};

export const sns: Readonly<Record<string, Mapper>> = { Publish: publish, PublishBatch: publish };

export const events: Readonly<Record<string, Mapper>> = {
  PutEvents: (call) =>
    listOf(call.params['Entries']).map((entry): Need => {
      const { EventBusName: bus, Source: source, DetailType: type } = object(entry);
      const name = typeof bus === 'string' && bus !== '' ? bus : 'default';
      const target = name.startsWith('arn:') ? name : arn(call.place, 'events', `event-bus/${name}`);
      const one = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
      return need('events:PutEvents', target, {
        context: context({ 'events:source': one(source), 'events:detail-type': one(type) }),
      });
    }),
};

/** The machine's ARN without a version or alias. */
const onMachine =
  (action: string): Mapper =>
  (call) => [need(`states:${action}`, text(call, 'stateMachineArn'))];

const onExecution =
  (action: string): Mapper =>
  (call) => [need(`states:${action}`, text(call, 'executionArn'))];

export const states: Readonly<Record<string, Mapper>> = {
  // AWS's policy tables give these no resource: a task token says nothing of its machine.
  ...onEverything('states', 'SendTaskFailure', 'SendTaskHeartbeat', 'SendTaskSuccess', 'ListStateMachines'),
  StartExecution: onMachine('StartExecution'),
  StartSyncExecution: onMachine('StartSyncExecution'),
  ListExecutions: onMachine('ListExecutions'),
  DescribeStateMachine: onMachine('DescribeStateMachine'),
  DescribeExecution: onExecution('DescribeExecution'),
  GetExecutionHistory: onExecution('GetExecutionHistory'),
  RedriveExecution: onExecution('RedriveExecution'),
  StopExecution: onExecution('StopExecution'),
};

/** A function by name, partial ARN or ARN; a version or alias is part of the resource. */
function functionArn(call: Call): string {
  const name = text(call, 'FunctionName');
  const qualifier = call.params['Qualifier'];
  const whole = name.startsWith('arn:')
    ? name
    : arn(call.place, 'lambda', `function:${name.replace(/^\d{12}:function:/, '')}`);
  return typeof qualifier === 'string' && qualifier !== '' ? `${whole}:${qualifier}` : whole;
}

export const lambda: Readonly<Record<string, Mapper>> = {
  Invoke: (call) => [need('lambda:InvokeFunction', functionArn(call))],
  GetFunction: (call) => [need('lambda:GetFunction', functionArn(call))],
  GetFunctionConfiguration: (call) => [need('lambda:GetFunctionConfiguration', functionArn(call))],
};

const onSecret =
  (action: string, keyActions?: readonly string[]): Mapper =>
  async (call) => {
    const secret = await call.facts.secret(text(call, 'SecretId'));
    const keyOf = keyActions === undefined ? null : { arn: secret.arn, actions: keyActions, keyId: secret.keyId };
    const stage = call.params['VersionStage'];
    const asked = context({
      'secretsmanager:VersionStage': typeof stage === 'string' ? stage : undefined,
      'secretsmanager:SecretId': secret.arn,
    });
    const tags = tagContext(secret.tags, 'aws:ResourceTag/', 'secretsmanager:ResourceTag/');
    const values = new Map([...asked.values, ...tags.values]);
    const complete = new Set([...asked.complete, ...tags.complete]);
    return [need(`secretsmanager:${action}`, secret.arn, { context: { values, complete }, keyOf })];
  };

export const secretsmanager: Readonly<Record<string, Mapper>> = {
  GetSecretValue: onSecret('GetSecretValue', TO_READ),
  DescribeSecret: onSecret('DescribeSecret'),
};
