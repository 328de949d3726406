import { expect, it } from 'vitest';
import { galeraKills } from '../../bench/archive-kills/galera-kills.ts';

// The long run is `npm run bench -- archive-kills --engine galera --kills 200`.
it('a shipper of binlogs that is killed at random points under load loses nothing, and leaves no gap', async () => {
  const report = await galeraKills({ kills: 3, address: '127.231.3.1' });
  expect(report.faults).toEqual([]);
  expect(report.transactions).toBeGreaterThan(20);
});
