-- One row per person who was first seen in the period, last seen first, with the length of the whole list. Where they are
-- given: these people alone, and first touches by this channel. Who was first seen in the period was last seen in it
-- or later: the index knows that.
SELECT p.profile_id, count(*) OVER () AS total
FROM profiles p
WHERE p.site_id = $1 AND COALESCE(p.profile_id = ANY($2), true)
  AND p.last_seen >= $3 AND p.first_seen >= $4 AND p.first_seen < $5 AND COALESCE(p.first_channel = $6, true)
ORDER BY p.last_seen DESC, p.profile_id DESC
LIMIT $7 OFFSET $8
