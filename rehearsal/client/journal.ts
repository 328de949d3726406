/** The files in which the client writes down what was acknowledged, as it comes. */
import { open } from 'node:fs/promises';
import type { DirectAcknowledgement } from './direct.ts';

/** One row that was acknowledged through the writer endpoint. Times by the client's clock, in milliseconds since the epoch. */
export interface Acknowledgement {
  readonly id: number;
  readonly beganAtMs: number;
  readonly acknowledgedAtMs: number;
}

/** Without the last line when it is not written to its end: the client may be at it. */
export const completeLines = (text: string): string[] =>
  text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '');

/**
 * Reads complete lines, on from where the last call has ended: a journal of hours is read once. No file: no lines. Throws
 * when the file is missing.
 */
export function readingOn(file: string | null): () => Promise<string[]> {
  let offset = 0;
  return async () => {
    if (file === null) return [];
    const handle = await open(file, 'r');
    try {
      const length = (await handle.stat()).size - offset;
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset);
      const lines = completeLines(buffer.subarray(0, bytesRead).toString());
      offset += lines.reduce((bytes, line) => bytes + line.length + 1, 0); // ids and numbers: a character is a byte
      return lines;
    } finally {
      await handle.close();
    }
  };
}

export function acknowledgementIn(line: string): Acknowledgement {
  const [id = 0, beganAtMs = 0, acknowledgedAtMs = 0] = line.split(' ').map(Number);
  return { id, beganAtMs, acknowledgedAtMs };
}

export function directIn(line: string): DirectAcknowledgement {
  const [node = '', ...numbers] = line.split(' ');
  const [sequence = 0, beganAtMs = 0, acknowledgedAtMs = 0] = numbers.map(Number);
  return { node, sequence, beganAtMs, acknowledgedAtMs };
}
