import { describe, expect, it } from 'vitest';
import { conninfo } from '../../../lambdas/engines/postgres/admin.ts';
import { parseDisk } from '../../../lambdas/engines/postgres/status.ts';

describe('how a standby is told of its upstream', () => {
  it.each([
    ['10.0.1.5', 'rejoin_replication', 'host=10.0.1.5 port=5432 user=rejoin_replication application_name=i-0a'],
    ['fd00::1', 'r', 'host=fd00::1 port=5432 user=r application_name=i-0a'],
    ["h'; x", "o\\'r", "host='h\\'; x' port=5432 user='o\\\\\\'r' application_name=i-0a"],
    ['', 'r', "host='' port=5432 user=r application_name=i-0a"],
  ])('host %j, user %j', (host, user, expected) => {
    expect(conninfo('i-0a', { host, port: 5432, user, slot: null })).toBe(expected);
  });
});

describe('what a host says of its disk', () => {
  it.each([
    ['1000 250\n', { totalBytes: 1000, availableBytes: 250 }],
    ['1000 250', { totalBytes: 1000, availableBytes: 250 }],
    ['1000', null],
    ['1000 -5', null],
    ['1000 250 3', null],
    ['', null],
    [null, null],
  ])('%j', (text, expected) => {
    expect(parseDisk(text)).toEqual(expected);
  });
});
