-- What is found out about events at intake beside what they say themselves (intake::enrich), and what follows from it.

ALTER TABLE events
    -- The country's code as a text of the dictionary (store::events::Term::Place). The address is stored nowhere.
    ADD COLUMN place_id integer,
    -- Device, browser and system as a text of the dictionary (store::events::Term::Software).
    ADD COLUMN software_id integer,
    -- How much speaks for a program, 1 to 100; NULL for nothing, and in what older versions stored.
    ADD COLUMN bot_score smallint,
    -- domain::surroundings::EmailClass of the mail address that the event names; NULL when it names none.
    ADD COLUMN email_class smallint;

ALTER TABLE sites
    -- exclude: events of bots are in no profile, segment and report; include: they are.
    ADD COLUMN bots text NOT NULL DEFAULT 'exclude',
    -- The score from which on an event is a bot's.
    ADD COLUMN bot_limit smallint NOT NULL DEFAULT 50;

-- Where and with what the session took place; NULL what is not known.
ALTER TABLE sessions
    ADD COLUMN country text,
    ADD COLUMN language text,
    ADD COLUMN device text,
    ADD COLUMN browser text,
    ADD COLUMN system text;

-- The person's latest; the first ones are in the history.
ALTER TABLE profiles
    ADD COLUMN country text,
    ADD COLUMN language text,
    ADD COLUMN time_zone text,
    ADD COLUMN device text,
    ADD COLUMN browser text,
    ADD COLUMN system text,
    ADD COLUMN email_class text,
    -- That of the latest order.
    ADD COLUMN currency text;
