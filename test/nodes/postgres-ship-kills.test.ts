import { expect, it } from 'vitest';
import { postgresKills } from '../../bench/archive-kills/kills.ts';

// The long run is `npm run bench -- archive-kills --kills 200`.
it('a shipper that is killed at random points under load loses nothing that was confirmed, and leaves no gap', async () => {
  const report = await postgresKills({ kills: 4, address: '127.86.2.1' });
  expect(report.faults).toEqual([]);
  expect(report.segmentsCompared).toBeGreaterThan(0);
});
