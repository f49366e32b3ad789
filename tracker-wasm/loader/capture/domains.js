// Links to another of the owner's domains say who follows them, so that both know one visitor: `data-domains`.

export default ({ on, isOwn, visitor }) => {
  const lead = ({ target }) => {
    const link = target.closest('a[href]');
    const id = visitor();
    if (!link || !id || !/^https?:$/.test(link.protocol) || link.host == location.host || !isOwn(link.host)) return;
    const written = link.getAttribute('href');
    const url = new URL(link.href);
    url.search += `${url.search ? '&' : '?'}segments_v=${id}.${Date.now().toString(36)}`;
    link.href = url;
    // The browser has read it by then, and the page finds its link as it wrote it.
    setTimeout(() => link.setAttribute('href', written));
  };
  // A click with the wheel opens a link in another tab.
  on('click auxclick', lead);
};
