// How people move: down a page, and on to the next by the page's own navigation.

import { SCROLL } from '../signals.js';

export default ({ on, quiet, idle, tell, moved, hooks }) => {
  // The page's layout is read when it has nothing else to do.
  let measuring;
  const measureSoon = () => {
    measuring =
      measuring ||
      idle(() => {
        measuring = 0;
        const seen = ((scrollY + innerHeight) / document.documentElement.scrollHeight) * 100;
        tell('signal', SCROLL, Date.now(), Math.min(100, seen) | 0);
      });
  };
  on('scroll', measureSoon);
  hooks.views.push(measureSoon);
  measureSoon();

  // Later than the call, so that the title is the new one and nothing of ours runs inside the page's.
  let timer;
  const soon = quiet(() => {
    clearTimeout(timer);
    timer = setTimeout(quiet(moved), 50);
  });
  on('popstate', soon);
  for (const name of ['pushState', 'replaceState']) {
    const original = history[name];
    history[name] = function () {
      const result = original.apply(this, arguments);
      soon();
      return result;
    };
  }
  // What moved before anybody listened.
  soon();
};
