-- Who is probably the same person (domain::matching), and what was decided about it. No values of people are in these
-- tables: which of them agree, and how much that says, is enough; the values themselves are read from the profiles.

-- One row per pair of profiles that are alike, each known by one of its identities, so that a merge loses neither the
-- suggestion nor what was decided: `identity_id` is the smaller number.
CREATE TABLE match_suggestions (
    site_id integer NOT NULL,
    match_id bigint GENERATED ALWAYS AS IDENTITY,
    identity_id bigint NOT NULL,
    other_id bigint NOT NULL,
    -- domain::report::MatchState
    state text NOT NULL,
    probability double precision NOT NULL,
    -- Found among what trusted sources say alone; else values that browsers sent are part of it, and a person decides.
    trusted boolean NOT NULL,
    -- The clusters bear it out: it may be applied without a person where the site says so.
    automatic boolean NOT NULL,
    -- [{comparison, level, bits, rarity_bits}], the strongest first
    evidence jsonb NOT NULL,
    household_bits double precision NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    -- Somebody would rather decide later: these come last.
    postponed_at timestamptz,
    decided_at timestamptz,
    decided_by text,
    PRIMARY KEY (site_id, match_id),
    UNIQUE (site_id, identity_id, other_id)
);
CREATE INDEX match_suggestions_other ON match_suggestions (site_id, other_id);
CREATE INDEX match_suggestions_open ON match_suggestions (site_id, probability) WHERE state = 'open';
CREATE INDEX match_suggestions_decided ON match_suggestions (site_id, decided_at) WHERE decided_at IS NOT NULL;

-- One row per site: what it has settled for itself, and the last comparison of its people.
CREATE TABLE match_settings (
    site_id integer NOT NULL PRIMARY KEY,
    -- From this probability on two profiles are joined without asking; NULL: never.
    threshold double precision,
    -- When somebody asked to have people compared again; it is due where the last comparison began before that.
    asked_at timestamptz,
    -- When the last comparison began.
    made_at timestamptz,
    -- Known people at that time, those compared, and those that were too many.
    known bigint NOT NULL DEFAULT 0,
    compared bigint NOT NULL DEFAULT 0,
    left_out bigint NOT NULL DEFAULT 0,
    -- What a comparison that is under way has done, of how much; NULL while there is none.
    done bigint,
    total bigint
);

-- How probable a match was by which two people became one, and who joined them; NULL for what messages said.
ALTER TABLE identity_links ADD COLUMN probability double precision;
ALTER TABLE identity_links ADD COLUMN said_by text;
