/** What happens in the emulated AWS and in Rejoin, told as lines of the timeline. */
import type { Ledger } from '../lambdas/cloud/ports.ts';
import type { CloudEvent } from './cloud/contract.ts';
import type { Timeline, Voice } from './ui/timeline.ts';

/** Kinds of events worth a line; the others are in the logs. */
const VOICES: Readonly<Record<string, Voice>> = {
  instance: 'cloud',
  target: 'cloud',
  dns: 'cloud',
  workflow: 'cloud',
  command: 'cloud',
  volume: 'cloud',
  event: 'note',
  fault: 'fault',
};

/** A listener for cloud events that writes them on the timeline, each sentence once in a row. */
export function cloudStory(timeline: Timeline): (event: CloudEvent) => void {
  let last = '';
  return (event) => {
    const voice = VOICES[event.kind];
    if (voice === undefined || event.what === last) return;
    last = event.what;
    timeline.add(voice, event.what, event.atMs);
  };
}

/** Follows the open incident's record in the ledger: what Rejoin did, and why, in its own words. */
export function incidentStory(
  timeline: Timeline,
  ledger: Ledger,
  cluster: string,
): { look(incident: string | null): Promise<void> } {
  const told = new Set<string>();
  let following: string | null = null;
  return {
    /** Also looks a last time at an incident that was closed meanwhile. */
    look: async (incident) => {
      const ids = new Set([following, incident].filter((id) => id !== null));
      following = incident;
      for (const id of ids) {
        for (const entry of await ledger.incident(cluster, id)) {
          const key = `${id} ${entry.atMs} ${entry.what}`;
          if (told.has(key)) continue;
          told.add(key);
          timeline.add('rejoin', `${entry.who}: ${entry.what}${entry.why === '' ? '' : ` (${entry.why})`}`, entry.atMs);
        }
      }
    },
  };
}
