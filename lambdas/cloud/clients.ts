/**
 * The one place that makes AWS clients. Each is a function that makes its client at the first call and keeps it, so that
 * a bundle holds only the clients it uses and a cold start pays only for those it needs.
 */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { EC2Client } from '@aws-sdk/client-ec2';
import { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { Route53Client } from '@aws-sdk/client-route-53';
import { S3Client } from '@aws-sdk/client-s3';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SFNClient } from '@aws-sdk/client-sfn';
import { SNSClient } from '@aws-sdk/client-sns';
import { SQSClient } from '@aws-sdk/client-sqs';
import { SSMClient } from '@aws-sdk/client-ssm';

/** A client, made when it is first asked for. */
export type Lazy<T> = () => T;

/**
 * Settings of every client. A call that AWS does not answer is given up after 5 s and tried again, four times in all
 * with exponential backoff; the SDK's own default is to wait without end. Retry mode `standard`, not `adaptive`: the
 * latter holds calls back on the client's side, which a fence must not wait for. Sockets are kept open between calls.
 */
export const CLIENT_SETTINGS = {
  maxAttempts: 4,
  retryMode: 'standard',
  requestHandler: {
    connectionTimeout: 1_000,
    requestTimeout: 5_000,
    throwOnRequestTimeout: true,
    httpAgent: { keepAlive: true, maxSockets: 50 },
    httpsAgent: { keepAlive: true, maxSockets: 50 },
  },
} as const;

/**
 * Of services that are not on the recovery path (safety rule 9: Route 53) or that must not hold routing up (Step Functions):
 * given up after some 4 s, so that a reconcile survives them. With the settings above one call could outlast its function.
 */
export const BRIEF_SETTINGS = {
  ...CLIENT_SETTINGS,
  maxAttempts: 2,
  requestHandler: { ...CLIENT_SETTINGS.requestHandler, requestTimeout: 2_000 },
} as const;

/**
 * Of the archive's bodies, 16 MB over a slow link: a minute for an answer, and a connection over which nothing moves for
 * 20 s is given up. Bodies are sent at once: waiting for `100 Continue` costs every object a round trip.
 */
export const BODY_SETTINGS = {
  ...CLIENT_SETTINGS,
  maxAttempts: 5,
  expectContinueHeader: false,
  requestHandler: { ...CLIENT_SETTINGS.requestHandler, requestTimeout: 60_000, socketTimeout: 20_000 },
} as const;

/** Of the archive's listing, for one who has another way when it does not answer: given up within 10 s. */
export const LISTING_SETTINGS = { ...CLIENT_SETTINGS, maxAttempts: 2 } as const;

const once = <T>(make: () => T): Lazy<T> => {
  let made: T | undefined;
  return () => (made ??= make());
};

export const dynamodb = /* @__PURE__ */ once(() => new DynamoDBClient(CLIENT_SETTINGS));
export const ec2 = /* @__PURE__ */ once(() => new EC2Client(CLIENT_SETTINGS));
export const elb = /* @__PURE__ */ once(() => new ElasticLoadBalancingV2Client(CLIENT_SETTINGS));
export const lambda = /* @__PURE__ */ once(() => new LambdaClient(CLIENT_SETTINGS));
export const route53 = /* @__PURE__ */ once(() => new Route53Client(BRIEF_SETTINGS));
export const s3 = /* @__PURE__ */ once(() => new S3Client(BODY_SETTINGS));
export const s3Listing = /* @__PURE__ */ once(() => new S3Client(LISTING_SETTINGS));
export const secretsManager = /* @__PURE__ */ once(() => new SecretsManagerClient(CLIENT_SETTINGS));
export const sfn = /* @__PURE__ */ once(() => new SFNClient(BRIEF_SETTINGS));
export const sns = /* @__PURE__ */ once(() => new SNSClient(CLIENT_SETTINGS));
export const sqs = /* @__PURE__ */ once(() => new SQSClient(CLIENT_SETTINGS));
export const ssm = /* @__PURE__ */ once(() => new SSMClient(CLIENT_SETTINGS));
