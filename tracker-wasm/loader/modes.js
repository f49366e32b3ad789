// How much may be told; the first three are also the core's numbers.

export const OFF = 0;
export const MEASURE = 1;
export const FULL = 2;
// Everything is taken down and nothing told until somebody decides.
export const WAIT = 3;
