/** Names that more than one construct relies on. */

/** One a folder in `lambdas/` that has a handler. */
export const FUNCTION_NAMES = ['signals', 'reconcile', 'watch', 'replace', 'bootstrap', 'operate'] as const;

export type FunctionName = (typeof FUNCTION_NAMES)[number];

export const WORKFLOW_NAMES = ['replace', 'bootstrap'] as const;

export type WorkflowName = (typeof WORKFLOW_NAMES)[number];
