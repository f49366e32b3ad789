-- What page snapshots measure (web vitals, errors, rage and dead clicks) stands in their properties; all others have
-- none. One entry per measured snapshot, so that a report reads those of its period and no other event. Times only
-- grow, so that an entry is written beside the one before.
CREATE INDEX events_measured ON events (site_id, occurred_at) WHERE kind = 2 AND properties IS NOT NULL;
