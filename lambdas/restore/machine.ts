/** `arn:…:execution:rejoin-drill:NAME`: is the machine that asks the drill's. */
export const isDrill = (execution: string): boolean => /(^|-)drill$/.test(execution.split(':').at(-2) ?? '');
