/** AWS's wire protocols, read: from an HTTP request to service, operation and parameters. */
import { gunzipSync } from 'node:zlib';
import type { AwsRequest } from './contract.ts';
import { parseForm } from './wire-forms.ts';
import { headerOf } from './wire-headers.ts';
import { parseRest } from './wire-rest.ts';

export type RawRequest = Pick<AwsRequest, 'method' | 'url' | 'headers' | 'body'>;

/** How a service speaks. Source: the `protocols` trait of each service's model in the AWS SDKs. */
export type Protocol = 'ec2' | 'query' | 'json' | 'rest-json' | 'rest-xml' | 's3' | 'cbor';

const QUERY_SERVICES = new Set(['elasticloadbalancing', 'sns', 'cloudformation', 'iam', 'sts', 'autoscaling']);
const REST_JSON_SERVICES = new Set(['lambda', 'scheduler', 'pipes', 'xray']);

/** Signing names that differ from the name that IAM policies use. */
const IAM_NAMES: Readonly<Record<string, string>> = { monitoring: 'cloudwatch', eventbridge: 'events' };

interface Scope {
  readonly accessKeyId: string;
  readonly region: string;
  readonly service: string;
}

/** The credential scope `AKID/date/region/service/aws4_request`, from the header or a presigned URL. */
function scopeOf(headers: AwsRequest['headers'], query: URLSearchParams): Scope | null {
  const header = /Credential=([^,\s]+)/.exec(headerOf(headers, 'authorization') ?? '')?.[1];
  const [accessKeyId, , region, service] = (header ?? query.get('X-Amz-Credential') ?? '').split('/');
  if (accessKeyId === undefined || region === undefined || service === undefined) return null;
  return { accessKeyId, region, service };
}

/** The region that a request was signed for; null when it is unsigned. */
export function regionOf(request: Pick<AwsRequest, 'headers' | 'url'>): string | null {
  return scopeOf(request.headers, new URL(request.url, 'http://gateway').searchParams)?.region ?? null;
}

/** The session token of the caller's temporary credentials; null when the caller has long-term ones. */
export function sessionTokenOf(request: Pick<AwsRequest, 'headers' | 'url'>): string | null {
  return (
    headerOf(request.headers, 'x-amz-security-token') ??
    new URL(request.url, 'http://gateway').searchParams.get('X-Amz-Security-Token')
  );
}

/** `AmazonSQS.SendMessage`, `DynamoDB_20120810.PutItem`, `AWSStepFunctions.StartExecution`: the part before the dot. */
const TARGET_SERVICES: readonly (readonly [prefix: string, service: string])[] = [
  ['AmazonSQS', 'sqs'],
  ['DynamoDB', 'dynamodb'],
  ['AmazonSSM', 'ssm'],
  ['AWSStepFunctions', 'states'],
  ['secretsmanager', 'secretsmanager'],
  ['AWSEvents', 'events'],
  ['Logs_', 'logs'],
  ['TrentService', 'kms'],
  ['GraniteServiceVersion', 'cloudwatch'],
];

/** How this request's service and caller speak, which is how an answer must be worded. */
export function protocolOf(request: Pick<AwsRequest, 'service' | 'headers'>): Protocol {
  if (headerOf(request.headers, 'smithy-protocol') === 'rpc-v2-cbor') return 'cbor';
  if (headerOf(request.headers, 'x-amz-target') !== null) return 'json';
  if (request.service === 'ec2') return 'ec2';
  if (request.service === 's3') return 's3';
  if (request.service === 'route53') return 'rest-xml';
  if (QUERY_SERVICES.has(request.service)) return 'query';
  if (REST_JSON_SERVICES.has(request.service)) return 'rest-json';
  return (headerOf(request.headers, 'content-type') ?? '').includes('json') ? 'json' : 'query';
}

/** The body as text, unpacked when it came compressed. */
function textOf(raw: RawRequest): string {
  const packed = headerOf(raw.headers, 'content-encoding') === 'gzip';
  return (packed ? gunzipSync(raw.body) : raw.body).toString('utf8');
}

function parseJson(text: string): Record<string, unknown> {
  if (text.trim() === '') return {};
  const value: unknown = JSON.parse(text);
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/**
 * Reads a request of any AWS protocol. An operation that cannot be told is `Unknown`; the answer is then moto's.
 * Throws SyntaxError when a JSON body is no JSON.
 */
export function parseRequest(raw: RawRequest): AwsRequest {
  const url = new URL(raw.url, 'http://gateway');
  const scope = scopeOf(raw.headers, url.searchParams);
  const accessKeyId = scope?.accessKeyId ?? null;
  const target = headerOf(raw.headers, 'x-amz-target');
  const known = (service: string, operation: string, params: Record<string, unknown>): AwsRequest => ({
    ...raw,
    service,
    operation,
    params,
    accessKeyId,
  });
  const signedFor = scope === null ? null : (IAM_NAMES[scope.service.toLowerCase()] ?? scope.service.toLowerCase());

  if (target !== null) {
    const dot = target.indexOf('.');
    const prefix = target.slice(0, dot);
    const service =
      signedFor ?? TARGET_SERVICES.find(([known]) => prefix.startsWith(known))?.[1] ?? prefix.toLowerCase();
    return known(service, target.slice(dot + 1), parseJson(textOf(raw)));
  }
  const cbor = /^\/service\/([^/]+)\/operation\/([^/]+)$/.exec(url.pathname);
  if (cbor !== null) return known(signedFor ?? cbor[1]!.toLowerCase(), cbor[2]!, {});
  if (url.pathname.startsWith('/moto-api')) return known('moto-api', 'Unknown', {});

  const service = signedFor ?? serviceOfPath(url.pathname);
  if (service === 's3' || service === 'route53' || REST_JSON_SERVICES.has(service)) {
    const rest = parseRest(service, raw.method, url, raw.headers, () => textOf(raw));
    return known(service, rest.operation, rest.params);
  }
  const isForm = (headerOf(raw.headers, 'content-type') ?? '').includes('x-www-form-urlencoded');
  const form = isForm ? new URLSearchParams(textOf(raw)) : url.searchParams;
  const { Action: action, ...params } = parseForm(form);
  delete params['Version'];
  return known(service, typeof action === 'string' ? action : 'Unknown', params);
}

/** For unsigned calls: Lambda and Route 53 are told by their API's date in the path, the rest is S3's. */
function serviceOfPath(path: string): string {
  if (/^\/2013-04-01\//.test(path)) return 'route53';
  if (/^\/20\d\d-\d\d-\d\d\/(functions|event-source-mappings|layers|tags)/.test(path)) return 'lambda';
  return 's3';
}
