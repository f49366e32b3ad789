-- One row per person with a visit in the period, last seen first, with the length of the whole list. Where they are
-- given: these people alone, visits by this channel, visits that viewed this page. The visits come first: looked up
-- person by person they take ten times as long.
WITH visitors AS MATERIALIZED (
    SELECT DISTINCT s.profile_id FROM sessions s
    WHERE s.site_id = $1 AND s.started_at >= $2 AND s.started_at < $3
      AND COALESCE(s.channel = $4, true) AND COALESCE($5 = ANY(s.page_ids), true)
)
SELECT p.profile_id, count(*) OVER () AS total
FROM visitors v
JOIN profiles p ON p.site_id = $6 AND p.profile_id = v.profile_id
WHERE COALESCE(p.profile_id = ANY($7), true)
ORDER BY p.last_seen DESC, p.profile_id DESC
LIMIT $8 OFFSET $9
