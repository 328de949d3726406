import { describe, expect, it } from 'vitest';
import { aws, isCode, isTransient } from '../../../lambdas/cloud/errors.ts';
import { CloudUnavailable, Conflict } from '../../../lambdas/cloud/ports.ts';

const error = (name: string, extra: object = {}): Error => Object.assign(new Error('m'), { name }, extra);

describe('an error of AWS', () => {
  it.each([
    ['a throttling code', error('RequestLimitExceeded'), true],
    [
      'Route 53 with a change in flight',
      error('PriorRequestNotComplete', { $metadata: { httpStatusCode: 400 } }),
      true,
    ],
    ['status 500', error('Odd', { $metadata: { httpStatusCode: 500 } }), true],
    ['status 429', error('Odd', { $metadata: { httpStatusCode: 429 } }), true],
    ['the SDK’s own mark', error('Odd', { $retryable: { throttling: true } }), true],
    ['a timeout', error('TimeoutError'), true],
    ['a reset connection', error('Error', { code: 'ECONNRESET' }), true],
    ['one of ours already', new CloudUnavailable('x'), true],
    ['a refused permission', error('AccessDenied', { $metadata: { httpStatusCode: 403 } }), false],
    ['a failed condition', error('ConditionalCheckFailedException', { $metadata: { httpStatusCode: 400 } }), false],
    ['a bug of ours', new TypeError('x is not a function'), false],
    ['something that is no error', 'text', false],
  ])('%s: transient %s', (_what, e, expected) => {
    expect(isTransient(e)).toBe(expected);
  });

  it('keeps the cause when it is made CloudUnavailable', async () => {
    const cause = error('Throttling', { $metadata: { attempts: 4 } });
    const failed = aws('ec2:RunInstances', () => Promise.reject(cause));
    await expect(failed).rejects.toMatchObject({ name: 'CloudUnavailable', cause });
    await expect(failed).rejects.toThrow('ec2:RunInstances failed after 4 attempts: Throttling: m');
  });

  it('is recognised by its code', () => {
    expect(isCode(error('A'), 'A', 'B')).toBe(true);
    expect(isCode(error('C'), 'A', 'B')).toBe(false);
    expect(isCode('A', 'A')).toBe(false);
    expect(isCode(new Conflict('x'), 'Conflict')).toBe(true);
  });
});
