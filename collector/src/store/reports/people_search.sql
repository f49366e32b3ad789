-- One row per person who has one of these identifiers (of a kind, whole), whose address begins so, or one of whose names
-- does.
SELECT DISTINCT found.profile_id
FROM (
    SELECT i.profile_id
    FROM unnest($1, $2) AS k (kind, value)
    JOIN identities i ON i.site_id = $3 AND i.kind = k.kind AND i.value = k.value
    UNION ALL
    SELECT i.profile_id FROM identities i
    WHERE i.site_id = $4 AND i.kind = $5 AND starts_with(i.value, $6)
    UNION ALL
    SELECT p.profile_id FROM profiles p
    WHERE p.site_id = $7
      AND (strpos(' ' || lower(p.traits->>'name'), $8) > 0 OR starts_with(lower(p.traits->>'email'), $9))
) AS found
LIMIT $10
