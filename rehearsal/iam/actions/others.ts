/** CloudWatch, Logs, KMS, STS. Source: their pages of the Service Authorization Reference. */
import { context } from '../context.ts';
import { CannotTell, arn, listOf, need, object, text } from './need.ts';
import type { Mapper } from './need.ts';

const onLogStream =
  (action: string): Mapper =>
  (call) => {
    const group = text(call, 'logGroupName');
    return [
      need(`logs:${action}`, arn(call.place, 'logs', `log-group:${group}:log-stream:${text(call, 'logStreamName')}`)),
    ];
  };

export const logs: Readonly<Record<string, Mapper>> = {
  CreateLogGroup: (call) => [
    need('logs:CreateLogGroup', arn(call.place, 'logs', `log-group:${text(call, 'logGroupName')}:log-stream:`)),
  ],
  CreateLogStream: onLogStream('CreateLogStream'),
  PutLogEvents: onLogStream('PutLogEvents'),
};

export const cloudwatch: Readonly<Record<string, Mapper>> = {
  PutMetricData: (call) => [
    need('cloudwatch:PutMetricData', '*', { context: context({ 'cloudwatch:namespace': text(call, 'Namespace') }) }),
  ],
};

const onKey =
  (action: string): Mapper =>
  (call) => {
    const key = text(call, 'KeyId');
    if (key.includes('alias/'))
      throw new CannotTell(`kms:${action} names its key by the alias ${key}; give the key's ARN`);
    const pairs = listOf(call.params['EncryptionContext']).flatMap((pair) => Object.entries(object(pair)));
    const asked = context({
      'kms:ViaService': undefined,
      ...Object.fromEntries(pairs.map(([name, value]) => [`kms:EncryptionContext:${name}`, String(value)])),
    });
    return [
      need(`kms:${action}`, key.startsWith('arn:') ? key : arn(call.place, 'kms', `key/${key}`), { context: asked }),
    ];
  };

export const kms: Readonly<Record<string, Mapper>> = {
  Decrypt: onKey('Decrypt'),
  DescribeKey: onKey('DescribeKey'),
  Encrypt: onKey('Encrypt'),
  GenerateDataKey: onKey('GenerateDataKey'),
};

/** AWS asks no permission for it. */
export const sts: Readonly<Record<string, Mapper>> = { GetCallerIdentity: () => [] };
