/** ELBv2 and Route 53. Source: Service Authorization Reference, list_awselasticloadbalancingv2 and list_amazonroute53. */
import { context, merge, requestTags, tagContext } from '../context.ts';
import { CannotTell, ids, listOf, need, object, onEverything, tagsOf, text } from './need.ts';
import type { Call, Extras, LazyKeys, Mapper, Need } from './need.ts';

const ELB_TAGS = ['elasticloadbalancing:ResourceTag/', 'aws:ResourceTag/'] as const;

const elbTagKeys = (call: Call, arn: string): LazyKeys => ({
  prefixes: ELB_TAGS.map((prefix) => prefix.toLowerCase()),
  read: async () => tagContext(await call.facts.elbTags(arn), ...ELB_TAGS),
});

const onElb = (call: Call, action: string, arn: string, extras: Extras = {}): Need =>
  need(`elasticloadbalancing:${action}`, arn, { ...extras, lazy: elbTagKeys(call, arn) });

const onGroup =
  (action: string): Mapper =>
  (call) => [onElb(call, action, text(call, 'TargetGroupArn'))];

export const elasticloadbalancing: Readonly<Record<string, Mapper>> = {
  ...onEverything(
    'elasticloadbalancing',
    'DescribeListeners',
    'DescribeLoadBalancerAttributes',
    'DescribeLoadBalancers',
    'DescribeTags',
    'DescribeTargetGroupAttributes',
    'DescribeTargetGroups',
    'DescribeTargetHealth',
  ),
  RegisterTargets: onGroup('RegisterTargets'),
  DeregisterTargets: onGroup('DeregisterTargets'),
  ModifyTargetGroup: onGroup('ModifyTargetGroup'),
  ModifyTargetGroupAttributes: onGroup('ModifyTargetGroupAttributes'),
  AddTags: (call) =>
    ids(call, 'ResourceArns').map((arn) =>
      // Set only when another call creates the resource with its tags.
      onElb(call, 'AddTags', arn, {
        context: merge(
          requestTags(tagsOf(call.params['Tags'])),
          context({ 'elasticloadbalancing:CreateAction': undefined }),
        ),
      }),
    ),
};

const bare = (id: string): string => id.replace(/^\/?(hostedzone|change)\//, '');

const onZone =
  (action: string): Mapper =>
  (call) => [need(`route53:${action}`, zone(call))];

const zone = (call: Call): string =>
  `arn:${call.place.partition}:route53:::hostedzone/${bare(text(call, 'HostedZoneId', 'Id'))}`;

/** Lower case, no trailing dot, other characters as octal escapes: what the condition key compares. */
export const normalizedRecordName = (name: string): string =>
  name
    .toLowerCase()
    .replace(/\.$/, '')
    .replace(/[^a-z0-9\-_.\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);

/** https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/specifying-conditions-route53.html */
function recordChanges(call: Call): Need[] {
  const changes = listOf(object(call.params['ChangeBatch'])['Changes']).map((change) => {
    const { Action: action, ResourceRecordSet: set } = object(change);
    const { Name: name, Type: type } = object(listOf(set)[0]);
    if (typeof action !== 'string' || typeof name !== 'string' || typeof type !== 'string') {
      throw new CannotTell(
        `a change of records is ${JSON.stringify(change)}, expected an Action and a ResourceRecordSet`,
      );
    }
    return { action, type, name: normalizedRecordName(name) };
  });
  if (changes.length === 0) throw new CannotTell('route53:ChangeResourceRecordSets came without changes');
  const all = (of: (c: (typeof changes)[number]) => string): string[] => [...new Set(changes.map(of))];
  const asked = context({
    'route53:ChangeResourceRecordSetsNormalizedRecordNames': all((c) => c.name),
    'route53:ChangeResourceRecordSetsRecordTypes': all((c) => c.type),
    'route53:ChangeResourceRecordSetsActions': all((c) => c.action),
  });
  return [need('route53:ChangeResourceRecordSets', zone(call), { context: asked })];
}

export const route53: Readonly<Record<string, Mapper>> = {
  ...onEverything('route53', 'ListHostedZones', 'ListHostedZonesByName'),
  ChangeResourceRecordSets: recordChanges,
  GetHostedZone: onZone('GetHostedZone'),
  ListResourceRecordSets: onZone('ListResourceRecordSets'),
  GetChange: (call) => [
    need('route53:GetChange', `arn:${call.place.partition}:route53:::change/${bare(text(call, 'Id'))}`),
  ],
};
