-- Traits that follow from what people did: their definitions, and everybody's values.

-- One row per computed trait of a site.
CREATE TABLE computed_traits (
    site_id integer NOT NULL,
    trait_id integer GENERATED ALWAYS AS IDENTITY,
    -- Its name in rules, and in addresses.
    name text NOT NULL CHECK (name ~ '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$'),
    description text NOT NULL DEFAULT '',
    -- domain::segment::rule::Computed
    definition jsonb NOT NULL,
    -- Counts the definition's versions.
    revision integer NOT NULL DEFAULT 1,
    -- The site's segments_revision that came with this version; everybody has been asked once the sweeps have reached it.
    since_revision bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, trait_id),
    UNIQUE (site_id, name)
);

-- One row per person and computed trait of which something is known. Numbers of events and totals of nothing are 0 and
-- have no row.
CREATE TABLE trait_values (
    site_id integer NOT NULL,
    profile_id bigint NOT NULL,
    trait_id integer NOT NULL,
    -- The definition's version that the value is of.
    revision integer NOT NULL,
    value jsonb NOT NULL CHECK (jsonb_typeof(value) IN ('string', 'number', 'boolean')),
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (site_id, profile_id, trait_id)
);
CREATE INDEX trait_values_trait ON trait_values (site_id, trait_id);
