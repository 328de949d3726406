/** DescribeInstances and DescribeInstanceStatus: moto's records under the states that the machines are really in. */
import type { Interceptor } from './contract.ts';
import {
  answeringEc2,
  asList,
  asStrings,
  asText,
  AwsFault,
  callMotoEc2,
  ec2Answer,
  filtersOf,
  matchesFilter,
  type QueryParams,
} from './ec2-query.ts';
import {
  buildXml,
  childrenOf,
  element,
  find,
  parseXml,
  removeElements,
  rootOf,
  setChildren,
  setText,
  textOf,
  type XmlNode,
} from './ec2-xml.ts';
import { machineOf, type HostsContext } from './hosts-context.ts';
import { STATE_CODES, type Machine } from './hosts-machine.ts';

const STATE_FILTERS = new Set(['instance-state-name', 'instance-state-code']);

/** What EC2 no longer tells of a terminated instance. */
const GONE_WITH_TERMINATION = ['privateIpAddress', 'subnetId', 'vpcId', 'networkInterfaceSet', 'groupSet'];

/** As EC2 writes it: `User initiated (2026-11-20 14:03:07 GMT)`. */
const transitionReason = (atMs: number): string =>
  `User initiated (${new Date(atMs).toISOString().slice(0, 19).replace('T', ' ')} GMT)`;

/** Puts the machine's state over what moto says in one `instancesSet` item. */
function overlay(item: XmlNode[], machine: Machine): void {
  setChildren(item, 'instanceState', [
    element('code', String(STATE_CODES[machine.state])),
    element('name', machine.state),
  ]);
  setText(item, 'reason', machine.reason === null ? '' : transitionReason(machine.reason.atMs));
  removeElements(item, ['stateReason']);
  if (machine.reason !== null) {
    item.push({ stateReason: [element('code', machine.reason.code), element('message', machine.reason.message)] });
  }
  if (machine.state === 'terminated') removeElements(item, GONE_WITH_TERMINATION);
}

const stateMatches = (machine: Machine, filters: ReturnType<typeof filtersOf>): boolean =>
  filters.every(({ name, values }) => {
    if (name === 'instance-state-name') return matchesFilter(values, machine.state);
    if (name === 'instance-state-code') return values.includes(String(STATE_CODES[machine.state]));
    return true;
  });

/** Overlays every instance below a reservation, and drops those that the state filters do not let through. */
export function overlayReservation(
  ctx: HostsContext,
  reservation: XmlNode[],
  filters: ReturnType<typeof filtersOf>,
): number {
  const set = find(reservation, 'instancesSet');
  if (set === undefined) return 0;
  const kept = childrenOf(set).filter((instance) => {
    const item = childrenOf(instance);
    const machine = ctx.machines.get(textOf(item, 'instanceId'));
    if (machine === undefined) return filters.length === 0;
    overlay(item, machine);
    return stateMatches(machine, filters);
  });
  set['instancesSet'] = kept;
  return kept.length;
}

/** Without the state filters, which are ours to judge: moto believes that everything runs. */
function withoutStateFilters(params: QueryParams): QueryParams {
  const rest = asList(params['Filter']).filter(
    (f) => typeof f === 'object' && !Array.isArray(f) && !STATE_FILTERS.has(asText(f['Name']) ?? ''),
  );
  const others = Object.fromEntries(Object.entries(params).filter(([name]) => name !== 'Filter'));
  return rest.length === 0 ? others : { ...others, Filter: rest };
}

function statusItem(machine: Machine): QueryParams {
  const running = machine.state === 'running';
  // A host that boots again while EC2 says running fails its reachability check.
  const status = !running ? 'not-applicable' : machine.up ? 'ok' : 'impaired';
  const checks: QueryParams = {
    status,
    details: running ? [{ name: 'reachability', status: machine.up ? 'passed' : 'failed' }] : [],
  };
  return {
    instanceId: machine.id,
    availabilityZone: machine.zone,
    instanceState: { code: String(STATE_CODES[machine.state]), name: machine.state },
    systemStatus: { status: running ? 'ok' : 'not-applicable', details: [] },
    instanceStatus: checks,
  };
}

function describeStatus(ctx: HostsContext, params: QueryParams) {
  const ids = asStrings(params['InstanceId']);
  const filters = filtersOf(params);
  const unknown = filters.find(({ name }) => !STATE_FILTERS.has(name) && name !== 'availability-zone');
  if (unknown !== undefined) {
    throw new AwsFault(
      'InvalidParameterValue',
      `The filter '${unknown.name}' is not known to the rehearsal's DescribeInstanceStatus; use instance-state-name, instance-state-code or availability-zone`,
    );
  }
  const all = asText(params['IncludeAllInstances']) === 'true';
  const machines = (ids.length > 0 ? ids.map((id) => machineOf(ctx, id)) : [...ctx.machines.values()])
    .filter((m) => all || m.state === 'running')
    .filter((m) => stateMatches(m, filters))
    .filter((m) => filters.every((f) => f.name !== 'availability-zone' || matchesFilter(f.values, m.zone)));
  return ec2Answer('DescribeInstanceStatus', { instanceStatusSet: machines.map(statusItem) });
}

export function describeInterceptors(ctx: HostsContext): Interceptor[] {
  return [
    {
      service: 'ec2',
      operation: 'DescribeInstances',
      before: answeringEc2(async (params) => {
        const filters = filtersOf(params).filter(({ name }) => STATE_FILTERS.has(name));
        const response = await callMotoEc2(ctx.moto, 'DescribeInstances', withoutStateFilters(params));
        if (response.status !== 200) return response;
        const document = parseXml(response.body);
        const set = find(childrenOf(rootOf(document)), 'reservationSet');
        if (set !== undefined) {
          set['reservationSet'] = childrenOf(set).filter((r) => overlayReservation(ctx, childrenOf(r), filters) > 0);
        }
        return { ...response, body: buildXml(document) };
      }),
    },
    {
      service: 'ec2',
      operation: 'DescribeInstanceStatus',
      before: answeringEc2(async (params) => describeStatus(ctx, params)),
    },
  ];
}
