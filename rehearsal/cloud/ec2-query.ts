/**
 * AWS's query protocols on the wire: `Filter.1.Value.2=x` in a form body, XML in the answer. Here for the calls that are
 * answered by the rehearsal itself, and for sending altered ones on to moto.
 */
import type { AwsRequest, AwsResponse } from './contract.ts';

export type QueryValue = string | QueryValue[] | { [key: string]: QueryValue };
export type QueryParams = Record<string, QueryValue>;

/** Where moto answers, for calls that must not pass through the gateway again. */
export interface MotoEndpoint {
  /** `http://127.0.0.1:PORT`. */
  readonly endpoint: string;
  readonly region: string;
}

interface Branch {
  [key: string]: Branch | string;
}

const isIndex = (key: string): boolean => /^\d+$/.test(key);

/** `{1: a, 2: b}` becomes `[a, b]`, and `{member: {1: a}}` (ELB's lists) as well. */
function collapse(node: Branch | string): QueryValue {
  if (typeof node === 'string') return node;
  const keys = Object.keys(node);
  const inner = node['member'];
  if (keys.length === 1 && typeof inner === 'object') return collapse(inner);
  if (keys.length > 0 && keys.every(isIndex)) {
    return keys.sort((a, b) => Number(a) - Number(b)).map((key) => collapse(node[key]!));
  }
  return Object.fromEntries(keys.map((key) => [key, collapse(node[key]!)]));
}

/**
 * The parameters of a form body, nested, under their names on the wire (EC2: `InstanceId`, `TagSpecification`;
 * ELB: `Targets`). Lists become arrays. `Action` and `Version` are left out.
 */
export function decodeQuery(body: Buffer): QueryParams {
  const root: Branch = {};
  for (const [name, value] of new URLSearchParams(body.toString('utf8'))) {
    const path = name.split('.');
    const last = path.pop()!;
    let at = root;
    for (const step of path) {
      const next = at[step];
      at = typeof next === 'object' ? next : (at[step] = {});
    }
    at[last] = value;
  }
  delete root['Action'];
  delete root['Version'];
  return Object.fromEntries(Object.keys(root).map((key) => [key, collapse(root[key]!)]));
}

/** The way back: an EC2 form body of nested parameters. */
export function encodeQuery(action: string, params: QueryParams): Buffer {
  const form = new URLSearchParams({ Action: action, Version: '2016-11-15' });
  const add = (name: string, value: QueryValue): void => {
    if (typeof value === 'string') form.append(name, value);
    else if (Array.isArray(value)) value.forEach((item, i) => add(`${name}.${i + 1}`, item));
    else for (const [key, item] of Object.entries(value)) add(`${name}.${key}`, item);
  };
  for (const [name, value] of Object.entries(params)) add(name, value);
  return Buffer.from(form.toString());
}

export const asList = (value: QueryValue | undefined): QueryValue[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value];

export const asStrings = (value: QueryValue | undefined): string[] =>
  asList(value).filter((item): item is string => typeof item === 'string');

export const asText = (value: QueryValue | undefined): string | undefined =>
  typeof value === 'string' ? value : undefined;

export const asObject = (value: QueryValue | undefined): QueryParams =>
  typeof value === 'object' && !Array.isArray(value) ? value : {};

/** `Filter.N.Name`, `Filter.N.Value.M`, as pairs. */
export function filtersOf(params: QueryParams): { readonly name: string; readonly values: readonly string[] }[] {
  return asList(params['Filter']).map((filter) => {
    const { Name, Value } = asObject(filter);
    return { name: asText(Name) ?? '', values: asStrings(Value) };
  });
}

/** EC2's filter values know `*` and `?`. Source: EC2 API reference, DescribeInstances, Filters. */
export function matchesFilter(values: readonly string[], actual: string): boolean {
  return values.some((value) => {
    const pattern = value
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.');
    return new RegExp(`^${pattern}$`, 's').test(actual);
  });
}

