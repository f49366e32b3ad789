// Takes personal values and secrets out of a URL before it leaves the page.
//
// This is the only place that does: every URL the tracker tells comes from here, whether the loader or the core sends
// it. The collector cannot do it for us, since what it must not see must not reach it. User and password before the host
// are left out of `location` and referrers by the browser itself. `scrub_corpus.json` holds the cases.

// A name that says so itself: `access_token`, `resetToken`, `api-key`, `e-mail`. The short ones only as a word.
// `segments_v` is who a visitor is, in a link from one of an owner's domains to the next.
const SECRET_NAME =
  /(token|secret|passw(or)?d|pwd|e-?mail|api.?key|signature|jwt|session(.?id)?)$|^(code|segments_v)$|(^|[_.-])(key|sig|sid|otp|pin|auth|pass|phone)$/i;

// `mia@example.com`, its @ encoded once or more; `@mia` alone is a name that is public.
const EMAIL = /.(@|%(25)*40)./;

// A signed token wherever it stands.
const JWT = /eyJ[\w-]{8,}\.[\w.-]+/g;

// As a value of a parameter: long, of one piece, with digits: nobody wrote that to be read...
const OPAQUE = /^(?=.*\d)[\w.-]{32,}$/;

// ...except the marks that campaigns put there, which say where a visitor came from.
const CAMPAIGN_NAME = /^(utm|mc)_|clk?id$|braid$|^(li_fat_id|epik|rdt_cid|srsltid)$/i;

const LONGEST = 2048;

// Cut first, and the patterns look at one piece at a time: a page may have any URL, and none may make it wait.
export default (url) =>
  url
    .split('#')[0]
    .slice(0, LONGEST)
    .replace(/([?&;])([^=&;]*)=([^&;]*)/g, (whole, before, name, value) =>
      value && (SECRET_NAME.test(name) || (OPAQUE.test(value) && !CAMPAIGN_NAME.test(name))) ? before + name + '=*' : whole)
    .replace(/[^/?&=;,:]+/g, (piece) => (EMAIL.test(piece) ? '*' : piece.replace(JWT, '*')));
