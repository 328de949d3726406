/**
 * The SSM agent of each host. It registers after every boot with a call of its own, signed with the credentials of the
 * host's role: a role without `ssm:UpdateInstanceInformation` leaves the host unreachable for commands, as on AWS.
 */
import { createHash, createHmac } from 'node:crypto';
import type { Interceptor } from './contract.ts';
import { jsonAnswer, jsonError } from './ec2-query.ts';
import type { HostsContext } from './hosts-context.ts';
import type { Machine } from './hosts-machine.ts';

export interface RoleCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

export interface AgentOptions {
  /** The gateway, `http://127.0.0.1:PORT`. */
  readonly endpoint: string;
  readonly region: string;
  credentialsFor(roleArn: string, sessionName: string): RoleCredentials | Promise<RoleCredentials>;
}

const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/** Signature Version 4 of one JSON call to SSM. Source: AWS, "Create a signed AWS API request". */
export function signedHeaders(
  options: { readonly endpoint: string; readonly region: string },
  credentials: RoleCredentials,
  target: string,
  body: string,
  now: Date,
): Record<string, string> {
  const stamp = now.toISOString().replace(/[:-]|\.\d{3}/g, '');
  const day = stamp.slice(0, 8);
  const headers: Record<string, string> = {
    'content-type': 'application/x-amz-json-1.1',
    host: new URL(options.endpoint).host,
    'x-amz-date': stamp,
    'x-amz-security-token': credentials.sessionToken,
    'x-amz-target': target,
  };
  const names = Object.keys(headers).sort();
  const canonical = [
    'POST',
    '/',
    '',
    ...names.map((name) => `${name}:${headers[name]}`),
    '',
    names.join(';'),
    hash(body),
  ].join('\n');
  const scope = `${day}/${options.region}/ssm/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', stamp, scope, hash(canonical)].join('\n');
  const key = ['ssm', 'aws4_request'].reduce<Buffer>(
    (k, part) => hmac(k, part),
    hmac(hmac(`AWS4${credentials.secretAccessKey}`, day), options.region),
  );
  const signature = hmac(key, toSign).toString('hex');
  headers['authorization'] =
    `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  return headers;
}

/** Answers null when registered, otherwise why not. */
async function register(options: AgentOptions, machine: Machine, roleArn: string): Promise<string | null> {
  const credentials = await options.credentialsFor(roleArn, machine.id);
  machine.aws = {
    REJOIN_REGION: options.region,
    REJOIN_S3_ENDPOINT: options.endpoint,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_SESSION_TOKEN: credentials.sessionToken,
  };
  const body = JSON.stringify({
    InstanceId: machine.id,
    AgentName: 'amazon-ssm-agent',
    AgentStatus: 'Active',
    AgentVersion: '3.3.0.0',
    PlatformType: 'Linux',
    PlatformName: 'Debian GNU/Linux',
    PlatformVersion: '12',
    IPAddress: machine.address,
    ComputerName: machine.id,
  });
  const target = 'AmazonSSM.UpdateInstanceInformation';
  const response = await fetch(options.endpoint, {
    method: 'POST',
    headers: signedHeaders(options, credentials, target, body, new Date()),
    body,
  });
  const text = await response.text();
  return response.ok ? null : `${response.status} ${text.slice(0, 300)}`;
}

/**
 * The agent of a host that has just booted: tries until it is registered or the host is gone. Without `options` (no
 * gateway, as in a test of the hosts alone) the host is online at once.
 */
export async function runAgent(
  ctx: HostsContext,
  options: AgentOptions | null,
  machine: Machine,
  generation: number,
): Promise<void> {
  if (options === null) {
    machine.online = true;
    machine.lastPingMs = Date.now();
    return;
  }
  const { roleArn } = machine;
  if (roleArn === null) {
    ctx.emit('instance', `${machine.id} has no instance profile: its SSM agent cannot register`, {
      instanceId: machine.id,
    });
    return;
  }
  for (let told = false; machine.generation === generation && machine.up;) {
    const refusal = await register(options, machine, roleArn);
    if (refusal === null) return;
    if (!told) ctx.emit('instance', `the SSM agent of ${machine.id} was refused: ${refusal}`, { roleArn });
    told = true;
    if (!(await ctx.wait(1000))) return;
  }
}

interface InformationFilter {
  readonly key: string;
  readonly values: readonly string[];
}

/** Both spellings of the API: `Filters` (Key, Values) and the older `InstanceInformationFilterList` (key, valueSet). */
function filtersIn(params: Readonly<Record<string, unknown>>): InformationFilter[] {
  const newer = (params['Filters'] ?? []) as { Key?: string; Values?: string[] }[];
  const older = (params['InstanceInformationFilterList'] ?? []) as { key?: string; valueSet?: string[] }[];
  return [
    ...newer.map((f) => ({ key: f.Key ?? '', values: f.Values ?? [] })),
    ...older.map((f) => ({ key: f.key ?? '', values: f.valueSet ?? [] })),
  ];
}

const pingStatus = (machine: Machine): string => (machine.online ? 'Online' : 'ConnectionLost');

const FILTERS: Readonly<Record<string, (machine: Machine) => string>> = {
  InstanceIds: (m) => m.id,
  PingStatus: pingStatus,
  PlatformTypes: () => 'Linux',
  ResourceType: () => 'EC2Instance',
};

/** UpdateInstanceInformation (the agents' call) and DescribeInstanceInformation (the plane's). */
export function agentInterceptors(ctx: HostsContext): Interceptor[] {
  return [
    {
      service: 'ssm',
      operation: 'UpdateInstanceInformation',
      before(request) {
        const machine = ctx.machines.get(String(request.params['InstanceId']));
        if (machine === undefined || !machine.up) {
          return jsonError('InvalidInstanceId', `no running host ${String(request.params['InstanceId'])}`);
        }
        machine.online = true;
        machine.lastPingMs = Date.now();
        return jsonAnswer({});
      },
    },
    {
      service: 'ssm',
      operation: 'DescribeInstanceInformation',
      before(request) {
        const filters = filtersIn(request.params);
        const unknown = filters.find(({ key }) => FILTERS[key] === undefined);
        if (unknown !== undefined) {
          return jsonError(
            'InvalidFilterKey',
            `the rehearsal knows no filter "${unknown.key}"; use one of ${Object.keys(FILTERS).join(', ')}`,
          );
        }
        const known = [...ctx.machines.values()]
          .filter((m) => m.lastPingMs !== null)
          .filter((m) => filters.every(({ key, values }) => values.includes(FILTERS[key]!(m))));
        const from = Number(request.params['NextToken'] ?? 0);
        const to = from + Number(request.params['MaxResults'] ?? 50);
        return jsonAnswer({
          InstanceInformationList: known.slice(from, to).map((m) => ({
            InstanceId: m.id,
            PingStatus: pingStatus(m),
            LastPingDateTime: (m.lastPingMs ?? 0) / 1000,
            AgentVersion: '3.3.0.0',
            IsLatestVersion: true,
            PlatformType: 'Linux',
            ResourceType: 'EC2Instance',
            IPAddress: m.address,
            ComputerName: m.id,
          })),
          ...(to < known.length ? { NextToken: String(to) } : {}),
        });
      },
    },
  ];
}