/** Sends one EC2 call to moto as the caller would have, with other parameters. */
export async function callMotoEc2(moto: MotoEndpoint, action: string, params: QueryParams): Promise<AwsResponse> {
  const credential = `REJOINADMIN/20260101/${moto.region}/ec2/aws4_request`;
  const response = await fetch(moto.endpoint, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
      // moto reads service and region from the scope; it checks no signature.
      authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=host, Signature=none`,
    },
    body: new Uint8Array(encodeQuery(action, params)),
  });
  return {
    status: response.status,
    headers: { 'content-type': response.headers.get('content-type') ?? 'text/xml' },
    body: Buffer.from(await response.arrayBuffer()),
  };
}

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Renders nested values as XML: an array repeats `<item>` (EC2) or `<member>` (ELB). */
export function toXml(value: QueryValue, listItem: 'item' | 'member'): string {
  if (typeof value === 'string') return escapeXml(value);
  if (Array.isArray(value)) return value.map((item) => `<${listItem}>${toXml(item, listItem)}</${listItem}>`).join('');
  return Object.entries(value)
    .map(([key, item]) => `<${key}>${toXml(item, listItem)}</${key}>`)
    .join('');
}

const xml = (status: number, text: string): AwsResponse => ({
  status,
  headers: { 'content-type': 'text/xml;charset=UTF-8' },
  body: Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${text}`),
});

const requestId = (): string => crypto.randomUUID();

export function ec2Answer(action: string, fields: QueryParams): AwsResponse {
  return xml(
    200,
    `<${action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>${requestId()}</requestId>` +
      `${toXml(fields, 'item')}</${action}Response>`,
  );
}

export function ec2Error(code: string, message: string, status = 400): AwsResponse {
  return xml(
    status,
    `<Response><Errors><Error><Code>${escapeXml(code)}</Code><Message>${escapeXml(message)}</Message></Error></Errors>` +
      `<RequestID>${requestId()}</RequestID></Response>`,
  );
}

const ELB_NAMESPACE = 'http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/';

export function elbAnswer(action: string, fields: QueryParams): AwsResponse {
  return xml(
    200,
    `<${action}Response xmlns="${ELB_NAMESPACE}"><${action}Result>${toXml(fields, 'member')}</${action}Result>` +
      `<ResponseMetadata><RequestId>${requestId()}</RequestId></ResponseMetadata></${action}Response>`,
  );
}

export function elbError(code: string, message: string, status = 400): AwsResponse {
  return xml(
    status,
    `<ErrorResponse xmlns="${ELB_NAMESPACE}"><Error><Type>Sender</Type><Code>${escapeXml(code)}</Code>` +
      `<Message>${escapeXml(message)}</Message></Error><RequestId>${requestId()}</RequestId></ErrorResponse>`,
  );
}

/** An answer in AWS's JSON protocols (SSM). */
export function jsonAnswer(body: unknown): AwsResponse {
  return {
    status: 200,
    headers: { 'content-type': 'application/x-amz-json-1.1' },
    body: Buffer.from(JSON.stringify(body)),
  };
}

export function jsonError(code: string, message: string): AwsResponse {
  return {
    status: 400,
    headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-errortype': code },
    body: Buffer.from(JSON.stringify({ __type: code, message })),
  };
}

/** An error that an interceptor answers in its protocol's shape. */
export class AwsFault extends Error {
  override readonly name = 'AwsFault';
  readonly code: string;
  readonly status: number;
  constructor(code: string, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** Answers a dry run, and turns a thrown AwsFault into an EC2 error; anything else is a fault of ours and goes on. */
export function answeringEc2(
  handle: (params: QueryParams, request: AwsRequest) => Promise<AwsResponse | undefined>,
): (request: AwsRequest) => Promise<AwsResponse | undefined> {
  return async (request) => {
    try {
      const params = decodeQuery(request.body);
      if (params['DryRun'] === 'true') {
        return ec2Error('DryRunOperation', 'Request would have succeeded, but DryRun flag is set.', 412);
      }
      return await handle(params, request);
    } catch (error) {
      if (error instanceof AwsFault) return ec2Error(error.code, error.message, error.status);
      throw error;
    }
  };
}
