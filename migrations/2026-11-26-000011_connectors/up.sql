-- Sources that are asked rather than listened to: one row per connector, beside its row in `sources`. A connector's
-- `sources.address` is its key, for nothing is posted to it, and its `settings` say where it asks.
CREATE TABLE connectors (
    site_id integer NOT NULL,
    key text NOT NULL,
    -- ready, or needs_key: the other side refuses the key, and nothing is asked until the owner gives another one
    state text NOT NULL DEFAULT 'ready',
    -- How far it has read, in its own form; written after what it covers.
    cursor jsonb NOT NULL DEFAULT '{}',
    next_at timestamptz NOT NULL DEFAULT now(),
    -- Another one whenever its owner changes something: a run that began before has no say any more.
    turn uuid NOT NULL DEFAULT gen_random_uuid(),
    -- In a row, since it last went well.
    failures integer NOT NULL DEFAULT 0,
    last_at timestamptz,
    -- When everything there was had been read.
    last_ok_at timestamptz,
    -- What went wrong last, in words for the owner; NULL while all is well.
    last_error text,
    pages bigint NOT NULL DEFAULT 0,
    rows bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (site_id, key),
    FOREIGN KEY (site_id, key) REFERENCES sources (site_id, key) ON DELETE CASCADE
);
