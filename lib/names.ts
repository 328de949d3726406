/** Names that more than one construct relies on. */

/** One a state machine, each with a function that does its steps. */
export const WORKFLOW_NAMES = ['replace', 'bootstrap', 'failover', 'switchover', 'rolling'] as const;

export type WorkflowName = (typeof WORKFLOW_NAMES)[number];

/** One a folder in `lambdas/` that has a handler. */
export const FUNCTION_NAMES = ['signals', 'reconcile', 'watch', 'operate', ...WORKFLOW_NAMES] as const;

export type FunctionName = (typeof FUNCTION_NAMES)[number];
