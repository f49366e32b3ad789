// Google's consent mode: what a page says with `gtag('consent', 'default' | 'update', { analytics_storage })`. Such a
// call puts its arguments into `dataLayer`; a layer of another name is not found.

/** What the commands so far say together: granted or not; undefined while nobody has decided. */
export const verdict = ({ chosen, standing, isRegional }, isFull) => {
  if (chosen) return chosen == 'granted';
  // Where the visitor is, only Google knows: a default beside one for some regions may be for others.
  if (standing == 'granted' && !isRegional) return true;
  // A refusal by default is nobody's decision, but it ends what the tag alone would have begun.
  if (isFull && (standing || isRegional)) return false;
};

/** Takes down what one entry of the layer says. Returns whether it says something of consent. */
export const take = (state, entry) => {
  const [command, action, said] = entry?.length ? entry : [];
  const word = command == 'consent' && said?.analytics_storage;
  if (!word) return false;
  if (action == 'update') state.chosen = word;
  else if (said.region) state.isRegional = true;
  else state.standing = word;
  // Before a default holds, it may give a manager time to say better.
  if (action == 'default') state.wait_ms = Math.max(state.wait_ms || 0, said.wait_for_update || 0);
  return true;
};

/** Hands on what it says, now and later. Returns whether the layer is there. */
export default (say, quiet, isFull) => {
  const layer = window.dataLayer;
  if (!Array.isArray(layer)) return false;
  const state = {};
  const decide = quiet(() => {
    const granted = verdict(state, isFull);
    if (granted !== undefined) say(granted);
  });
  const read = quiet((entries) => {
    const isNews = entries.filter((entry) => take(state, entry)).length > 0;
    // Later, so that what stands beside it in the page's script counts too.
    if (isNews) setTimeout(decide, state.chosen ? 0 : state.wait_ms);
  });
  read(layer);
  const { push } = layer;
  // Others put their own function there, before or after: each calls the one it found.
  layer.push = function (...entries) {
    const result = push.apply(this, entries);
    read(entries);
    return result;
  };
  return true;
};
