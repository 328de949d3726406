import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import {
  startDirectWriters,
  type DirectAcknowledgement,
  type DirectWriters,
} from '../../../rehearsal/client/direct.ts';
import { ReadOnly, type OpenSession, type Session } from '../../../rehearsal/client/sessions/session.ts';

const login = { user: 'u', password: 'p', database: 'd' };
const node = (id: string) => ({ id, host: id, port: 1 });
let writers: DirectWriters | null = null;
let acknowledged: DirectAcknowledgement[] = [];
const start = (open: OpenSession): DirectWriters => {
  acknowledged = [];
  return startDirectWriters(open, login, (a) => acknowledged.push(a));
};
afterEach(() => writers?.stop());

/** A node that answers each direct row as `answer` says. */
const session = (answer: Session['insertDirect']): Session => ({
  insert: () => Promise.reject(new Error('not here')),
  arrived: () => Promise.reject(new Error('not here')),
  insertDirect: answer,
  read: () => Promise.resolve(),
  end: () => Promise.resolve(),
  destroy: () => undefined,
});

const opening =
  (answers: Readonly<Record<string, Session['insertDirect']>>): OpenSession =>
  (server) => {
    const answer = answers[server.host];
    return answer === undefined ? Promise.reject(new Error('refused')) : Promise.resolve(session(answer));
  };

const until = async (what: string, condition: () => boolean): Promise<void> => {
  for (const end = Date.now() + 8000; !condition();) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await sleep(10);
  }
};
const count = (id: string): number => acknowledged.filter((a) => a.node === id).length;

describe('direct writers', () => {
  it('remember what is acknowledged, with its times and in order, and nothing of a standby', async () => {
    writers = start(
      opening({
        'i-a': () => Promise.resolve(),
        'i-b': () => Promise.reject(new ReadOnly('standby')),
      }),
    );
    writers.write([node('i-a'), node('i-b'), node('i-down')]);
    await until('five rows', () => count('i-a') >= 5);
    expect(acknowledged.slice(0, 5).map((a) => a.sequence)).toEqual([1, 2, 3, 4, 5]);
    expect(acknowledged.every((a) => a.beganAtMs <= a.acknowledgedAtMs)).toBe(true);
    expect([count('i-b'), count('i-down')]).toEqual([0, 0]);
  });

  it('are not held up by a node that hangs, and hear what it acknowledges when it wakes up', async () => {
    let wake: () => void = () => undefined;
    const frozen = new Promise<void>((resolve) => (wake = resolve));
    let asked = 0;
    const hanging = (): Promise<void> => {
      asked += 1;
      return frozen;
    };
    writers = start(opening({ 'i-a': () => Promise.resolve(), 'i-b': hanging }));
    writers.write([node('i-a'), node('i-b')]);
    await until('rows of the other, and a second try', () => count('i-a') >= 5 && asked >= 2);
    expect(count('i-b')).toBe(0);
    wake();
    await until('what it acknowledges late', () => count('i-b') >= 2);
  });

  it('begin with a node that comes and end with one that goes', async () => {
    const answers = { 'i-a': () => Promise.resolve(), 'i-b': () => Promise.resolve() };
    writers = start(opening(answers));
    writers.write([node('i-a')]);
    await until('a row', () => count('i-a') > 0);
    writers.write([node('i-b')]);
    const then = count('i-a');
    await until('rows of the new one', () => count('i-b') > 5);
    expect(count('i-a')).toBeLessThanOrEqual(then + 1);
  });
});
