/** What hurts a cluster whose primary waits for nobody: faults that leave it with writes that few or none of the others have. */
import { running, writer } from '../faults.ts';
import type { Fault } from '../faults.ts';
import type { World } from '../world.ts';
import type { SimPostgres } from './cluster.ts';
import { byHand, loses } from './faults.ts';

const replicas = (w: World, primary: string): readonly string[] =>
  running(w)
    .map((i) => i.id)
    .filter((id) => id !== primary);

/** The process is killed, the host goes with its volume, or the server hangs. */
function ends(w: World, primary: string): void {
  w.unattended.struck();
  const how = w.random.pick(['killed', 'lost with its volume', 'hung'] as const) ?? 'killed';
  w.story.tell('fault', `the primary ${primary} is ${how}`);
  if (how === 'killed') w.database.crash(primary);
  else if (how === 'hung') w.database.hang(primary);
  else loses(w, primary);
}

export const asyncFaultsOf = (pg: SimPostgres): Readonly<Record<string, Fault>> => {
  const hold = (w: World, id: string, ms: number): void => void pg.heldUntilMs.set(id, w.clock.nowMs() + ms);
  return {
    lagThenLoseWriter: (w) => {
      const primary = writer(w);
      if (primary === undefined) return null;
      const ms = w.random.int(2000, 40_000);
      for (const id of replicas(w, primary)) hold(w, id, ms + 2000);
      w.clock.in(ms, () => ends(w, primary));
      return `all streams stand still, and ${ms} ms later the primary ${primary} is lost`;
    },
    aheadUnseen: (w) => {
      const primary = writer(w);
      if (primary === undefined) return null;
      const others = replicas(w, primary);
      const behind = w.random.pick(others);
      if (behind === undefined) return null;
      const [heldMs, unseenMs] = [w.random.int(3000, 12_000), w.random.int(200, 15_000)];
      hold(w, behind, heldMs + 2000);
      w.clock.in(heldMs, () => {
        for (const id of others.filter((other) => other !== behind)) {
          w.unseen.add(id);
          w.clock.in(unseenMs, () => void w.unseen.delete(id));
        }
        ends(w, primary);
      });
      return `the stream of ${behind} stands still; in ${heldMs} ms ${primary} is lost, and the other replica not to be seen for ${unseenMs} ms`;
    },
    switchoverUnderLag: (w) => {
      const primary = writer(w);
      if (primary === undefined) return null;
      const [afterMs, ms] = [w.random.int(0, 4000), w.random.int(2000, 10_000)];
      w.clock.in(afterMs, () => {
        for (const id of replicas(w, primary)) hold(w, id, ms);
      });
      return `${byHand(w, 'switchover', null)}, and in ${afterMs} ms all streams stand still`;
    },
    writerWakes: (w) => {
      const primary = writer(w);
      if (primary === undefined) return null;
      const ms = w.random.int(2000, 15_000);
      w.database.hang(primary);
      w.clock.in(ms, () => w.database.resume(primary));
      return `the primary ${primary} hangs, and wakes after ${ms} ms`;
    },
  };
};
