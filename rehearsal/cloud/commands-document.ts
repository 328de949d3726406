/**
 * Command documents as SSM understands them: parameters checked, `{{ Name }}` put in. Pure.
 * Source: Systems Manager User Guide, "SSM document syntax" and "Data elements and parameters", schema version 2.2.
 */

export interface ShellStep {
  readonly name: string;
  readonly script: string;
  readonly timeoutSeconds: number;
  readonly workingDirectory: string | null;
}

export interface PreparedDocument {
  readonly steps: readonly ShellStep[];
  /** For parameters with `interpolationType: ENV_VAR`: `SSM_<name>`; the script gets a reference, never the text. */
  readonly environment: Readonly<Record<string, string>>;
}

/** `code` is SSM's name for the error: InvalidParameters, InvalidDocument. */
export class DocumentFault extends Error {
  override readonly name = 'DocumentFault';
  readonly code: 'InvalidParameters' | 'InvalidDocument';
  constructor(code: DocumentFault['code'], message: string) {
    super(message);
    this.code = code;
  }
}

interface ParameterSpec {
  readonly type?: string;
  readonly default?: unknown;
  readonly allowedValues?: readonly unknown[];
  readonly allowedPattern?: string;
  readonly minChars?: number;
  readonly maxChars?: number;
  readonly interpolationType?: string;
}

const DEFAULT_TIMEOUT_SECONDS = 3600; // aws:runShellScript, timeoutSeconds

const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

const invalid = (message: string): DocumentFault => new DocumentFault('InvalidParameters', message);

function checkValue(name: string, spec: ParameterSpec, value: string): void {
  const received = `parameter ${name} is ${JSON.stringify(value)}`;
  if (spec.allowedValues !== undefined && !spec.allowedValues.map(text).includes(value)) {
    throw invalid(`${received}; use one of ${spec.allowedValues.map(text).join(', ')}`);
  }
  // SSM anchors nothing: a document that wants the whole value matched says so with ^ and $.
  if (spec.allowedPattern !== undefined && !new RegExp(spec.allowedPattern).test(value)) {
    throw invalid(`${received}; it must match ${spec.allowedPattern}`);
  }
  if (spec.minChars !== undefined && value.length < spec.minChars) {
    throw invalid(`${received}; it must have at least ${spec.minChars} characters`);
  }
  if (spec.maxChars !== undefined && value.length > spec.maxChars) {
    throw invalid(`${received}; it must have at most ${spec.maxChars} characters`);
  }
}

/** Values of one parameter, checked. `given` comes as a list of strings, as SendCommand sends it. */
function valuesOf(name: string, spec: ParameterSpec, given: readonly string[] | undefined): string {
  if (given === undefined && spec.default === undefined) {
    throw invalid(`parameter ${name} is missing; the document has no default for it`);
  }
  const type = spec.type ?? 'String';
  if (type === 'StringList') {
    const list = given ?? (spec.default as readonly string[]);
    for (const value of list) checkValue(name, spec, value);
    return JSON.stringify(list);
  }
  if (given !== undefined && given.length !== 1) {
    throw invalid(`parameter ${name} has ${given.length} values; a ${type} takes one`);
  }
  const value = given?.[0] ?? text(spec.default);
  if (type === 'Integer' && !/^-?\d+$/.test(value)) {
    throw invalid(`parameter ${name} is ${JSON.stringify(value)}; an Integer is expected`);
  }
  if (type === 'Boolean' && value !== 'true' && value !== 'false') {
    throw invalid(`parameter ${name} is ${JSON.stringify(value)}; true or false is expected`);
  }
  checkValue(name, spec, value);
  return value;
}

function parse(content: string): Record<string, unknown> {
  try {
    return JSON.parse(content) as Record<string, unknown>;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new DocumentFault(
      'InvalidDocument',
      `the document is not JSON (${why}); register it with DocumentFormat JSON`,
    );
  }
}

/** Puts values in for `{{ Name }}`; names that are no parameter (`{{ global:DATE }}`) stay as they are, as in SSM. */
function substitute(source: string, values: ReadonlyMap<string, string>): string {
  return source.replace(/\{\{\s*([A-Za-z0-9_-]+)\s*\}\}/g, (whole, name: string) => values.get(name) ?? whole);
}

function stepOf(raw: unknown, values: ReadonlyMap<string, string>): ShellStep {
  const step = raw as { action?: string; name?: string; inputs?: Record<string, unknown> };
  if (step.action !== 'aws:runShellScript') {
    throw new DocumentFault(
      'InvalidDocument',
      `step ${step.name ?? '?'} has the action ${text(step.action)}; the rehearsal runs aws:runShellScript only`,
    );
  }
  const lines = step.inputs?.['runCommand'];
  if (!Array.isArray(lines)) {
    throw new DocumentFault(
      'InvalidDocument',
      `step ${step.name ?? '?'}: inputs.runCommand is ${text(lines)}; give a list`,
    );
  }
  const timeout = Number(substitute(text(step.inputs?.['timeoutSeconds'] ?? DEFAULT_TIMEOUT_SECONDS), values));
  if (!Number.isFinite(timeout) || timeout <= 0) {
    throw invalid(`step ${step.name ?? '?'}: timeoutSeconds is ${timeout}; give 1 to 172800`);
  }
  const directory = step.inputs?.['workingDirectory'];
  return {
    name: step.name ?? 'runShellScript',
    script: `${lines.map((line) => substitute(text(line), values)).join('\n')}\n`,
    timeoutSeconds: timeout,
    workingDirectory: typeof directory === 'string' && directory !== '' ? substitute(directory, values) : null,
  };
}

/**
 * What SendCommand would run for this document and these parameters.
 * @throws DocumentFault when a parameter is unknown, missing or not allowed, or the document is not one that runs here.
 */
export function prepareDocument(
  content: string,
  parameters: Readonly<Record<string, readonly string[]>>,
): PreparedDocument {
  const document = parse(content);
  if (document['schemaVersion'] !== '2.2') {
    throw new DocumentFault('InvalidDocument', `schemaVersion is ${text(document['schemaVersion'])}; 2.2 is expected`);
  }
  const specs = (document['parameters'] ?? {}) as Record<string, ParameterSpec>;
  for (const name of Object.keys(parameters)) {
    if (specs[name] === undefined) {
      throw invalid(`parameter ${name} is not of this document; it has ${Object.keys(specs).join(', ') || 'none'}`);
    }
  }
  const inScript = new Map<string, string>();
  const environment: Record<string, string> = {};
  for (const [name, spec] of Object.entries(specs)) {
    const value = valuesOf(name, spec, parameters[name]);
    if (spec.interpolationType === 'ENV_VAR') {
      environment[`SSM_${name}`] = value;
      inScript.set(name, `\${SSM_${name}}`);
    } else {
      inScript.set(name, value);
    }
  }
  const steps = (document['mainSteps'] ?? []) as unknown[];
  return { steps: steps.map((step) => stepOf(step, inScript)), environment };
}
