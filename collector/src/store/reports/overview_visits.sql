-- One row per period (0 is this one, 1 the one before) and day of the site's calendar with a visit. The row without a
-- day is the whole period: its visitors are fewer than the sum of its days'.
SELECT v.period, v.day, count(*) AS sessions, count(DISTINCT v.profile_id) AS visitors
FROM (
    SELECT p.period, to_char(s.started_at AT TIME ZONE $1, 'YYYY-MM-DD') AS day, s.profile_id
    FROM (VALUES (0::smallint, $2, $3), (1::smallint, $4, $5)) AS p (period, start_at, end_at)
    JOIN sessions s ON s.site_id = $6 AND s.started_at >= p.start_at AND s.started_at < p.end_at
) AS v
GROUP BY GROUPING SETS ((v.period), (v.period, v.day))
