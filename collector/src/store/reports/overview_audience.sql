-- One row per dimension (its name) and value with a visit in the period or in the one before, most visits first; a value
-- is NULL where it is not known.
WITH periods (period, start_at, end_at) AS (VALUES (0, $1, $2), (1, $3, $4)),
visits AS (
    SELECT p.period, s.country, s.device, s.browser, s.system, s.language
    FROM periods p
    JOIN sessions s ON s.site_id = $5 AND s.started_at >= p.start_at AND s.started_at < p.end_at
)
SELECT CASE WHEN GROUPING(country) = 0 THEN 'countries' WHEN GROUPING(device) = 0 THEN 'devices'
            WHEN GROUPING(browser) = 0 THEN 'browsers' WHEN GROUPING(system) = 0 THEN 'systems'
            ELSE 'languages' END AS dimension,
       COALESCE(country, device, browser, system, language) AS value,
       count(*) FILTER (WHERE period = 0) AS sessions,
       count(*) FILTER (WHERE period = 1) AS previous_sessions
FROM visits
GROUP BY GROUPING SETS ((country), (device), (browser), (system), (language))
ORDER BY dimension, sessions DESC, previous_sessions DESC, value NULLS LAST
