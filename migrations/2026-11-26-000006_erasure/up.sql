-- People who have asked to be forgotten: what is left to do for them, and that they do not come back.

-- What identifiers of forgotten people are hashed with: without it the hashes below tell nothing.
ALTER TABLE sites ADD COLUMN erasure_key bytea NOT NULL
    DEFAULT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- Counts whatever makes writers forget what they remember; read and moved under lock 6 alone.
CREATE SEQUENCE erasure_epoch;

-- One row per person who is or was forgotten. What names them is in it only until everything of theirs is gone.
CREATE TABLE erasures (
    site_id integer NOT NULL,
    erasure_id bigint GENERATED ALWAYS AS IDENTITY,
    asked_at timestamptz NOT NULL DEFAULT now(),
    asked_by text NOT NULL,
    profile_id bigint NOT NULL,
    identity_ids bigint[] NOT NULL,
    -- Texts by which traces are found in samples of rejected events.
    traces text[] NOT NULL,
    done_at timestamptz,
    PRIMARY KEY (site_id, erasure_id)
);
CREATE INDEX erasures_waiting ON erasures (site_id, erasure_id) WHERE done_at IS NULL;

-- One row per identifier of a forgotten person: the first half of its HMAC-SHA256 under the site's key.
CREATE TABLE erased_identities (
    site_id integer NOT NULL,
    hash uuid NOT NULL,
    erasure_id bigint NOT NULL,
    PRIMARY KEY (site_id, hash)
);
CREATE INDEX erased_identities_erasure ON erased_identities (site_id, erasure_id);
