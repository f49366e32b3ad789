// Event ids: uuid v7 as 32 hexadecimal digits. No two share a millisecond, so that they are in the order in which they
// were minted and distinct; a burst runs ahead of the clock by as many milliseconds as it has events.

let last = 0;
// Chance for the next ids: asking for a little often costs more than the rest of an event.
let pool = [];

const hex = (number, digits) => number.toString(16).padStart(digits, 0);

export default (variant = 8) => {
  last = Math.max(Date.now(), last + 1);
  if (!pool[0]) pool = Array.from(crypto.getRandomValues(new Uint32Array(96)), (number) => hex(number, 8));
  const chance = pool.pop() + pool.pop() + pool.pop();
  return hex(last, 12) + 7 + chance.slice(0, 3) + variant + chance.slice(3, 18);
};
