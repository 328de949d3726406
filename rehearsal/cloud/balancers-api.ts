/** The target group calls of the ELB API, answered from the groups at work. */
import type { AwsRequest, AwsResponse, Interceptor } from './contract.ts';
import type { TargetGroup } from './balancers-group.ts';
import { attributeProblem, healthOf } from './balancers-targets.ts';
import { asList, asObject, asText, AwsFault, decodeQuery, elbAnswer, elbError, type QueryParams } from './ec2-query.ts';
import type { Hosts } from './hosts.ts';

const answering =
  (handle: (params: QueryParams) => Promise<AwsResponse>) =>
  async (request: AwsRequest): Promise<AwsResponse> => {
    try {
      return await handle(decodeQuery(request.body));
    } catch (error) {
      if (error instanceof AwsFault) return elbError(error.code, error.message, error.status);
      throw error;
    }
  };

interface TargetParam {
  readonly id: string;
  readonly port: number;
}

const targetsIn = (params: QueryParams, group: TargetGroup): TargetParam[] =>
  asList(params['Targets']).map((item) => {
    const { Id, Port } = asObject(item);
    return { id: asText(Id) ?? '', port: Number(asText(Port) ?? group.settings.port) };
  });

export const arnIn = (params: QueryParams): string => asText(params['TargetGroupArn']) ?? '';

const attributeList = (group: TargetGroup): QueryParams => ({
  Attributes: Object.entries(group.attributes).map(([Key, Value]) => ({ Key, Value })),
});

/** @throws AwsFault TargetGroupNotFound */
export type GroupLookup = (arn: string) => Promise<TargetGroup>;

export function targetGroupInterceptors(groupOf: GroupLookup, hosts: Pick<Hosts, 'get'>): Interceptor[] {
  const intercept = (operation: string, handle: (params: QueryParams) => Promise<AwsResponse>): Interceptor => ({
    service: 'elasticloadbalancing',
    operation,
    before: answering(handle),
  });
  return [
    intercept('RegisterTargets', async (params) => {
      const group = await groupOf(arnIn(params));
      const wanted = targetsIn(params, group);
      const bad = wanted.filter(({ id }) => hosts.get(id)?.state !== 'running').map(({ id }) => `'${id}'`);
      if (bad.length > 0) {
        throw new AwsFault(
          'InvalidTarget',
          `The following targets are not in a running state and cannot be registered: ${bad.join(', ')}`,
        );
      }
      for (const { id, port } of wanted) group.register(id, port);
      return elbAnswer('RegisterTargets', {});
    }),
    intercept('DeregisterTargets', async (params) => {
      const group = await groupOf(arnIn(params));
      for (const { id, port } of deregistrations(params, group)) group.deregister(id, port);
      return elbAnswer('DeregisterTargets', {});
    }),
    intercept('DescribeTargetHealth', async (params) => {
      const group = await groupOf(arnIn(params));
      const answer = describeHealth(group, params);
      // Nobody is told of a healthy target that the balancer does not know yet.
      await group.settled();
      return answer;
    }),
    intercept('DescribeTargetGroupAttributes', async (params) =>
      elbAnswer('DescribeTargetGroupAttributes', attributeList(await groupOf(arnIn(params)))),
    ),
    intercept('ModifyTargetGroupAttributes', async (params) => {
      const group = await groupOf(arnIn(params));
      const changes = asList(params['Attributes']).map((item) => {
        const { Key, Value } = asObject(item);
        return { key: asText(Key) ?? '', value: asText(Value) ?? '' };
      });
      for (const { key, value } of changes) {
        const problem = attributeProblem(key, value);
        if (problem !== null) throw new AwsFault('InvalidConfigurationRequest', problem);
      }
      for (const { key, value } of changes) group.attributes[key] = value;
      return elbAnswer('ModifyTargetGroupAttributes', attributeList(group));
    }),
  ];
}

/** A target that is named without a port leaves with every port it was registered with. */
function deregistrations(params: QueryParams, group: TargetGroup): readonly TargetParam[] {
  return asList(params['Targets']).flatMap((item) => {
    const { Id, Port } = asObject(item);
    const matches = group.targets().filter((t) => t.id === Id && (Port === undefined || t.port === Number(Port)));
    return matches.map(({ id, port }) => ({ id, port }));
  });
}

function describeHealth(group: TargetGroup, params: QueryParams): AwsResponse {
  const asked = targetsIn(params, group);
  const shown = asked.length > 0 ? asked : group.targets();
  return elbAnswer('DescribeTargetHealth', {
    TargetHealthDescriptions: shown.map(({ id, port }) => {
      const target = group.find(id, port);
      const health =
        target === undefined
          ? {
              state: 'unused',
              reason: 'Target.NotRegistered',
              description: 'Target is not registered to the target group',
            }
          : healthOf(target, group.inUse());
      return {
        Target: { Id: id, Port: String(port) },
        HealthCheckPort: String(group.settings.checkPort ?? port),
        TargetHealth: {
          State: health.state,
          ...(health.reason === null ? {} : { Reason: health.reason }),
          ...(health.description === null ? {} : { Description: health.description }),
        },
      };
    }),
  });
}
