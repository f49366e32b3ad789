-- Segments that keep themselves: what they are, who is in them, when that changes by time alone, and what changed.
-- Every table about a site starts its keys with site_id; tests/tests/catalogue.rs holds this.

-- Counts the changes of a site's segments and models: whoever keeps them in memory reads them again when it differs.
ALTER TABLE sites ADD COLUMN IF NOT EXISTS segments_revision bigint NOT NULL DEFAULT 0;

-- One row per segment of a site.
CREATE TABLE segments (
    site_id integer NOT NULL,
    segment_id integer GENERATED ALWAYS AS IDENTITY,
    -- Its name in addresses and in other segments' rules; never given twice.
    key text NOT NULL CHECK (key ~ '^[a-z0-9][a-z0-9-]{0,63}$'),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    description text NOT NULL DEFAULT '',
    -- What to do with its members.
    action text NOT NULL DEFAULT '',
    -- rule: kept by its rule; list: a fixed set of people.
    kind text NOT NULL CHECK (kind IN ('rule', 'list')),
    -- domain::segment::rule::Rule
    rule jsonb CHECK ((kind = 'rule') = (rule IS NOT NULL)),
    -- It came with the product and follows its newer definitions.
    from_library boolean NOT NULL DEFAULT false,
    -- Counts the rule's versions.
    revision integer NOT NULL DEFAULT 1,
    -- The site's segments_revision that came with this version; everybody has been asked once the sweeps have reached it.
    since_revision bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Taken out of use; nobody is in it any more, its history stays.
    archived_at timestamptz,
    PRIMARY KEY (site_id, segment_id),
    UNIQUE (site_id, key)
);

-- One row per identifier that is in a list: whoever owns it is a member, whatever they are merged with.
CREATE TABLE segment_lists (
    site_id integer NOT NULL,
    segment_id integer NOT NULL,
    identity_id bigint NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, segment_id, identity_id)
);
CREATE INDEX segment_lists_identity ON segment_lists (site_id, identity_id);

-- One row per person and segment they are in now.
CREATE TABLE segment_members (
    site_id integer NOT NULL,
    profile_id bigint NOT NULL,
    segment_id integer NOT NULL,
    entered_at timestamptz NOT NULL,
    PRIMARY KEY (site_id, profile_id, segment_id)
);
CREATE INDEX segment_members_segment ON segment_members (site_id, segment_id, profile_id);

-- One row per entry and exit, and so the outbox: whoever acts on changes reads on from the last `tx` below
-- pg_snapshot_xmin that it has seen, as with the journal.
CREATE TABLE segment_changes (
    site_id integer NOT NULL,
    change_id bigint GENERATED ALWAYS AS IDENTITY,
    tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL,
    profile_id bigint NOT NULL,
    segment_id integer NOT NULL,
    entered boolean NOT NULL,
    -- store::membership::Cause
    cause smallint NOT NULL,
    -- The clause that decided, counted in the order in which the rule is written; and its latest event.
    clause smallint NOT NULL,
    evidence_at timestamptz,
    -- The rule's version.
    revision integer NOT NULL,
    PRIMARY KEY (site_id, change_id)
);
CREATE INDEX segment_changes_segment ON segment_changes (site_id, segment_id, at);
CREATE INDEX segment_changes_person ON segment_changes (site_id, profile_id, change_id);
CREATE INDEX segment_changes_tx ON segment_changes (tx);
CREATE INDEX segment_changes_at ON segment_changes USING brin (at);

-- One row per person whose membership of something may change although nothing happens, and when to ask again.
CREATE TABLE segment_deadlines (
    site_id integer NOT NULL,
    profile_id bigint NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (site_id, profile_id)
);
CREATE INDEX segment_deadlines_due ON segment_deadlines (due_at);

-- One row per site whose people were all asked once, and how far asking them anew has come.
CREATE TABLE segment_sweeps (
    site_id integer NOT NULL PRIMARY KEY,
    -- The site's segments_revision that everybody has been asked.
    swept_revision bigint NOT NULL DEFAULT 0,
    -- The one that people are being asked now; NULL while nobody is.
    sweeping_revision bigint,
    -- People up to this one are done.
    after_profile_id bigint NOT NULL DEFAULT 0,
    done bigint NOT NULL DEFAULT 0,
    people bigint NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- One row per version of what a site's models say: limits, scales, percentiles, predictions, clusters.
CREATE TABLE segment_models (
    site_id integer NOT NULL,
    -- values, predictions, clusters
    kind text NOT NULL,
    version integer NOT NULL,
    -- The first day that it holds for, in the site's time zone.
    valid_from date NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    model jsonb NOT NULL,
    PRIMARY KEY (site_id, kind, version)
);

-- One row per person of whom the models say something.
CREATE TABLE segment_scores (
    site_id integer NOT NULL,
    profile_id bigint NOT NULL,
    probability_alive real,
    -- In the next 90 days.
    expected_orders real,
    -- In the next 365 days, major units of the site's currency.
    expected_revenue real,
    next_order_at timestamptz,
    cluster smallint,
    PRIMARY KEY (site_id, profile_id)
);
