-- One row per identity: whose it is, and what to call that person.
SELECT i.identity_id, i.profile_id, i.kind,
       COALESCE(NULLIF(p.traits->>'name', ''), NULLIF(p.traits->>'email', ''), known.value) AS name
FROM identities i
LEFT JOIN profiles p ON p.site_id = i.site_id AND p.profile_id = i.profile_id
LEFT JOIN LATERAL (
    -- 3 and 2 are the kinds e-mail and user id of domain::identity.
    SELECT value FROM identities
    WHERE site_id = i.site_id AND profile_id = i.profile_id AND kind IN (2, 3)
    ORDER BY kind DESC, identity_id LIMIT 1
) AS known ON true
WHERE i.site_id = $1 AND i.identity_id = ANY($2)
