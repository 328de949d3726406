/** What the host says of its pieces, against what S3 has of them: pure. */
import type { UploadedPart } from '../cloud/ports.ts';

export interface HostPart {
  readonly number: number;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly etag: string;
}

const LINE = /^(\d{1,5})\t(\d{1,12})\t([0-9a-f]{64})\t(\S+)$/;

/** Lines of number, bytes, SHA-256 and entity tag. Throws RangeError naming the line that is none. */
export const parseParts = (text: string): readonly HostPart[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [, number, bytes, sha256, etag] = LINE.exec(line) ?? [];
      if (number === undefined || bytes === undefined || sha256 === undefined || etag === undefined) {
        throw new RangeError(
          `${JSON.stringify(line)} is no piece: expected number, bytes, SHA-256 and entity tag, tabs between`,
        );
      }
      return { number: Number(number), sizeBytes: Number(bytes), sha256, etag };
    });

/** Some clients keep the quotes of an entity tag, others do not. */
const bare = (etag: string): string => etag.replaceAll('"', '');

/** Null when each piece that the host made is in S3 as it made it, none is missing and none too many. */
export function differenceOf(
  host: readonly HostPart[],
  stored: readonly UploadedPart[],
  said: { readonly parts: number; readonly storedBytes: number },
): string | null {
  if (host.length !== said.parts || stored.length !== said.parts || said.parts === 0) {
    return `the host said ${said.parts} pieces and lists ${host.length}, S3 has ${stored.length}; expected as many everywhere`;
  }
  for (const [index, h] of host.entries()) {
    const s = stored[index];
    if (s?.number !== h.number || h.number !== index + 1)
      return `piece ${index + 1} is missing among those that S3 has`;
    if (s.sizeBytes !== h.sizeBytes)
      return `piece ${h.number} has ${s.sizeBytes} bytes in S3, the host made ${h.sizeBytes}`;
    if (bare(s.etag) !== bare(h.etag))
      return `piece ${h.number} is another in S3 (${s.etag}) than the host made (${h.etag})`;
    if (s.sha256 !== null && s.sha256 !== h.sha256)
      return `piece ${h.number} has SHA-256 ${s.sha256} in S3, ${h.sha256} on the host`;
  }
  const sum = host.reduce((total, h) => total + h.sizeBytes, 0);
  return sum === said.storedBytes ? null : `the pieces have ${sum} bytes, the host said ${said.storedBytes}`;
}
