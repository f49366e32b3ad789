-- Opens and clicks of mails that anybody sends: addresses that a mail's links lead through.

-- What tokens are signed with.
ALTER TABLE sites ADD COLUMN touch_key bytea NOT NULL
    DEFAULT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- One row per mailing and address in it; a token names the row, so that nobody is led anywhere else. A mailing's opens
-- have a row with an empty address.
CREATE TABLE touch_links (
    site_id integer NOT NULL,
    link_id bigint GENERATED ALWAYS AS IDENTITY,
    campaign text NOT NULL,
    source text NOT NULL,
    url text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, link_id),
    UNIQUE (site_id, campaign, source, url)
);
