-- One row per event of a source, the newest first, among those of the day before its last message ($4); where the site
-- had more than $5 events on that day, of the hour.
WITH asked AS (
    SELECT $1::integer AS site_id, $2::smallint AS kind, $3::text AS source, $4::timestamptz AS last_at
), span AS (
    SELECT a.site_id, a.last_at,
           (SELECT t.term_id FROM terms t WHERE t.site_id = a.site_id AND t.kind = a.kind AND t.value = a.source) AS source_id,
           CASE WHEN (SELECT coalesce(sum(o.count), 0) FROM source_outcomes o
                      WHERE o.site_id = a.site_id AND o.outcome = 'stored'
                        AND o.day = (a.last_at AT TIME ZONE 'UTC')::date) > $5
                THEN interval '1 hour' ELSE interval '1 day' END AS back
    FROM asked a
)
SELECT e.identity_id, e.event_id
FROM span s JOIN events e ON e.site_id = s.site_id AND e.source_id = s.source_id
WHERE e.occurred_at > s.last_at - s.back AND e.occurred_at < s.last_at + interval '1 day'
ORDER BY e.occurred_at DESC, e.event_id DESC
LIMIT $6
