/** A host's backup script in memory: detached, as docs/archive.md has it. */
import { createHash } from 'node:crypto';
import type { CommandState } from '../../lambdas/cloud/ports.ts';
import type { FakeAws } from '../fakes/index.ts';

const hash = (algorithm: string, body: Uint8Array): string => createHash(algorithm).update(body).digest('hex');

export class BackupHost {
  /** How often it says that it runs. */
  asksUntilDone = 3;
  pieces: readonly Uint8Array[] = [Buffer.from('a base backup')];
  /** Changes what it says and leaves in the bucket. */
  tamper: (parts: string) => string = (parts) => parts;
  answer: Readonly<Record<string, unknown>> = {};
  readonly asked: { readonly instance: string; readonly parameters: Readonly<Record<string, string>> }[] = [];
  fails: () => CommandState | null = () => null;
  readonly #aws: FakeAws;
  readonly #engine: 'galera' | 'postgres';
  readonly #history: string;
  #asks = 0;

  constructor(aws: FakeAws, engine: 'galera' | 'postgres', history: string) {
    this.#aws = aws;
    this.#engine = engine;
    this.#history = history;
    aws.scripts.set(`${engine}-backup`, (instance, parameters) => {
      this.asked.push({ instance, parameters });
      const failed = this.fails();
      if (failed !== null) return failed;
      this.#asks += 1;
      return { kind: 'succeeded', output: `a message\n${JSON.stringify(this.#say(parameters))}\n` };
    });
  }

  #say({ Key = '', UploadId = '' }: Readonly<Record<string, string>>): object {
    if (this.#asks <= this.asksUntilDone) return { state: 'running', parts: 0, rawBytes: 1, storedBytes: 0 };
    const upload = this.#aws.uploads.get(UploadId);
    const lines = this.pieces.map((body, i) => {
      upload?.parts.set(i + 1, body);
      return `${i + 1}\t${body.length}\t${hash('sha256', body)}\t"${hash('md5', body)}"\n`;
    });
    this.#aws.objects.set(Key.replace('data.zst', 'parts'), Buffer.from(this.tamper(lines.join(''))));
    const endedAt = new Date(this.#aws.clock.nowMs()).toISOString();
    const place = this.#engine === 'galera' ? { gtid: '0-1-270' } : { timeline: 1, lsn: '0/2000028' };
    return {
      state: 'done',
      parts: this.pieces.length,
      rawBytes: 1_000_000,
      storedBytes: this.pieces.reduce((sum, b) => sum + b.length, 0),
      sha256: hash('sha256', Buffer.concat(this.pieces)),
      engineVersion: this.#engine === 'galera' ? '10.11.14-MariaDB' : '15.18',
      beganAt: new Date(this.#aws.clock.nowMs() - 60_000).toISOString(),
      endedAt,
      history: this.#history,
      start: place,
      end: place,
      ...(this.#engine === 'galera' ? { seqno: 270 } : {}),
      ...this.answer,
    };
  }
}
