// Undelivered events in the browser's storage. Each page keeps its own under a name of its own, and takes over those of
// pages that are gone. It holds a lock of that name, so that nobody takes over what a page that lives will deliver.

const QUEUE = 'segments.queue.';
// Where there are no locks: so many ms after a page has last written it is held to be gone. The core of one that was only
// slow finds its events taken over, and lets go of them.
const LEASE_MS = 5000;

/** Where this page keeps its events. */
export const slot = QUEUE + Math.random();

/** `adopt` is the core's. Gives a function that is to be told the storage, or that there is none to be used. */
export default (adopt, { on, quiet }) => {
  const { locks } = navigator;
  let storage, life, letGo, timer;
  // Held until the page goes, also what was taken over: another page may not see at once that it is no longer there.
  const hold = (name, options, held) => locks.request(name, options, (lock) => lock && (held(), life)).catch(() => {});
  const takeOver = quiet(() => {
    if (!storage) return;
    if (!life && locks) {
      life = new Promise((done) => (letGo = done));
      hold(slot, {}, () => {});
    }
    for (const name in storage)
      if (name.startsWith(QUEUE) && name != slot) {
        if (locks) hold(name, { ifAvailable: true }, () => adopt(name, 0));
        else {
          adopt(name, LEASE_MS);
          clearTimeout(timer);
          // By chance, so that of several pages one is first.
          timer = setTimeout(takeOver, LEASE_MS * (1 + Math.random() / 2));
        }
      }
  });
  // A page that is frozen or kept for going back delivers nothing; one that holds a lock would not be kept.
  on('pagehide freeze', () => {
    letGo?.();
    life = 0;
  });
  on('pageshow resume focus online', takeOver);
  return (given) => {
    storage = given;
    takeOver();
  };
};
