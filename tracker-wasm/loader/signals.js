// What a signal tells; the core knows them by the same numbers (`src/browser.rs`).

export const INPUT = 0;
export const CLICK = 1;
export const SCROLL = 2;
export const ACTIVE = 3;
// From here on the core's alone.
export const PRESS = 4;
export const DEAD = 5;
export const ERROR = 6;
export const COPY = 7;
export const FIELD = 8;
export const LCP = 9;
export const FCP = 10;
export const TTFB = 11;
export const INP = 12;
export const CLS = 13;
