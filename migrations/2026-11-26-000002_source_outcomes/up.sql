-- Which source brought an event, and what became of what each source sent.

-- The key of the source as a text of the dictionary (store::events::Term::Source); NULL in what older versions stored.
ALTER TABLE events ADD COLUMN source_id integer;

-- One counter per site, source, day and outcome; `slot` spreads the writers so that none waits for another's commit.
CREATE TABLE source_outcomes (
    site_id integer NOT NULL,
    source text NOT NULL,
    day date NOT NULL,
    -- stored, duplicate, or the reason of a rejection (intake::Reason)
    outcome text NOT NULL,
    slot smallint NOT NULL,
    count bigint NOT NULL,
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, source, day, outcome, slot)
);

-- The counters of all sources, and of the version before, which knew none and may still run beside this one.
CREATE VIEW site_outcomes AS
    SELECT site_id, day, outcome, count FROM source_outcomes
    UNION ALL SELECT site_id, day, outcome, count FROM outcomes;

ALTER TABLE rejections ADD COLUMN source text NOT NULL DEFAULT '';
CREATE INDEX rejections_source ON rejections (site_id, source, rejection_id);
