-- One row per person of the site, last seen first, with the length of the whole list; given people alone where some are
-- given.
SELECT p.profile_id, count(*) OVER () AS total
FROM profiles p
WHERE p.site_id = $1 AND COALESCE(p.profile_id = ANY($2), true)
ORDER BY p.last_seen DESC, p.profile_id DESC
LIMIT $3 OFFSET $4
