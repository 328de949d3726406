/**
 * How many times longer tests wait than an idle machine of two cores needs them to. Machines that run tests are shared: a disk that takes a
 * minute for a base backup is no defect of a script. Bounds that are promises (a prober's deadline) are asserted by the test itself and are
 * not stretched by this.
 */
export const PATIENCE = 4;
