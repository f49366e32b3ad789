-- One row per event of the people who were here last, newest first. What the journal still has to show is left out:
-- it comes with the next cursor.
SELECT e.identity_id, e.event_id
FROM (
    SELECT profile_id FROM (
        SELECT profile_id FROM sessions WHERE site_id = $1 ORDER BY started_at DESC LIMIT 30
    ) AS visitors
    UNION
    SELECT profile_id FROM (
        SELECT profile_id FROM profiles WHERE site_id = $2 ORDER BY last_seen DESC LIMIT 30
    ) AS known
) AS latest
JOIN identities i ON i.site_id = $3 AND i.profile_id = latest.profile_id
CROSS JOIN LATERAL (
    SELECT identity_id, event_id, occurred_at FROM events
    WHERE site_id = i.site_id AND identity_id = i.identity_id
    ORDER BY event_id DESC LIMIT 30
) AS e
WHERE e.event_id NOT IN (
    SELECT unnest(event_ids) FROM journal
    WHERE site_id = $4 AND tx >= pg_snapshot_xmin(pg_current_snapshot())
)
ORDER BY e.occurred_at DESC, e.event_id DESC
LIMIT $5
