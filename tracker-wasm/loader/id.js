// Event ids: uuid v7 as 32 hexadecimal digits. No two share a millisecond, so that they are in the order in which they
// were minted and distinct; a burst runs ahead of the clock by as many milliseconds as it has events.

let last = 0;

export default () => {
  last = Math.max(Date.now(), last + 1);
  const chance = Array.from(crypto.getRandomValues(new Uint8Array(10)), (byte) => (byte + 256).toString(16).slice(1)).join('');
  return last.toString(16).padStart(12, 0) + 7 + chance.slice(1, 4) + 8 + chance.slice(5);
};
