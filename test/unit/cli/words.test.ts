/** What the command line prints. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { endTold, planTold, rangesTold } from '../../../bin/cli/words.ts';
import { restorableRanges } from '../../../lambdas/model/archive/ranges.ts';
import { at, base, wal } from '../archive/listing.ts';

describe('rejoin ranges', () => {
  it('says what can be restored, and what cannot', () => {
    const listing = [
      ...base('b1', 10, at(1, 32)),
      wal(1, 32, 40, 20),
      wal(1, 64, 70, 100),
      ...base('b2', 101, at(1, 66)),
    ];
    expect(rangesTold('orders', restorableRanges(listing)).split('\n')).toEqual([
      'orders, postgres, history 7301234567890123456',
      '  can be restored  2026-11-20T14:00:10.000Z to 2026-11-20T14:00:20.000Z  (1 base backups)',
      '  HOLE             2026-11-20T14:00:20.000Z to now: log between 1/0/2800000 and 1/0/4000000 is missing',
      expect.stringMatching(/^ {2}no moment {8}the base backup b2 is whole, .*"latest" can be restored/),
    ]);
    expect(rangesTold('stock', [])).toBe('The archive has nothing of stock.');
  });
});

it('rejoin restore says how it ended', () => {
  expect(planTold({ plan: { summary: { as: 'copy' } } })).toContain('"as": "copy"');
  expect(planTold({ cluster: 'orders' })).toBeNull();
  expect(endTold('FAILED', null, 'TIME_WITHOUT_ZONE: add Z')).toBe('FAILED: TIME_WITHOUT_ZONE: add Z');
  expect(endTold('SUCCEEDED', { outcome: 'restored', answer: { restoredTo: '1/0/3' } }, '')).toBe(
    'Done: restored; restored to 1/0/3',
  );
});

it('--help is for people, and what is missing is named', () => {
  const cli = (...args: string[]) =>
    spawnSync(process.execPath, [join(import.meta.dirname, '../../../bin/rejoin-cli.mjs'), ...args], {
      encoding: 'utf8',
    });
  expect(cli('restore', '--help').stdout).toContain('as a NEW cluster of one node');
  const wrong = cli('restore', '--cluster', 'orders');
  expect(wrong.stderr).toContain("required option '--target <target>' not specified");
  expect(wrong.status).toBe(1);
}, 30_000);
