/** Systems Manager. https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html */
import { context, tagContext } from '../context.ts';
import { CannotTell, arn, ids, listOf, need, object, onEverything, stringsOf, text } from './need.ts';
import type { Call, LazyKeys, Mapper, Need } from './need.ts';

/** A parameter by name, ARN or path, with or without `:version`. A path keeps its last slash, as it was sent. */
const parameterArn = (call: Call, name: string): string =>
  name.startsWith('arn:')
    ? name
    : arn(call.place, 'ssm', `parameter/${name.replace(/^\//, '').replace(/:[^/:]+$/, '')}`);

const onParameters =
  (action: string, ...names: readonly string[]): Mapper =>
  (call) =>
    ids(call, ...names).map((name) => need(`ssm:${action}`, parameterArn(call, name)));

/** AWS's own documents belong to no account. */
function documentArn(call: Call, name: string): string {
  if (name.startsWith('arn:')) return name;
  const owner = /^(AWS|Amazon)[A-Z]*-/.test(name) ? '' : call.place.account;
  return arn({ ...call.place, account: owner }, 'ssm', `document/${name}`);
}

const SSM_TAGS = ['ssm:resourceTag/', 'aws:ResourceTag/'] as const;

const hostTags = (call: Call, id: string): LazyKeys => ({
  prefixes: SSM_TAGS.map((prefix) => prefix.toLowerCase()),
  read: async () => tagContext(await call.facts.ec2Tags(id), ...SSM_TAGS),
});

/** A managed host: an EC2 instance, or `mi-…` for one elsewhere. */
const onHost = (call: Call, action: string, id: string): Need =>
  need(
    `ssm:${action}`,
    id.startsWith('mi-') ? arn(call.place, 'ssm', `managed-instance/${id}`) : arn(call.place, 'ec2', `instance/${id}`),
    {
      lazy: hostTags(call, id),
    },
  );

function hostsOf(call: Call): readonly string[] {
  const targets = listOf(call.params['Targets']).map(object);
  const byTag = targets.find((target) => target['Key'] !== 'InstanceIds');
  if (byTag !== undefined) {
    throw new CannotTell(
      `ssm:SendCommand names its hosts by ${JSON.stringify(byTag['Key'])}; the rehearsal checks only InstanceIds`,
    );
  }
  const hosts = [...stringsOf(call.params['InstanceIds']), ...targets.flatMap((target) => stringsOf(target['Values']))];
  if (hosts.length === 0) throw new CannotTell('ssm:SendCommand names no host');
  return hosts;
}

const onOwnHost =
  (action: string): Mapper =>
  (call) => [onHost(call, action, text(call, 'InstanceId'))];

const onDocument =
  (action: string): Mapper =>
  (call) => [need(`ssm:${action}`, documentArn(call, text(call, 'Name', 'DocumentName')))];

export const ssm: Readonly<Record<string, Mapper>> = {
  ...onEverything(
    'ssm',
    'CancelCommand',
    'DescribeInstanceInformation',
    'DescribeParameters',
    'GetCommandInvocation',
    'ListAssociations',
    'ListCommandInvocations',
    'ListCommands',
    'PutComplianceItems',
    'PutInventory',
  ),
  GetParameter: onParameters('GetParameter', 'Name'),
  GetParameters: onParameters('GetParameters', 'Names'),
  PutParameter: (call) => [
    need('ssm:PutParameter', parameterArn(call, text(call, 'Name')), {
      context: context({ 'ssm:Overwrite': String(call.params['Overwrite'] === true) }),
    }),
  ],
  DeleteParameter: onParameters('DeleteParameter', 'Name'),
  GetParametersByPath: (call) => [
    need('ssm:GetParametersByPath', parameterArn(call, text(call, 'Path')), {
      context: context({ 'ssm:Recursive': String(call.params['Recursive'] === true) }),
    }),
  ],
  SendCommand: (call) => [
    need('ssm:SendCommand', documentArn(call, text(call, 'DocumentName'))),
    ...hostsOf(call).map((id) => onHost(call, 'SendCommand', id)),
  ],
  DescribeDocument: onDocument('DescribeDocument'),
  GetDocument: onDocument('GetDocument'),
  ListInstanceAssociations: onOwnHost('ListInstanceAssociations'),
  UpdateInstanceAssociationStatus: onOwnHost('UpdateInstanceAssociationStatus'),
  UpdateInstanceInformation: onOwnHost('UpdateInstanceInformation'),
};

/** The agent's channels; AWS publishes no finer resource. */
export const ec2messages = onEverything(
  'ec2messages',
  'AcknowledgeMessage',
  'DeleteMessage',
  'FailMessage',
  'GetEndpoint',
  'GetMessages',
  'SendReply',
);

export const ssmmessages = onEverything(
  'ssmmessages',
  'CreateControlChannel',
  'CreateDataChannel',
  'OpenControlChannel',
  'OpenDataChannel',
);
