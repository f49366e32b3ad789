// Links to another of the owner's domains say who follows them, so that both know one visitor: `data-domains`.

import { FULL, WAIT } from '../modes.js';

const PARAMETER = /([?&])segments_v=([\da-f]{32})?\.?([^&#]*)(&?)/;
// How long a link counts, in ms.
const FRESH_MS = 12e4;

/** Takes over who the visitor is, as a link has said it. Anybody can write one: it counts from an owner's page alone. */
const land = ({ isOwn, api, quiet }) => {
  const [, , id, time] = PARAMETER.exec(location.href) || [];
  const isFresh = Math.abs(Date.now() - parseInt(time, 36)) < FRESH_MS;
  if (id && isFresh && isOwn(document.referrer.split('/')[2])) localStorage['segments.visitor'] = id;
  const address = location.href.replace(PARAMETER, (whole, before, value, at, after) => after && before);
  quiet(() => history.replaceState(history.state, '', address))();
  api.consent('full');
};

export default (loader) => {
  const { on, isOwn, mode, me, lands } = loader;
  if (lands && mode() == WAIT) land(loader);
  const lead = ({ target }) => {
    const link = target.closest('a[href]');
    if (!link || mode() != FULL || !/^https?:$/.test(link.protocol) || link.host == location.host || !isOwn(link.host)) return;
    const written = link.getAttribute('href');
    const url = new URL(link.href);
    url.search += `${url.search ? '&' : '?'}segments_v=${me()}.${Date.now().toString(36)}`;
    link.href = url;
    // The browser has read it by then, and the page finds its link as it wrote it.
    setTimeout(() => link.setAttribute('href', written));
  };
  // A click with the wheel opens a link in another tab.
  on('click auxclick', lead);
};
