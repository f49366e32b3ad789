-- Sources that owners connect: one row per vendor's webhook of a site.
CREATE TABLE sources (
    site_id integer NOT NULL REFERENCES sites ON DELETE CASCADE,
    -- Under which its events are marked and its outcomes counted: the kind, a colon, and the name as it is written in
    -- addresses.
    key text NOT NULL,
    -- intake::webhook::Vendor
    kind text NOT NULL,
    name text NOT NULL,
    -- What it is reached under, `/hooks/<address>`: the site's number and 128 random bits.
    address text NOT NULL,
    -- What the vendor signs with, in clear, because a signature is checked by making it again; of a vendor that signs
    -- with a private key, the public one. Empty until the owner has it.
    secret text NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}',
    -- active or paused
    state text NOT NULL DEFAULT 'active',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, key),
    UNIQUE (site_id, address)
);
