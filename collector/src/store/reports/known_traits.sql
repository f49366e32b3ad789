-- One row per trait of the people who were seen last: how many of them have it.
SELECT key AS value, count(*) AS people
FROM (SELECT traits FROM profiles WHERE site_id = $1 ORDER BY last_seen DESC LIMIT 500) AS latest
CROSS JOIN LATERAL jsonb_object_keys(CASE jsonb_typeof(traits) WHEN 'object' THEN traits ELSE '{}' END) AS key
GROUP BY key ORDER BY people DESC, key LIMIT 15
