// Event ids: uuid v7 as 32 hexadecimal digits. No two share a millisecond, so that they are in the order in which they
// were minted and distinct; a burst runs ahead of the clock by as many milliseconds as it has events.

let last = 0;
// Chance for the next ids, 16 bits each: asking for a little often costs more than the rest of an event.
const MOST = 1600;
const pool = new Uint16Array(MOST);
let used = MOST;

// With the bit above it a number has all its digits. Engines write larger ones more slowly.
const draw = () => (pool[used++] | 65536).toString(16).slice(1);

export default (variant = 8) => {
  last = Math.max(Date.now(), last + 1);
  if (used == MOST) used = crypto.getRandomValues(pool) && 0;
  const chance = draw() + draw() + draw() + draw() + draw();
  return (last + 2 ** 48).toString(16).slice(1) + 7 + chance.slice(0, 3) + variant + chance.slice(3, 18);
};
