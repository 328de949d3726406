/** A function's log: one JSON object a line, as CloudWatch shows it with the JSON log format. */
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

export interface FunctionLog {
  /** Takes over what a container prints. */
  attach(stdout: Readable, stderr: Readable): void;
  /** A line of the platform's own: starts, reports. */
  platform(type: string, record: Readonly<Record<string, unknown>>): void;
  close(): Promise<void>;
}

export function openFunctionLog(file: string): FunctionLog {
  const out = createWriteStream(file, { flags: 'a' });
  const write = (line: string): void => {
    // A process that was killed at the very end may still have a line on its way to a log that is closed.
    if (out.writable) out.write(`${line}\n`);
  };
  const wrap = (level: string, message: string): string =>
    JSON.stringify({ timestamp: new Date().toISOString(), level, message });
  return {
    attach(stdout, stderr) {
      // A structured logger prints JSON already: that stays as it is.
      createInterface({ input: stdout }).on('line', (line) => write(line.startsWith('{') ? line : wrap('INFO', line)));
      createInterface({ input: stderr }).on('line', (line) => write(line.startsWith('{') ? line : wrap('ERROR', line)));
    },
    platform(type, record) {
      write(JSON.stringify({ time: new Date().toISOString(), type, record }));
    },
    close: () => new Promise((resolve) => out.end(resolve)),
  };
}
