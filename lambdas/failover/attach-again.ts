/** Standbys that were cut off follow the ledger's writer again, if that answers as the primary. */
import { holdClaim } from '../recovery/guard.ts';
import { databaseOf, liveNodes } from '../recovery/nodes.ts';
import { postgresStatusOf } from '../recovery/status.ts';
import { loadSpec, record } from '../recovery/step.ts';
import type { StepContext } from '../recovery/step.ts';
import { follow } from './make-primary.ts';

/** With no primary that answers nothing is touched. Answers what was done, in words. @throws RecoveryError ClaimLost. */
export async function attachAgain(context: StepContext): Promise<string> {
  const spec = await loadSpec(context);
  const { writer } = await holdClaim(context);
  const nodes = await liveNodes(context, spec);
  const primary = nodes.find((n) => n.instance.id === writer);
  if (primary === undefined || postgresStatusOf(primary)?.inRecovery !== false) {
    const words = 'the standbys stay detached, for there is no primary that answers';
    await record(
      context,
      'left-detached',
      words,
      `the writer is ${writer ?? 'nobody'}, and nothing acknowledges writes in this state`,
    );
    return words;
  }
  const target = databaseOf(spec, primary.instance);
  const astray = nodes.filter((n) => {
    const status = postgresStatusOf(n);
    return status?.inRecovery === true && status.followsHost !== target.host;
  });
  const instances = nodes.map((n) => n.instance);
  const done = await Promise.all(
    astray.map(async (n) =>
      (await follow(context, spec, { instances, id: n.instance.id, primary: target })) ? n.instance.id : [],
    ),
  );
  const words = `${done.flat().join(', ') || 'no standby had to'} follow ${target.instanceId} again`;
  await record(
    context,
    'attached-again',
    words,
    `${target.instanceId} answers as the primary, and the ledger's writer is ${target.instanceId}`,
  );
  return words;
}
