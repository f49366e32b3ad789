// IAB Transparency & Consent Framework, version 2: `__tcfapi`.
//
// The frame that pages within frames ask instead (`__tcfapiLocator`) is not asked: a tag stands in the page itself.

// Storing on the device, a profile to personalise content, measuring content: what `full` does.
const PURPOSES = [1, 5, 8];

/** What the framework's answer says: granted or not; undefined while nobody has decided. */
export const verdict = ({ gdprApplies, eventStatus, purpose }) => {
  if (gdprApplies === false) return true;
  // Any other status is that of a question that is still on the screen.
  if (eventStatus == 'tcloaded' || eventStatus == 'useractioncomplete')
    return PURPOSES.every((number) => purpose?.consents?.[number] === true);
};

/** Hands on what it says, now and later. Returns whether it is there. */
export default (say, quiet) => {
  if (typeof window.__tcfapi != 'function') return false;
  const told = (answer, isRead) => {
    const granted = isRead ? verdict(answer) : undefined;
    if (granted !== undefined) say(granted);
  };
  window.__tcfapi('addEventListener', 2, quiet(told));
  return true;
};
