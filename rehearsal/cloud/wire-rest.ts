/** REST services (S3, Route 53, Lambda, Scheduler): the operation is told by method, path and query. */
import { XMLParser } from 'fast-xml-parser';
import type { AwsRequest } from './contract.ts';
import { headerOf } from './wire-headers.ts';

export interface RestCall {
  readonly operation: string;
  readonly params: Record<string, unknown>;
}

/** `[method, path pattern, operation]`; named groups become parameters. The first that fits. */
type Route = readonly [method: string, path: RegExp, operation: string];

const LAMBDA: readonly Route[] = [
  ['POST', /^\/functions\/(?<FunctionName>[^/]+)\/invocations$/, 'Invoke'],
  ['POST', /^\/functions$/, 'CreateFunction'],
  ['GET', /^\/functions$/, 'ListFunctions'],
  ['GET', /^\/functions\/(?<FunctionName>[^/]+)$/, 'GetFunction'],
  ['DELETE', /^\/functions\/(?<FunctionName>[^/]+)$/, 'DeleteFunction'],
  ['GET', /^\/functions\/(?<FunctionName>[^/]+)\/configuration$/, 'GetFunctionConfiguration'],
  ['PUT', /^\/functions\/(?<FunctionName>[^/]+)\/configuration$/, 'UpdateFunctionConfiguration'],
  ['PUT', /^\/functions\/(?<FunctionName>[^/]+)\/code$/, 'UpdateFunctionCode'],
  ['PUT', /^\/functions\/(?<FunctionName>[^/]+)\/concurrency$/, 'PutFunctionConcurrency'],
  ['POST', /^\/functions\/(?<FunctionName>[^/]+)\/policy$/, 'AddPermission'],
  ['GET', /^\/functions\/(?<FunctionName>[^/]+)\/policy$/, 'GetPolicy'],
  ['POST', /^\/event-source-mappings$/, 'CreateEventSourceMapping'],
  ['GET', /^\/event-source-mappings$/, 'ListEventSourceMappings'],
  ['GET', /^\/event-source-mappings\/(?<UUID>[^/]+)$/, 'GetEventSourceMapping'],
  ['PUT', /^\/event-source-mappings\/(?<UUID>[^/]+)$/, 'UpdateEventSourceMapping'],
  ['DELETE', /^\/event-source-mappings\/(?<UUID>[^/]+)$/, 'DeleteEventSourceMapping'],
];

const ROUTE53: readonly Route[] = [
  ['POST', /^\/hostedzone$/, 'CreateHostedZone'],
  ['GET', /^\/hostedzone$/, 'ListHostedZones'],
  ['GET', /^\/hostedzonesbyname$/, 'ListHostedZonesByName'],
  ['GET', /^\/hostedzonesbyvpc$/, 'ListHostedZonesByVPC'],
  ['GET', /^\/hostedzonecount$/, 'GetHostedZoneCount'],
  ['POST', /^\/hostedzone\/(?<HostedZoneId>[^/]+)\/rrset$/, 'ChangeResourceRecordSets'],
  ['GET', /^\/hostedzone\/(?<HostedZoneId>[^/]+)\/rrset$/, 'ListResourceRecordSets'],
  ['POST', /^\/hostedzone\/(?<HostedZoneId>[^/]+)\/associatevpc$/, 'AssociateVPCWithHostedZone'],
  ['GET', /^\/hostedzone\/(?<Id>[^/]+)$/, 'GetHostedZone'],
  ['DELETE', /^\/hostedzone\/(?<Id>[^/]+)$/, 'DeleteHostedZone'],
  ['POST', /^\/hostedzone\/(?<Id>[^/]+)$/, 'UpdateHostedZoneComment'],
  ['GET', /^\/change\/(?<Id>[^/]+)$/, 'GetChange'],
  ['GET', /^\/tags\/(?<ResourceType>[^/]+)\/(?<ResourceId>[^/]+)$/, 'ListTagsForResource'],
  ['POST', /^\/tags\/(?<ResourceType>[^/]+)\/(?<ResourceId>[^/]+)$/, 'ChangeTagsForResource'],
];

const SCHEDULER: readonly Route[] = [
  ['GET', /^\/schedules$/, 'ListSchedules'],
  ['POST', /^\/schedules\/(?<Name>[^/]+)$/, 'CreateSchedule'],
  ['GET', /^\/schedules\/(?<Name>[^/]+)$/, 'GetSchedule'],
  ['PUT', /^\/schedules\/(?<Name>[^/]+)$/, 'UpdateSchedule'],
  ['DELETE', /^\/schedules\/(?<Name>[^/]+)$/, 'DeleteSchedule'],
];

const xml = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  isArray: (name) => name === 'Change' || name === 'ResourceRecord' || name === 'ResourceRecordSet',
});

