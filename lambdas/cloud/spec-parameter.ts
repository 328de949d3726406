/** How a specification is read back from its parameter: JSON, valid, and of the cluster that the parameter is named for. */
import type { SpecResult } from '../model/spec.ts';
import { SPEC_PREFIX, parseSpec } from '../model/spec.ts';

export const parameterName = (cluster: string): string => `${SPEC_PREFIX}${cluster}`;

const lastRead = new Map<string, { readonly text: string; readonly result: SpecResult }>();

/** Never throws: what is wrong is in the answer. A text that was read before, as nearly every one was, is not checked again. */
export function specFromParameter(cluster: string, text: string): SpecResult {
  const last = lastRead.get(cluster);
  if (last?.text === text) return last.result;
  const result = checked(cluster, text);
  lastRead.set(cluster, { text, result });
  return result;
}

function checked(cluster: string, text: string): SpecResult {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const problem = {
      path: '',
      received: excerpt(text),
      mend: `store JSON (${String(error)}); deploy the cluster again`,
    };
    return { ok: false, problems: [problem] };
  }
  const result = parseSpec(value);
  if (result.ok && result.spec.name !== cluster) {
    const mend = `the parameter ${parameterName(cluster)} holds the specification of the cluster it is named for`;
    return { ok: false, problems: [{ path: 'name', received: JSON.stringify(result.spec.name), mend }] };
  }
  return result;
}

const excerpt = (text: string): string => JSON.stringify(text.length <= 80 ? text : `${text.slice(0, 80)}…`);
