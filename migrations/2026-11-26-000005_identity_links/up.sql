-- What was said of who is who, in the order in which it was said: profiles are a function of it (domain::identity::graph),
-- so that a merge can be taken back exactly.

-- One row per different statement of a site: this message says that two identities are one person's. Told again, it
-- changes nothing; where it merges only now, it moves to the end.
CREATE TABLE identity_links (
    site_id integer NOT NULL,
    link_id bigint GENERATED ALWAYS AS IDENTITY,
    -- The identity that the message's event belongs to, and the other one.
    identity_id bigint NOT NULL,
    other_id bigint NOT NULL,
    -- domain::identity::Call and Standing
    call smallint NOT NULL,
    standing smallint NOT NULL,
    event_id uuid,
    at timestamptz NOT NULL DEFAULT now(),
    -- same, merged, ordered, or the key of a domain::identity::Refusal
    outcome text NOT NULL,
    -- The profile that went, the one that stayed, and domain::identity::Reason; NULL where nothing was merged.
    from_profile_id bigint,
    into_profile_id bigint,
    reason text,
    PRIMARY KEY (site_id, link_id),
    UNIQUE (site_id, identity_id, other_id, call, standing)
);
CREATE INDEX identity_links_other ON identity_links (site_id, other_id);
CREATE INDEX identity_links_refused ON identity_links (site_id, other_id, outcome)
    WHERE outcome NOT IN ('same', 'merged', 'ordered');
CREATE INDEX identity_links_merged ON identity_links (site_id, link_id) WHERE outcome = 'merged';

-- One row per pair of identities of which somebody has said that they are two people.
CREATE TABLE identity_apart (
    site_id integer NOT NULL,
    identity_id bigint NOT NULL,
    other_id bigint NOT NULL,
    -- The merge that was undone by it.
    link_id bigint,
    said_by text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, identity_id, other_id)
);
CREATE INDEX identity_apart_other ON identity_apart (site_id, other_id);

-- One counter per identifier that names nobody (`null`, `undefined`, …) and was left out; `slot` spreads the writers.
CREATE TABLE identity_blocked (
    site_id integer NOT NULL,
    kind smallint NOT NULL,
    value text NOT NULL,
    source text NOT NULL,
    slot smallint NOT NULL,
    count bigint NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, kind, value, source, slot)
);

-- Merges of the version before: the ledger says which identity went to which profile, whose number is that of the
-- identity it was founded on. Call 4 is `carried`, call 3 `order`, kind 6 an order, standing 2 `trusted`, 1 a browser's.
-- First who had each order before the first merge took it along,
INSERT INTO identity_links (site_id, identity_id, other_id, call, standing, outcome, from_profile_id, into_profile_id)
SELECT i.site_id, COALESCE(f.from_profile_id, i.profile_id), i.identity_id, 3, CASE WHEN i.trusted THEN 2 ELSE 1 END,
    'ordered', i.identity_id, COALESCE(f.from_profile_id, i.profile_id)
FROM identities i
LEFT JOIN (
    SELECT DISTINCT ON (site_id, identity_id) site_id, identity_id, from_profile_id
    FROM identity_ledger ORDER BY site_id, identity_id, entry_id
) AS f USING (site_id, identity_id)
WHERE i.kind = 6 AND COALESCE(f.from_profile_id, i.profile_id) <> i.identity_id ORDER BY i.identity_id
ON CONFLICT DO NOTHING;
-- then merges, and orders that went to another person, as they came.
INSERT INTO identity_links
    (site_id, identity_id, other_id, call, standing, event_id, at, outcome, from_profile_id, into_profile_id, reason)
SELECT l.site_id,
    CASE WHEN l.reason = 'order' THEN l.to_profile_id ELSE l.identity_id END,
    CASE WHEN l.reason = 'order' THEN l.identity_id ELSE l.to_profile_id END,
    CASE WHEN l.reason = 'order' THEN 3 ELSE 4 END, 2, l.event_id, l.at,
    CASE WHEN l.reason = 'order' THEN 'ordered' ELSE 'merged' END, l.from_profile_id, l.to_profile_id,
    CASE WHEN l.reason = 'order' THEN NULL ELSE 'carried' END
FROM identity_ledger l JOIN identities i ON i.site_id = l.site_id AND i.identity_id = l.identity_id
WHERE l.undone_at IS NULL AND (l.reason = 'order') = (i.kind = 6) ORDER BY l.entry_id
ON CONFLICT DO NOTHING;

-- Whether browsers have to prove who somebody is, and the secret that the site's server signs user ids with.
ALTER TABLE sites ADD COLUMN identity_secret text NOT NULL DEFAULT '';
ALTER TABLE sites ADD COLUMN signed_identify boolean NOT NULL DEFAULT false;

-- Last, because it holds off whoever writes the ledger.
CREATE INDEX identity_ledger_identity ON identity_ledger (site_id, identity_id);
