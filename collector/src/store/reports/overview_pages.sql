-- One row per page of the period, most viewed first.
WITH top AS (
    SELECT v.page_id, count(*) AS views, count(DISTINCT s.profile_id) AS visitors
    FROM sessions s CROSS JOIN LATERAL unnest(s.page_ids) AS v (page_id)
    WHERE s.site_id = $1 AND s.started_at >= $2 AND s.started_at < $3
    GROUP BY v.page_id
    ORDER BY count(*) DESC, v.page_id
    LIMIT $4
),
entries AS (
    SELECT s.entry_page_id AS page_id, count(*) AS entries
    FROM sessions s
    WHERE s.site_id = $5 AND s.started_at >= $6 AND s.started_at < $7
    GROUP BY s.entry_page_id
),
before AS (
    SELECT v.page_id, count(*) AS views
    FROM sessions s CROSS JOIN LATERAL unnest(s.page_ids) AS v (page_id)
    WHERE s.site_id = $8 AND s.started_at >= $9 AND s.started_at < $10
    GROUP BY v.page_id
)
SELECT top.page_id, t.value AS page, top.views, top.visitors,
       COALESCE(entries.entries, 0) AS entries, COALESCE(before.views, 0) AS previous_views
FROM top
JOIN terms t ON t.site_id = $11 AND t.term_id = top.page_id
LEFT JOIN entries ON entries.page_id = top.page_id
LEFT JOIN before ON before.page_id = top.page_id
ORDER BY top.views DESC, top.page_id
