// Event ids: uuid v7 as 32 hexadecimal digits, in the order they are minted and distinct also within a millisecond.

let last = 0;
let count = 0;

export default () => {
  const now = Date.now();
  if (now > last) {
    last = now;
    // The twelve bits behind the time count up within a millisecond; half of them by chance to begin with.
    count = (Math.random() * 2048) | 0;
  } else if (++count > 4095) {
    last++;
    count = 0;
  }
  const chance = crypto.getRandomValues(new Uint8Array(8));
  chance[0] = (chance[0] & 63) | 128;
  return (
    last.toString(16).padStart(12, '0') +
    (28672 + count).toString(16) +
    Array.from(chance, (byte) => (byte + 256).toString(16).slice(1)).join('')
  );
};
