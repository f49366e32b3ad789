ALTER TABLE profiles
    DROP COLUMN country, DROP COLUMN language, DROP COLUMN time_zone, DROP COLUMN device, DROP COLUMN browser,
    DROP COLUMN system, DROP COLUMN email_class, DROP COLUMN currency;
ALTER TABLE sessions
    DROP COLUMN country, DROP COLUMN language, DROP COLUMN device, DROP COLUMN browser, DROP COLUMN system;
ALTER TABLE sites DROP COLUMN bots, DROP COLUMN bot_limit;
ALTER TABLE events
    DROP COLUMN place_id, DROP COLUMN software_id, DROP COLUMN bot_score, DROP COLUMN email_class;