/** Reads a call of `s3`, `route53`, `lambda` or `scheduler`. `text` gives the body when it is needed. */
export function parseRest(
  service: string,
  method: string,
  url: URL,
  headers: AwsRequest['headers'],
  text: () => string,
): RestCall {
  const query = Object.fromEntries(url.searchParams);
  if (service === 's3') return parseS3(method, url, headers);
  const path = url.pathname.replace(/^\/20\d\d-\d\d-\d\d(?=\/)/, '').replace(/(?<=.)\/$/, '');
  if (service === 'route53') {
    const call = route(ROUTE53, method, path);
    const body = method === 'POST' ? (Object.values(xml.parse(text()) as Record<string, unknown>).at(-1) ?? {}) : {};
    return { operation: call.operation, params: { ...query, ...body, ...call.params } };
  }
  const call = route(service === 'lambda' ? LAMBDA : SCHEDULER, method, path);
  if (call.operation === 'Invoke') {
    const invocationType = headerOf(headers, 'x-amz-invocation-type') ?? 'RequestResponse';
    return { operation: 'Invoke', params: { ...query, ...call.params, InvocationType: invocationType } };
  }
  const sent = text();
  const body = sent.startsWith('{') ? (JSON.parse(sent) as Record<string, unknown>) : {};
  return { operation: call.operation, params: { ...query, ...body, ...call.params } };
}

function route(routes: readonly Route[], method: string, path: string): RestCall {
  for (const [wanted, pattern, operation] of routes) {
    const match = wanted === method ? pattern.exec(path) : null;
    if (match === null) continue;
    const groups = Object.entries(match.groups ?? {}).map(([key, value]) => [key, decodeURIComponent(value)] as const);
    return { operation, params: Object.fromEntries(groups) };
  }
  return { operation: 'Unknown', params: {} };
}

/** Sub-resources that are named in the query: `GET /bucket?versioning` is GetBucketVersioning. */
const BUCKET_PARTS: Readonly<Record<string, string>> = {
  location: 'BucketLocation',
  versioning: 'BucketVersioning',
  policy: 'BucketPolicy',
  encryption: 'BucketEncryption',
  lifecycle: 'BucketLifecycleConfiguration',
  tagging: 'BucketTagging',
  acl: 'BucketAcl',
  publicAccessBlock: 'PublicAccessBlock',
  'object-lock': 'ObjectLockConfiguration',
  notification: 'BucketNotificationConfiguration',
  logging: 'BucketLogging',
  ownershipControls: 'BucketOwnershipControls',
};
const OBJECT_PARTS: Readonly<Record<string, string>> = {
  tagging: 'ObjectTagging',
  acl: 'ObjectAcl',
  retention: 'ObjectRetention',
  'legal-hold': 'ObjectLegalHold',
  attributes: 'ObjectAttributes',
};
const VERBS: Readonly<Record<string, string>> = { GET: 'Get', PUT: 'Put', DELETE: 'Delete' };

function parseS3(method: string, url: URL, headers: AwsRequest['headers']): RestCall {
  const [, bucket = '', key = ''] = /^\/([^/]*)\/?(.*)$/s.exec(url.pathname) ?? [];
  const query = url.searchParams;
  const params = {
    ...Object.fromEntries(query),
    ...(bucket === '' ? {} : { Bucket: decodeURIComponent(bucket) }),
    ...(key === '' ? {} : { Key: decodeURIComponent(key) }),
  };
  if (bucket === '') return { operation: 'ListBuckets', params };
  const parts = key === '' ? BUCKET_PARTS : OBJECT_PARTS;
  const part = Object.keys(parts).find((name) => query.has(name));
  if (part !== undefined && VERBS[method] !== undefined) return { operation: `${VERBS[method]}${parts[part]}`, params };
  return { operation: key === '' ? bucketOperation(method, query) : objectOperation(method, query, headers), params };
}

function bucketOperation(method: string, query: URLSearchParams): string {
  if (method === 'HEAD') return 'HeadBucket';
  if (method === 'PUT') return 'CreateBucket';
  if (method === 'DELETE') return 'DeleteBucket';
  if (method === 'POST') return query.has('delete') ? 'DeleteObjects' : 'PostObject';
  if (query.has('versions')) return 'ListObjectVersions';
  if (query.has('uploads')) return 'ListMultipartUploads';
  return query.get('list-type') === '2' ? 'ListObjectsV2' : 'ListObjects';
}

function objectOperation(method: string, query: URLSearchParams, headers: AwsRequest['headers']): string {
  const multipart = query.has('uploadId');
  const copies = headerOf(headers, 'x-amz-copy-source') !== null;
  switch (method) {
    case 'HEAD':
      return 'HeadObject';
    case 'GET':
      return multipart ? 'ListParts' : 'GetObject';
    case 'DELETE':
      return multipart ? 'AbortMultipartUpload' : 'DeleteObject';
    case 'POST':
      return multipart ? 'CompleteMultipartUpload' : query.has('uploads') ? 'CreateMultipartUpload' : 'PostObject';
    case 'PUT':
      if (multipart) return copies ? 'UploadPartCopy' : 'UploadPart';
      return copies ? 'CopyObject' : 'PutObject';
    default:
      return 'Unknown';
  }
}
