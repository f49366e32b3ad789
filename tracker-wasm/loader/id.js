// Event ids: uuid v7 as 32 hexadecimal digits. No two share a millisecond, so that they are in the order in which they
// were minted and distinct; a burst runs ahead of the clock by as many milliseconds as it has events.

let last = 0;
// Chance for the next ids: asking for a little often costs more than the rest of an event.
const pool = new Uint32Array(96);
let used = 96;

const hex = (number, digits) => number.toString(16).padStart(digits, 0);
const draw = () => hex(pool[used++], 8);

export default (variant = 8) => {
  last = Math.max(Date.now(), last + 1);
  if (used > 95) used = crypto.getRandomValues(pool) && 0;
  const chance = draw() + draw() + draw();
  return hex(last, 12) + 7 + chance.slice(0, 3) + variant + chance.slice(3, 18);
};
