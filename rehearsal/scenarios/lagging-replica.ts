import { lagBytes } from '../../lambdas/model/lsn.ts';
import { statusOf } from '../engines/postgres-state.ts';
import type { PostgresEngine } from '../engines/postgres.ts';
import type { WorldState } from '../world.ts';
import { whole } from './healing.ts';
import { converges, type Scenario } from './scenario.ts';

const MAX_LAG_BYTES = 64 * 1024;
/** So far beyond what is declared that no rounding hides it. */
const BEHIND_BYTES = 4 * MAX_LAG_BYTES;
const HEAL_WITHIN_SECONDS = 240;

export const laggingReplica: Scenario = {
  name: 'lagging-replica',
  summary:
    'durability async: the only node left is too far behind; it is not promoted, a person is paged and accepts the loss, then it is',
  promises: { postgres: converges(2) },
  breaksNetwork: true,
  lossIsAccepted: true,
  declares: { durability: 'async', maxLagBytes: MAX_LAG_BYTES },
  run: async (world) => {
    const writer = world.writer();
    const [behind, ...others] = world.otherThanWriter();
    const faultAtMs = Date.now();
    world.timeline.add('fault', `${behind} receives nothing from the primary any more`);
    await world.network.cut({ group: (world.engine as PostgresEngine).groupOf(behind) }, world.hosts.ip(writer));
    await world.until('it to be far behind', (s) => lag(s, writer, behind) > BEHIND_BYTES, 60);
    const lost = [writer, ...others];
    world.timeline.add('fault', `${lost.join(' and ')} are lost with their volumes`);
    await world.loseForGood(lost);
    await world.until(
      'the promotion to be refused and a person paged',
      (s) => s.ledger.escalation !== null,
      HEAL_WITHIN_SECONDS,
    );
    const refusal = world.state().ledger.escalation?.reason ?? '';
    if (isPrimary(world.state(), behind)) throw new Error(`${behind} was promoted though it is behind`);
    world.timeline.add('check', `refused: ${refusal}`);
    await world.network.heal();
    const told = await world.operate({ action: 'accept-loss', node: behind, by: 'rehearsal' });
    world.timeline.add('check', `the operator is told, and accepts: ${JSON.stringify(told)}`);
    await world.until('it to be the primary', (s) => s.ledger.writer === behind && isPrimary(s, behind), 120);
    const routedAtMs = Date.now();
    await world.until('the lost nodes to be replaced', whole(world.nodeCount), HEAL_WITHIN_SECONDS);
    return { faultAtMs, signalAtMs: world.firstSignalAfter(faultAtMs, lost), routedAtMs, rejoinedAtMs: Date.now() };
  },
};

function lag(state: WorldState, ahead: string, behind: string): number {
  const [a, b] = [ahead, behind].map((id) => {
    const node = state.nodes.find((n) => n.id === id);
    return node === undefined ? null : statusOf(node.probe);
  });
  return a == null || b == null ? 0 : lagBytes(a.lsn, b.lsn);
}

function isPrimary(state: WorldState, id: string): boolean {
  const node = state.nodes.find((n) => n.id === id);
  const status = node === undefined ? null : statusOf(node.probe);
  return status !== null && !status.inRecovery;
}
