import { describe, expect, it } from 'vitest';
import { hasLetGo, type LetGoLook, quoteLiteral } from '../../../lambdas/engines/postgres/detach.ts';

const RETRY = 'RecoveryRetrieveRetryInterval';
const look = (atMs: number, replayedLsn: string, more: Partial<LetGoLook> = {}): LetGoLook => ({
  atMs,
  startupWaits: null,
  receivedLsn: '0/900',
  replayedLsn,
  ...more,
});

describe('whether a standby has let go of its upstream', () => {
  it.each<[string, LetGoLook[], boolean]>([
    ['no look without a receiver yet', [], false],
    ['the startup process waits to try again', [look(0, '0/900', { startupWaits: RETRY })], true],
    [
      'that it waited once, and works again, says nothing',
      [look(0, '0/900', { startupWaits: RETRY }), look(1, '0/900')],
      false,
    ],
    [
      'it waits for the stream: one may be on its way',
      [look(0, '0/900', { startupWaits: 'RecoveryWalStream' })],
      false,
    ],
    ['no receiver for a while is not enough', [look(0, '0/500'), look(5000, '0/500')], false],
    ['one record on: that one may have been under way', [look(0, '0/500'), look(200, '0/600')], false],
    ['two records on, for a while', [look(0, '0/500'), look(50, '0/600'), look(100, '0/700')], true],
    ['two records on, but only just', [look(0, '0/500'), look(50, '0/600'), look(99, '0/700')], false],
    [
      'something was received meanwhile',
      [look(0, '0/500'), look(50, '0/600', { receivedLsn: '0/A00' }), look(100, '0/700')],
      false,
    ],
    [
      'nothing received since it started: what it has on disk is not known before it is replayed',
      [look(0, '0/500'), look(50, '0/600'), look(100, '0/700')].map((l) => ({ ...l, receivedLsn: null })),
      false,
    ],
  ])('%s', (_, looks, expected) => {
    expect(hasLetGo(looks)).toBe(expected);
  });
});

describe('string constants', () => {
  it.each([
    ['plain', "'plain'"],
    ["it's", "'it''s'"],
    ['back\\slash', "E'back\\\\slash'"],
    ["both \\'", "E'both \\\\'''"],
  ])('%s', (text, literal) => {
    expect(quoteLiteral(text)).toBe(literal);
  });
});
