// Takes personal values and secrets out of a URL before it leaves the page.
//
// This is the only place that does: every URL the tracker tells comes from here, whether the loader or the core sends
// it. The collector cannot do it for us, since what it must not see must not reach it. User and password before the host
// are left out of `location` and referrers by the browser itself. `scrub_corpus.json` holds the cases.

// A name that says so itself: `access_token`, `resetToken`, `api-key`, `e-mail`, and what mailers call a recipient. The
// short ones only as a word.
const SECRET_NAME =
  /(tok(en)?|secret|passw(or)?d|pwd|e-?mail|api.?key|signature|jwt|session(.?id)?|subscriber(.?id)?)$|^(code|__s)$|(^|[_.-])(key|sig|[esu]id|otp|pin|auth|pass|phone|tel|iban|kx|hsenc|hs[st]c)$/i;

// `mia@example.com`, its @ encoded once or more; `@mia` alone is a name that is public.
const EMAIL = /.(@|%(25)*40)./;

// A signed token wherever it stands.
const JWT = /eyJ[\w-]{8,}\.[\w.-]+/g;

// As a value of a parameter: long, of one piece, with digits, which nobody wrote to be read; the number of an account or a
// telephone...
const OPAQUE = /^((?=.*\d)[\w.-]{32,}|([a-z]{2}|0|\+|%2B)\d\d[\w+%]{8,})$/i;

// ...except the marks that campaigns put there, which say where a visitor came from.
const CAMPAIGN_NAME = /^utm_|(cl\w*|bra|^s[cs]c|rdt_c|mc_c|srslt|li_fat_|igsh)id$|^(epik|awc|cjevent|tblci|dicbo)$/i;

const LONGEST = 2048;

// Cut first, and the patterns look at one piece at a time: a page may have any URL, and none may make it wait.
export default (url) =>
  url
    .split('#')[0]
    .slice(0, LONGEST)
    .replace(/([?&])segments_v=[^&]*(&?)/, (whole, before, after) => after && before)
    .replace(/([?&;])([^=&;]*)=([^&;]*)/g, (whole, before, name, value) =>
      value && (SECRET_NAME.test(name) || (OPAQUE.test(value) && !CAMPAIGN_NAME.test(name))) ? before + name + '=*' : whole)
    .replace(/[^/?&=;,:]+/g, (piece) => (EMAIL.test(piece) ? '*' : piece.replace(JWT, '*')));
