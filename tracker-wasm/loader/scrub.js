// Takes personal values and secrets out of a URL before it leaves the page.
//
// This is the only place that does: every URL the tracker tells comes from here, whether the loader or the core sends
// it. The collector cannot do it for us, since what it must not see must not reach it. `scrub_corpus.json` holds the
// cases.

// A name that says so itself: `access_token`, `resetToken`, `api-key`, `e-mail`. The short ones only as a word.
const SECRET_NAME =
  /(token|secret|passw(or)?d|pwd|e-?mail|api.?key|signature|jwt|session(.?id)?)$|^code$|(^|[_.-])(key|sig|sid|otp|pin|auth|pass|phone|tel)$/i;

// `mia@example.com`, its @ encoded once or more. The letters at the end keep `jquery@3.7.1` readable.
const EMAIL = /[^/?&=;,:]+(@|%(25)*40)[^/?&=;,:]+\.[a-z]{2,}/gi;

// A signed token wherever it stands.
const JWT = /eyJ[\w-]{8,}\.[\w-]+(\.[\w-]*)?/g;

// As a value of a parameter: long, of one piece, with digits: nobody wrote that to be read...
const OPAQUE = /^(?=.*\d)[\w~+/.%-]{32,}$/;

// ...except the marks that campaigns put there, which say where a visitor came from.
const CAMPAIGN_NAME = /^(utm|mc)_|clk?id$|braid$|^(li_fat_id|epik|rdt_cid|srsltid)$/i;

const LONGEST = 2048;

export default (url) =>
  url
    .split('#')[0]
    .replace(/^(\w+:\/\/)[^/?]*@/, '$1')
    .replace(/([?&;])([^=&;]*)=([^&;]*)/g, (whole, before, name, value) =>
      value && (SECRET_NAME.test(name) || (OPAQUE.test(value) && !CAMPAIGN_NAME.test(name))) ? before + name + '=*' : whole)
    .replace(EMAIL, '*')
    .replace(JWT, '*')
    .slice(0, LONGEST);
