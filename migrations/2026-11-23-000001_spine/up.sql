-- Sites, people who may look at them, and the way of an event: events -> journal -> projections.
-- Every table about a site starts its keys with site_id; tests/tests/catalogue.rs holds this.

-- ---------------------------------------------------------------------------------------------------------------
-- Sites and users
-- ---------------------------------------------------------------------------------------------------------------

-- One row per site: a business's pages, shop and newsletter, whose people are one population.
CREATE TABLE sites (
    site_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
    -- Hosts whose pages may post with the public key; a host stands for its subdomains too.
    domains text[] NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    time_zone text NOT NULL,
    write_key text NOT NULL UNIQUE,
    secret_key_hash bytea NOT NULL UNIQUE,
    -- Which consent mode the set-up page writes into the tag: measure or full.
    tag_consent text NOT NULL DEFAULT 'measure' CHECK (tag_consent IN ('measure', 'full')),
    -- Do orders that only a browser reported count: auto (until a trusted source reports one), always, never.
    browser_orders text NOT NULL DEFAULT 'auto' CHECK (browser_orders IN ('auto', 'always', 'never')),
    -- A trusted source has reported a live order (auto then stops counting the browsers' own).
    trusted_orders_seen boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- One row per person who logs in.
CREATE TABLE users (
    user_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE,
    -- argon2id in PHC form.
    password_hash text NOT NULL,
    -- Administrators see every site, others those of site_members.
    administrator boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE site_members (
    site_id integer NOT NULL REFERENCES sites ON DELETE CASCADE,
    user_id integer NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (site_id, user_id)
);

-- One row per browser that is logged in; the token itself is in its cookie alone.
CREATE TABLE user_sessions (
    token_hash bytea PRIMARY KEY,
    user_id integer NOT NULL REFERENCES users ON DELETE CASCADE,
    csrf_token text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX user_sessions_expiry ON user_sessions (expires_at);

-- One row per failed log-in of the last hour; throttles by account and by address, over all processes.
CREATE TABLE login_failures (
    failure_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email_hash bytea NOT NULL,
    address_hash bytea NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX login_failures_email ON login_failures (email_hash, failed_at);
CREATE INDEX login_failures_address ON login_failures (address_hash, failed_at);

-- ---------------------------------------------------------------------------------------------------------------
-- Identities
-- ---------------------------------------------------------------------------------------------------------------

-- One row per identifier a person was ever known by. A new identity founds a profile of its own number; links only
-- ever change profile_id, and the ledger says which and why.
CREATE TABLE identities (
    site_id integer NOT NULL,
    identity_id bigint GENERATED ALWAYS AS IDENTITY,
    profile_id bigint NOT NULL,
    -- domain::identity::Kind
    kind smallint NOT NULL,
    value text NOT NULL,
    trusted boolean NOT NULL,
    first_seen timestamptz NOT NULL,
    PRIMARY KEY (site_id, identity_id),
    UNIQUE (site_id, kind, value)
);
CREATE INDEX identities_profile ON identities (site_id, profile_id);

-- One row per identity that changed its profile; undoing a link puts from_profile_id back.
CREATE TABLE identity_ledger (
    site_id integer NOT NULL,
    entry_id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    -- The identity whose profile changed, and the event whose message said so.
    identity_id bigint NOT NULL,
    event_id uuid,
    from_profile_id bigint NOT NULL,
    to_profile_id bigint NOT NULL,
    reason text NOT NULL,
    undone_at timestamptz,
    PRIMARY KEY (site_id, entry_id)
);

-- One row per page load in consent mode `measure`: which day's visitor it belongs to. It keeps a retry from another
-- network, or after midnight, with the identity of the first try. Kept as long as a retry can be accepted.
CREATE TABLE measured_loads (
    site_id integer NOT NULL,
    load_id uuid NOT NULL,
    identity_id bigint NOT NULL,
    PRIMARY KEY (site_id, load_id)
);

-- One row per UTC day; gone after 48 hours, and with it any way back from a measured visitor to an address.
CREATE TABLE salts (
    day date PRIMARY KEY,
    salt bytea NOT NULL
);

-- ---------------------------------------------------------------------------------------------------------------
-- Events
-- ---------------------------------------------------------------------------------------------------------------

-- One row per distinct text of a site: page, title, referrer, campaign, agent, event name.
CREATE TABLE terms (
    site_id integer NOT NULL,
    term_id integer GENERATED ALWAYS AS IDENTITY,
    -- store::terms::Kind
    kind smallint NOT NULL,
    first_day date NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (site_id, term_id),
    UNIQUE (site_id, kind, value)
);
CREATE INDEX terms_day ON terms (site_id, first_day, kind);

-- One row per event, as it came; nothing here is ever updated. Columns stand in the order that packs them.
CREATE TABLE events (
    identity_id bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    site_id integer NOT NULL,
    -- store::events::Kind
    kind smallint NOT NULL,
    -- store::events::flags: trusted, measured, skewed, privacy signals
    flags smallint NOT NULL,
    -- uuid v7: the tracker's own, or minted at intake
    event_id uuid NOT NULL,
    -- The page view it happened in
    view_id uuid,
    name_id integer,
    page_id integer,
    title_id integer,
    referrer_id integer,
    campaign_id integer,
    agent_id integer,
    device_id integer,
    revision integer,
    engaged_ms integer,
    clicks integer,
    max_scroll_pct smallint,
    properties jsonb,
    PRIMARY KEY (site_id, identity_id, event_id)
) PARTITION BY RANGE (event_id);
-- Months are made ahead by store::partitions; what fits none of them lands here and blocks nothing.
CREATE TABLE events_default PARTITION OF events DEFAULT;
CREATE INDEX events_occurred ON events USING brin (occurred_at);
-- Rows whose occurred_at is further than 48 h from their id's time: a search by time always adds them.
CREATE INDEX events_skewed ON events (site_id, occurred_at) WHERE (flags & 4) <> 0;

-- One row per foreign message id of the last 30 days.
CREATE TABLE message_ids (
    site_id integer NOT NULL,
    message_hash uuid NOT NULL,
    event_id uuid NOT NULL,
    identity_id bigint NOT NULL,
    seen_on date NOT NULL,
    PRIMARY KEY (site_id, message_hash)
);
CREATE INDEX message_ids_seen ON message_ids USING brin (seen_on);

-- ---------------------------------------------------------------------------------------------------------------
-- Intake: what became of what arrived, and what is still to be projected
-- ---------------------------------------------------------------------------------------------------------------

-- One row per transaction and site: the events it stored, and the profiles whose identities it changed.
CREATE TABLE journal (
    tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL DEFAULT now(),
    site_id integer NOT NULL,
    projected boolean NOT NULL DEFAULT false,
    -- Parallel: the i-th event is (site_id, identity_ids[i], event_ids[i]).
    identity_ids bigint[] NOT NULL,
    event_ids uuid[] NOT NULL,
    relinked_profiles bigint[] NOT NULL,
    PRIMARY KEY (tx, site_id)
);
-- The ids are random bits: trying to compress them only costs time.
ALTER TABLE journal ALTER COLUMN identity_ids SET STORAGE EXTERNAL;
ALTER TABLE journal ALTER COLUMN event_ids SET STORAGE EXTERNAL;
CREATE INDEX journal_unprojected ON journal (tx) WHERE NOT projected;

-- One row per reader that follows the journal by itself: rows below `tx` are behind it.
CREATE TABLE journal_cursors (
    reader text PRIMARY KEY,
    tx xid8 NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);

-- One counter per site, day and outcome; `slot` spreads the writers so that none waits for another's commit.
CREATE TABLE outcomes (
    site_id integer NOT NULL,
    day date NOT NULL,
    -- stored, duplicate, or the reason of a rejection (intake::Reason)
    outcome text NOT NULL,
    slot smallint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (site_id, day, outcome, slot)
);

-- One row per rejected event that the owner can look at: at most 1,000 per site and reason, 14 days.
CREATE TABLE rejections (
    site_id integer NOT NULL,
    rejection_id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    reason text NOT NULL,
    detail text NOT NULL,
    -- The beginning of what arrived, made printable; NULL where nothing may be kept.
    sample text,
    PRIMARY KEY (site_id, rejection_id)
);
CREATE INDEX rejections_reason ON rejections (site_id, reason, rejection_id);

-- ---------------------------------------------------------------------------------------------------------------
-- Projections: functions of the events above; `segments rebuild` makes them anew and compares
-- ---------------------------------------------------------------------------------------------------------------

-- One row per person (a profile, or a day's measured visitor): the fold of their events so far, to go on from.
CREATE TABLE histories (
    site_id integer NOT NULL,
    profile_id bigint NOT NULL,
    history jsonb NOT NULL,
    PRIMARY KEY (site_id, profile_id)
);

-- One row per profile: its facts. Measured visitors have none.
CREATE TABLE profiles (
    site_id integer NOT NULL,
    profile_id bigint NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    sessions integer NOT NULL,
    views integer NOT NULL,
    events integer NOT NULL,
    engaged_ms bigint NOT NULL,
    -- Counted orders, and their sum in the site's currency.
    orders integer NOT NULL,
    revenue_minor bigint NOT NULL,
    first_order_at timestamptz,
    last_order_at timestamptz,
    -- domain::attribution::Channel keys
    first_channel text,
    last_channel text,
    -- A user id or an e-mail address is known.
    signed_up boolean NOT NULL,
    traits jsonb NOT NULL,
    PRIMARY KEY (site_id, profile_id)
);
CREATE INDEX profiles_last_seen ON profiles (site_id, last_seen);

-- One row per visit: page views and events of one person without 30 idle minutes between them.
CREATE TABLE sessions (
    site_id integer NOT NULL,
    profile_id bigint NOT NULL,
    -- The first event's id
    session_id uuid NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    entry_page_id integer,
    exit_page_id integer,
    -- Pages in the order they were viewed.
    page_ids integer[] NOT NULL,
    views integer NOT NULL,
    events integer NOT NULL,
    engaged_ms bigint NOT NULL,
    clicks bigint NOT NULL,
    channel text NOT NULL,
    source text NOT NULL,
    medium text NOT NULL,
    campaign text NOT NULL,
    referrer text NOT NULL,
    orders integer NOT NULL,
    revenue_minor bigint NOT NULL,
    -- A hostile sender can give two visitors the same event id; merged, their sessions still differ in time.
    PRIMARY KEY (site_id, profile_id, session_id, started_at)
);
CREATE INDEX sessions_started ON sessions (site_id, started_at);

-- One row per order of a person.
CREATE TABLE orders (
    site_id integer NOT NULL,
    profile_id bigint NOT NULL,
    order_id text NOT NULL,
    event_id uuid NOT NULL,
    ordered_at timestamptz NOT NULL,
    -- What was paid, in minor units of `currency`; NULL where no report named an amount.
    total_minor bigint,
    currency text NOT NULL,
    trusted boolean NOT NULL,
    -- Counts in reports: a trusted report, or a browser's where the site counts those.
    counted boolean NOT NULL,
    session_id uuid,
    channel text NOT NULL,
    source text NOT NULL,
    campaign text NOT NULL,
    PRIMARY KEY (site_id, profile_id, order_id)
);
CREATE INDEX orders_ordered ON orders (site_id, ordered_at);
