-- What the tag waits for, and how many page views browsers asked to be left alone with.

-- Until when the tag holds what it sees: '' not at all, 'wait' until the page's own banner decides, 'manager' until a
-- consent manager does. Beside tag_consent, which the version before knows and reads as 'measure'.
ALTER TABLE sites ADD COLUMN tag_wait text NOT NULL DEFAULT '' CHECK (tag_wait IN ('', 'wait', 'manager'));

-- One counter per site, day and signal that a browser sends; `slot` spreads the writers so that none waits for another's
-- commit.
CREATE TABLE privacy_signals (
    site_id integer NOT NULL,
    day date NOT NULL,
    -- gpc (Global Privacy Control) or dnt (Do Not Track); a page view with both is in both
    signal text NOT NULL,
    slot smallint NOT NULL,
    -- page views that were only measured for it
    page_views bigint NOT NULL,
    PRIMARY KEY (site_id, day, signal, slot)
);
