-- One row per event that happened in a visit or within the half hour after it: which channel brought that visit.
SELECT k.n, s.channel
FROM unnest($1, $2) WITH ORDINALITY AS k (profile_id, at, n)
CROSS JOIN LATERAL (
    SELECT channel, ended_at FROM sessions
    WHERE site_id = $3 AND profile_id = k.profile_id AND started_at <= k.at
    ORDER BY started_at DESC LIMIT 1
) AS s
WHERE s.ended_at + interval '30 minutes' >= k.at
