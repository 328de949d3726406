/** AWS's wire protocols, written: answers and errors as each service words them, so that an SDK recognises the name. */
import { randomUUID } from 'node:crypto';
import type { AwsRequest, AwsResponse } from './contract.ts';
import { protocolOf } from './wire.ts';

export interface AwsError {
  /** As the SDK names it: `RequestLimitExceeded`, `AccessDeniedException`, … */
  readonly code: string;
  readonly status: number;
  readonly message?: string;
}

const escapeXml = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

export function xmlAnswer(body: string, status = 200): AwsResponse {
  return {
    status,
    headers: { 'content-type': 'text/xml;charset=UTF-8', 'x-amzn-requestid': randomUUID() },
    body: Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${body}`),
  };
}

export function jsonAnswer(request: AwsRequest, value: unknown, status = 200): AwsResponse {
  const type = request.headers['content-type'];
  return {
    status,
    headers: {
      'content-type': typeof type === 'string' && type.includes('json') ? type : 'application/json',
      'x-amzn-requestid': randomUUID(),
    },
    body: Buffer.from(JSON.stringify(value)),
  };
}

/** Answers `error` in the protocol of the request. */
export function errorAnswer(request: AwsRequest, error: AwsError): AwsResponse {
  const { code, status } = error;
  const message = error.message ?? `${code} (injected by the rehearsal's gateway)`;
  const requestId = randomUUID();
  const fault = status >= 500 ? 'Receiver' : 'Sender';
  const words = `<Code>${escapeXml(code)}</Code><Message>${escapeXml(message)}</Message>`;
  switch (protocolOf(request)) {
    case 'ec2':
      return xmlAnswer(
        `<Response><Errors><Error>${words}</Error></Errors><RequestID>${requestId}</RequestID></Response>`,
        status,
      );
    case 'query':
    case 'rest-xml':
      return xmlAnswer(
        `<ErrorResponse><Error><Type>${fault}</Type>${words}</Error><RequestId>${requestId}</RequestId></ErrorResponse>`,
        status,
      );
    case 's3':
      return xmlAnswer(`<Error>${words}<RequestId>${requestId}</RequestId></Error>`, status);
    case 'json':
    case 'rest-json':
    case 'cbor': {
      const answer = jsonAnswer(request, { __type: code, message, Message: message }, status);
      answer.headers['x-amzn-errortype'] = code;
      if (request.service === 'sqs') answer.headers['x-amzn-query-error'] = `${code};${fault}`;
      return answer;
    }
  }
}

/** What a service says to a caller whose policies do not allow the call. Source: each API's common errors. */
export function deniedAnswer(request: AwsRequest, message: string): AwsResponse {
  const protocol = protocolOf(request);
  const code =
    protocol === 'ec2'
      ? 'UnauthorizedOperation'
      : protocol === 'query' || protocol === 'rest-xml' || protocol === 's3'
        ? 'AccessDenied'
        : 'AccessDeniedException';
  return errorAnswer(request, { code, status: protocol === 'json' ? 400 : 403, message });
}

const THROTTLES: Readonly<Record<string, AwsError>> = {
  ec2: { code: 'RequestLimitExceeded', status: 503, message: 'Request limit exceeded.' },
  dynamodb: {
    code: 'ProvisionedThroughputExceededException',
    status: 400,
    message: 'The level of configured provisioned throughput for the table was exceeded.',
  },
  sqs: { code: 'RequestThrottled', status: 400, message: 'Request is throttled.' },
  s3: { code: 'SlowDown', status: 503, message: 'Please reduce your request rate.' },
  lambda: { code: 'TooManyRequestsException', status: 429, message: 'Rate Exceeded.' },
};
const XML_THROTTLE: AwsError = { code: 'Throttling', status: 400, message: 'Rate exceeded' };
const JSON_THROTTLE: AwsError = { code: 'ThrottlingException', status: 400, message: 'Rate exceeded' };
const XML_SERVICES = new Set(['elasticloadbalancing', 'route53', 'cloudformation', 'iam', 'sts', 'sns']);

/** The error by which a service throttles, for fault rules. `service` is IAM's name of it. */
export const throttleOf = (service: string): AwsError =>
  THROTTLES[service] ?? (XML_SERVICES.has(service) ? XML_THROTTLE : JSON_THROTTLE);

/** Rewrites the text of an answer (EC2's XML, say) and keeps the rest as it was. */
export function rewriteBody(response: AwsResponse, change: (text: string) => string): AwsResponse {
  return { ...response, body: Buffer.from(change(response.body.toString('utf8'))) };
}
