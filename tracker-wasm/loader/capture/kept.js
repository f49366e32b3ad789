// Undelivered events in the browser's storage. Each page keeps its own under a name of its own, and takes over those of
// pages that are gone. It holds a lock of that name, so that nobody takes over what a page that lives will deliver.

const QUEUE = 'segments.queue.';
// Where there are no locks: so many ms after a page has last written it is held to be gone. The core of one that was only
// slow finds its events taken over, and lets go of them.
const LEASE_MS = 5000;
// A page that begins or comes back waits so many ms: the one that it takes the place of is to have let go of its locks, or a
// browser would not keep that one for going back. And one that is left at once has nothing of others to send once more.
const SETTLED_MS = 1000;
// Of pages that are gone.
const MOST_PLACES = 20;

/** Where this page keeps its events. */
export const slot = QUEUE + crypto.getRandomValues(new Uint32Array(1));

/** `adopt` is the core's. Gives a function that is to be told the storage, or that there is none to be used. */
export default (adopt, { on, quiet }) => {
  const { locks } = navigator;
  let storage, life, letGo, timer;
  // What is taken is held until the page goes: another page may not see at once that it is no longer there.
  const hold = (name, options, take) => locks.request(name, options, (lock) => lock && take() && life).catch(() => {});
  const later = (wait) => {
    clearTimeout(timer);
    timer = setTimeout(takeOver, wait);
  };
  const takeOver = quiet(() => {
    if (!storage) return;
    if (!life && locks) {
      life = new Promise((done) => (letGo = done));
      hold(slot, {}, () => 1);
    }
    let others = 0;
    for (const name in storage)
      if (name.startsWith(QUEUE) && name != slot) {
        others++;
        // Where nothing can be delivered for days, not all that is left behind is kept.
        if (locks) hold(name, { ifAvailable: true }, () => adopt(name, 0) || (others > MOST_PLACES && others-- && storage.removeItem(name)));
        else adopt(name, LEASE_MS);
        // What another page still holds, or what there is no room for yet. By chance, so that of several pages one is first.
        later(LEASE_MS * (1 + Math.random() / 2));
      }
  });
  // A page that is frozen or kept for going back delivers nothing; one that holds a lock would not be kept.
  on('pagehide freeze', () => {
    letGo?.();
    life = 0;
  });
  on('pageshow resume focus online', () => later(SETTLED_MS));
  return (given) => {
    storage = given;
    later(SETTLED_MS);
  };
};
