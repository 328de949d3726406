/** Where an object of MariaDB's log comes from: `<instance>~<file>~<offset>` in its key. */

export interface BinlogSource {
  readonly instance: string;
  /** The server's own name of the file, such as `binlog.000007`. */
  readonly file: string;
  /** Of the first of its bytes that are the server's. 0: all of the file's beginning. */
  readonly offset: number;
}

/** People choose the files' names (`log_bin`); `_` and `/` divide the key. */
const inKey = (text: string): string =>
  encodeURIComponent(text).replace(/[_~!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

export const formatSource = ({ instance, file, offset }: BinlogSource): string =>
  `${inKey(instance)}~${inKey(file)}~${offset}`;

/** Throws RangeError naming the text when it is no source. */
export function parseSource(text: string): BinlogSource {
  const [, instance, file, offset] = /^([^~]+)~([^~]+)~(\d+)$/.exec(text) ?? [];
  if (instance === undefined || file === undefined || offset === undefined) {
    throw new RangeError(
      `${JSON.stringify(text)} is no source: expected instance~file~offset, such as "i-1~binlog.000007~4"`,
    );
  }
  return { instance: decodeURIComponent(instance), file: decodeURIComponent(file), offset: Number(offset) };
}
