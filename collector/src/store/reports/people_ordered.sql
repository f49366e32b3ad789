-- One row per person with an order in the period that counts, last seen first, with the length of the whole list. Where
-- they are given: these people alone, and orders that are credited to this channel.
WITH buyers AS MATERIALIZED (
    SELECT DISTINCT o.profile_id FROM orders o
    WHERE o.site_id = $1 AND o.ordered_at >= $2 AND o.ordered_at < $3 AND o.counted AND COALESCE(o.channel = $4, true)
)
SELECT p.profile_id, count(*) OVER () AS total
FROM buyers b
JOIN profiles p ON p.site_id = $5 AND p.profile_id = b.profile_id
WHERE COALESCE(p.profile_id = ANY($6), true)
ORDER BY p.last_seen DESC, p.profile_id DESC
LIMIT $7 OFFSET $8
