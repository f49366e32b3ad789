-- What named events are agreed to carry, what they do carry, and where the two differ.

-- domain::plan::TrackingPlan; with the site, since intake keeps sites in memory.
ALTER TABLE sites ADD COLUMN plan jsonb NOT NULL DEFAULT '{}';

-- One counter per site, day (UTC), event name, property and kind of value; the event itself has no property and kind 0,
-- and what goes beyond the day's limits no name. `slot` spreads the projectors so that none waits for another's commit.
CREATE TABLE plan_seen (
    site_id integer NOT NULL,
    day date NOT NULL,
    name text NOT NULL,
    property text NOT NULL,
    -- domain::plan::ValueKind
    kind smallint NOT NULL,
    slot smallint NOT NULL,
    count bigint NOT NULL,
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, day, name, property, kind, slot)
);

-- One counter per site, day (UTC), planned event, property, breach and source, of events that were stored all the same;
-- `sample` is a value that was not as agreed.
CREATE TABLE plan_breaches (
    site_id integer NOT NULL,
    day date NOT NULL,
    name text NOT NULL,
    property text NOT NULL,
    -- domain::plan::Breach
    breach smallint NOT NULL,
    source text NOT NULL,
    slot smallint NOT NULL,
    count bigint NOT NULL,
    last_at timestamptz NOT NULL DEFAULT now(),
    sample text NOT NULL DEFAULT '',
    PRIMARY KEY (site_id, day, name, property, breach, source, slot)
);
