-- One row per event name or page of the people who were seen last: how many of them it came from, and for events the
-- properties that came with it. Their latest events are looked at alone, so that a site of any size answers in a moment.
WITH latest AS MATERIALIZED (
    SELECT profile_id FROM profiles WHERE site_id = $1 ORDER BY last_seen DESC LIMIT 500
), happened AS MATERIALIZED (
    SELECT latest.profile_id, e.kind, CASE WHEN e.kind = 3 THEN e.name_id ELSE e.page_id END AS term_id, e.properties
    FROM latest
    JOIN identities i ON i.site_id = $2 AND i.profile_id = latest.profile_id
    CROSS JOIN LATERAL (
        SELECT kind, name_id, page_id, properties FROM events
        WHERE site_id = i.site_id AND identity_id = i.identity_id
        ORDER BY event_id DESC LIMIT 100
    ) AS e
    -- 1 and 3 are the kinds page and track of store::events.
    WHERE e.kind IN (1, 3)
), counted AS (
    SELECT kind, term_id, count(DISTINCT profile_id) AS people,
           row_number() OVER (PARTITION BY kind ORDER BY count(DISTINCT profile_id) DESC, term_id) AS place
    FROM happened WHERE term_id IS NOT NULL GROUP BY kind, term_id
)
SELECT c.kind, t.value, c.people,
       CASE WHEN c.kind = 3 THEN ARRAY(
           SELECT DISTINCT key FROM happened h
           CROSS JOIN LATERAL jsonb_object_keys(CASE jsonb_typeof(h.properties) WHEN 'object' THEN h.properties ELSE '{}' END) AS key
           WHERE h.kind = 3 AND h.term_id = c.term_id ORDER BY key LIMIT 12
       ) ELSE '{}' END AS properties
FROM counted c
JOIN terms t ON t.site_id = $3 AND t.term_id = c.term_id
WHERE c.place <= 15
ORDER BY c.kind, c.place
