-- One row per asked-for page that one of the latest 2,000 visits of the period viewed, with the title it had there.
-- Events are not kept by page, so the way leads over a person who has just viewed it.
SELECT seen.page_id, t.value AS title
FROM (
    SELECT DISTINCT ON (v.page_id) v.page_id, s.site_id, s.profile_id, s.session_id
    FROM (
        SELECT site_id, profile_id, session_id, started_at, page_ids FROM sessions
        WHERE site_id = $1 AND started_at >= $2 AND started_at < $3
        ORDER BY started_at DESC LIMIT 2000
    ) AS s
    CROSS JOIN LATERAL unnest(s.page_ids) AS v (page_id)
    WHERE v.page_id = ANY($4)
    ORDER BY v.page_id, s.started_at DESC
) AS seen
CROSS JOIN LATERAL (
    SELECT e.title_id
    FROM identities i
    JOIN events e ON e.site_id = i.site_id AND e.identity_id = i.identity_id AND e.event_id >= seen.session_id
    WHERE i.site_id = $5 AND i.profile_id = seen.profile_id AND e.page_id = seen.page_id AND e.title_id IS NOT NULL
    LIMIT 1
) AS e
JOIN terms t ON t.site_id = $6 AND t.term_id = e.title_id
