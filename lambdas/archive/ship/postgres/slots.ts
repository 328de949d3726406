/**
 * The slot `rejoin_archive`. Of the node that is streamed from the server moves it by what it is told; on the others it is moved to
 * the archive's end, so that whoever is promoted has what is not archived yet, and keeps no more than that.
 */
import type { DbCredentials, PostgresAdmin } from '../../../cloud/ports.ts';
import type { ReplicationSession } from '../../../engines/postgres/replication.ts';
import { lsnOfBytes } from '../../../model/archive/keys.ts';
import type { Lsn } from '../../../model/lsn.ts';
import { ARCHIVE_SLOT } from '../../../model/postgres.ts';
import type { ShipRun } from '../run.ts';
import type { PostgresShipPorts } from './ports.ts';
import type { LostSlots } from './lost-slots.ts';
import { answeringNodes } from './nodes.ts';
import type { AnsweringNode } from './source.ts';

const ADVANCE_MS = 10_000;

/** Makes sure that the node has the slot; one that lost its log is made anew. Answers from where on it keeps the log. */
export async function keepSlot(
  admin: PostgresAdmin,
  { target, status }: AnsweringNode,
  credentials: DbCredentials,
  replication: ReplicationSession,
): Promise<Lsn> {
  const there = status.slots.find((slot) => slot.name === ARCHIVE_SLOT);
  const isLost = there?.walStatus === 'lost';
  if (isLost) await admin.setSlots(target, credentials, { create: [], drop: [ARCHIVE_SLOT] });
  if (there === undefined || isLost) await admin.setSlots(target, credentials, { create: [ARCHIVE_SLOT], drop: [] });
  const kept = await replication.slotKeepsFrom(ARCHIVE_SLOT);
  if (kept === null)
    throw new Error(`slot ${ARCHIVE_SLOT} on ${target.instanceId} keeps no log: drop it, and it is made anew`);
  return kept;
}

interface Kept {
  readonly node: AnsweringNode;
  readonly lost: LostSlots;
  safe(): bigint;
}

/** Moves the other nodes' slots along, beside the stream. What fails is told, and tried again. */
export class SlotKeeper {
  readonly #ports: PostgresShipPorts;
  readonly #run: ShipRun;
  readonly #credentials: DbCredentials;
  readonly #kept: Kept;
  #over = false;

  constructor(ports: PostgresShipPorts, run: ShipRun, credentials: DbCredentials, kept: Kept) {
    this.#ports = ports;
    this.#run = run;
    this.#credentials = credentials;
    this.#kept = kept;
    void this.#keep();
  }

  async stop(): Promise<void> {
    this.#over = true;
    // A run that drains is shorter than the pause between two rounds.
    if (this.#run.mode === 'drain') await this.#round();
  }

  async #keep(): Promise<void> {
    while (!this.#over) {
      await this.#ports.clock.sleep(ADVANCE_MS);
      if (!this.#over) await this.#round();
    }
  }

  async #round(): Promise<void> {
    const { log } = this.#run;
    const { node, lost } = this.#kept;
    try {
      const nodes = (await answeringNodes(this.#ports, this.#run.spec, this.#credentials)).filter(
        (n) => n.status.systemId === node.status.systemId,
      );
      lost.look(this.#run, nodes);
      const others = nodes.filter((n) => n.target.instanceId !== node.target.instanceId);
      await Promise.all(others.map((other) => this.#move(other)));
    } catch (error) {
      log.warn('the slots of the other nodes were not looked at', { cluster: this.#run.spec.name, error });
    }
  }

  async #move({ target, status }: AnsweringNode): Promise<void> {
    const there = status.slots.find((slot) => slot.name === ARCHIVE_SLOT);
    const advance = { [ARCHIVE_SLOT]: lsnOfBytes(this.#kept.safe()) };
    // One that has lost its log serves nobody. Reconcile makes it anew, as it does where it is missing.
    const drop = there?.walStatus === 'lost' ? [ARCHIVE_SLOT] : [];
    try {
      await this.#ports.admin.setSlots(target, this.#credentials, { create: [], drop, advance });
    } catch (error) {
      this.#run.log.warn('the slot of a node was not moved', { node: target.instanceId, error });
    }
  }
}
