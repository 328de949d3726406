/** Asks one Galera node for its status, and says how it failed when it fails. */
import type { Prober } from '../../cloud/ports.ts';
import { keptProber, type ProberOptions } from '../probing.ts';
import { Connection } from './connection.ts';
import { parseStatus } from './status.ts';

/** Milliseconds within which a probe answers, unless said. */
const DEADLINE_MS = 2000;

/** A prober for Galera nodes. `probe` never throws and answers within the deadline. */
export const galeraProber = (options: ProberOptions = {}): Prober =>
  keptProber(
    { connection: (socket) => new Connection(socket), parse: parseStatus },
    { ...options, deadlineMs: options.deadlineMs ?? DEADLINE_MS },
  );
