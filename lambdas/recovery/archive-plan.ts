/** What the plan of a restore needs of the bucket beside the listing: the manifest of its base, and a place for the host to read it from. */
import { createHash } from 'node:crypto';
import type { ArchiveBucket } from '../cloud/ports.ts';
import type { Choice } from '../model/archive/choose.ts';
import type { Manifest } from '../model/archive/manifest.ts';
import { manifestSchema } from '../model/archive/manifest.ts';
import type { Refusal } from '../model/archive/target.ts';
import { refusal } from '../model/archive/target.ts';
import type { StepContext } from './step.ts';
import { executionNameOf } from './step.ts';

export async function readManifest(
  bucket: Pick<ArchiveBucket, 'get'>,
  { base }: Pick<Choice, 'base'>,
): Promise<Manifest | Refusal> {
  const text = await bucket.get(base.manifestKey);
  const parsed = text === null ? null : manifestSchema.safeParse(jsonOf(text));
  if (parsed?.success === true) return parsed.data;
  const why =
    parsed === null ? 'is not there' : `cannot be read: ${parsed.error.issues.map((i) => i.message).join('; ')}`;
  return refusal('BASE_DAMAGED', `the manifest ${base.manifestKey} ${why}; give an earlier target`);
}

/** Where this execution's plan of that text lies. Another plan of a repeated step (the archive has grown) is another object. */
export function planKeyOf({ cluster, execution }: StepContext, text: string): string {
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 12);
  return `${cluster}/restore/${executionNameOf(execution)}/plan-${digest}`;
}

function jsonOf(text: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(text).toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
