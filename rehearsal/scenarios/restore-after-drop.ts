import type { World } from '../world.ts';
import { iso, momentBetweenWrites, restore, untilShipped } from './restoring.ts';
import { ARCHIVED, both, type Scenario } from './scenario.ts';

const CUSTOMERS = 500;
const values = Array.from({ length: CUSTOMERS }, (_, i) => `(${i + 1}, 'customer ${i + 1}')`).join(', ');

export const restoreAfterDrop: Scenario = {
  name: 'restore-after-drop',
  summary: 'somebody drops a table; the moment before it is restored, table and all',
  promises: both({ writeOutageMs: 5000, writeErrors: 0, signalToRoutedMs: null, launches: 1 }),
  archive: ARCHIVED,
  run: async (world) => {
    const faultAtMs = Date.now();
    const address = writerAddress(world);
    await world.engine.query(address, 'CREATE TABLE customers (id bigint PRIMARY KEY, name varchar(40) NOT NULL)');
    await world.engine.query(address, `INSERT INTO customers (id, name) VALUES ${values}`);
    const made = await momentBetweenWrites(world);
    // Where the log is in whole seconds: the target's second has gone by when the table goes.
    await world.until('the moment to be over', () => Date.now() > made.atMs + 2 * made.precisionMs, 10);
    const before = await momentBetweenWrites(world);
    await world.until('that one too', () => Date.now() > before.atMs + 2 * before.precisionMs, 10);
    await world.engine.query(address, 'DROP TABLE customers');
    world.timeline.add('fault', 'somebody drops the table customers');
    await untilShipped(world, Date.now());
    const { figures, address: restoredAt } = await restore(world, {
      ...{ target: iso(before.atMs), until: before, as: `${world.cluster}-before` },
    });
    const [row] = await world.engine.query(restoredAt, 'SELECT COUNT(*) AS n FROM customers');
    const found = Number(row?.['n']);
    if (found !== CUSTOMERS)
      throw new Error(`the restored table customers has ${found} rows, expected the ${CUSTOMERS} that were dropped`);
    world.timeline.add('check', `the dropped table is back with its ${found} rows`);
    return { ...{ faultAtMs, signalAtMs: null, routedAtMs: null, rejoinedAtMs: null }, restores: [figures] };
  },
};

function writerAddress(world: World): string {
  const writer = world.writer();
  const node = world.state().nodes.find((n) => n.id === writer);
  if (node === undefined) throw new Error(`the writer ${writer} is not among the nodes`);
  return node.address;
}
