/**
 * Writers that go straight to every node, past the balancer, and write on and on: what one database ever acknowledges,
 * from wherever, is seen here. Two nodes that acknowledge at the same time are a split brain, however routing stands.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { DirectNode } from './messages.ts';
import { ReadOnly, type Login, type OpenSession } from './sessions/session.ts';

/** One row that a node acknowledged. Times by the client's clock, in milliseconds since the epoch. */
export interface DirectAcknowledgement {
  readonly node: string;
  readonly sequence: number;
  readonly beganAtMs: number;
  readonly acknowledgedAtMs: number;
}

export interface DirectWriters {
  /** Begins with new nodes, ends with those that are gone. */
  write(nodes: readonly DirectNode[]): void;
  stop(): void;
}

const CONNECT_TIMEOUT_MS = 1000;
/** Between two rows on a node that takes writes; between two tries on one that does not. */
const PAUSE_MS = 15;
const RETRY_MS = 60;
/** A try that has not come back by then is left to itself (what it still acknowledges counts), and another is begun. */
const PATIENCE_MS = 1500;
const HANGING_AT_MOST = 4;

/** `onAcknowledged` hears of each row in the order in which they came. */
export function startDirectWriters(
  open: OpenSession,
  login: Login,
  onAcknowledged: (a: DirectAcknowledgement) => void,
): DirectWriters {
  const running = new Map<string, { stopped: boolean }>();
  const write = (nodes: readonly DirectNode[]): void => {
    for (const [id, run] of running) {
      if (nodes.some((n) => n.id === id)) continue;
      run.stopped = true;
      running.delete(id);
    }
    for (const node of nodes) {
      if (running.has(node.id)) continue;
      const run = { stopped: false };
      running.set(node.id, run);
      void writeTo(node, open, login, run, onAcknowledged);
    }
  };
  return { write, stop: () => write([]) };
}

/** Row after row to one node, each of its own sequence number. Never throws; ends when told. */
async function writeTo(
  node: DirectNode,
  open: OpenSession,
  login: Login,
  run: { readonly stopped: boolean },
  onAcknowledged: (a: DirectAcknowledgement) => void,
): Promise<void> {
  let sequence = 0;
  const next = (): number => ++sequence;
  const hanging = new Set<Promise<void>>();
  while (!run.stopped) {
    const tries: Tries = { answeredAtMs: Date.now(), abandoned: false };
    // Whatever goes wrong, the next try tells more than the error: a node that is down refuses for minutes.
    const attempt: Promise<void> = writeOn(node, open, login, { run, tries, next, onAcknowledged })
      .catch(() => undefined)
      .finally(() => hanging.delete(attempt));
    hanging.add(attempt);
    while (hanging.has(attempt) && Date.now() - tries.answeredAtMs < PATIENCE_MS && !run.stopped) {
      await Promise.race([attempt, sleep(RETRY_MS)]);
    }
    tries.abandoned = true;
    while (hanging.size >= HANGING_AT_MOST && !run.stopped) await Promise.race([...hanging, sleep(RETRY_MS)]);
    await sleep(RETRY_MS);
  }
}

/** How the tries on one connection go. An abandoned one ends with the row that it waits for. */
interface Tries {
  answeredAtMs: number;
  abandoned: boolean;
}

interface Course {
  readonly run: { readonly stopped: boolean };
  readonly tries: Tries;
  next(): number;
  onAcknowledged(a: DirectAcknowledgement): void;
}

/** Writes over one connection for as long as it lasts. A standby says no, and is asked again. */
async function writeOn(node: DirectNode, open: OpenSession, login: Login, course: Course): Promise<void> {
  const { run, tries } = course;
  const session = await open({ host: node.host, port: node.port }, login, CONNECT_TIMEOUT_MS);
  try {
    while (!run.stopped && !tries.abandoned) {
      const sequence = course.next();
      const beganAtMs = Date.now();
      const written = await session.insertDirect(node.id, sequence).then(
        () => true,
        (error: unknown) => {
          if (error instanceof ReadOnly) return false;
          throw error;
        },
      );
      if (written) course.onAcknowledged({ node: node.id, sequence, beganAtMs, acknowledgedAtMs: Date.now() });
      tries.answeredAtMs = Date.now();
      await sleep(written ? PAUSE_MS : RETRY_MS);
    }
  } finally {
    session.destroy();
  }
}
