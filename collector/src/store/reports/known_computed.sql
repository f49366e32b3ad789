-- One row per computed trait: how many of the people who were seen last have a value of it.
WITH latest AS MATERIALIZED (
    SELECT profile_id FROM profiles WHERE site_id = $1 ORDER BY last_seen DESC LIMIT 500
)
SELECT t.name AS value, (
    SELECT count(*) FROM latest JOIN trait_values v USING (profile_id)
    WHERE v.site_id = t.site_id AND v.trait_id = t.trait_id
) AS people
FROM computed_traits t WHERE t.site_id = $2 ORDER BY t.name
