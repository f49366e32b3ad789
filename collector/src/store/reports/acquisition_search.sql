-- One row per query or page (the cut names which, or `total`) of the period's days and of as many before, most clicks first.
-- What files told is left out on days of which a connected source tells the same cut.
WITH days (period, from_day, to_day) AS (
    VALUES (0, $1::text::date, $2::text::date), (1, $3::text::date, $4::text::date)
),
told AS (
    SELECT d.period, s.day, CASE WHEN s.query <> '' THEN 'query' WHEN s.page <> '' THEN 'page' ELSE 'total' END AS cut,
           COALESCE(NULLIF(s.query, ''), s.page) AS value, s.source_key, s.clicks, s.impressions, s.position_sum
    FROM days d JOIN search_performance s ON s.site_id = $5 AND s.day BETWEEN d.from_day AND d.to_day
    WHERE s.country = '' AND s.device = ''
),
connected AS (SELECT DISTINCT day FROM told WHERE cut = $6 AND source_key NOT LIKE 'import%')
SELECT value,
       COALESCE(sum(clicks) FILTER (WHERE period = 0), 0)::bigint AS clicks,
       COALESCE(sum(impressions) FILTER (WHERE period = 0), 0)::bigint AS impressions,
       COALESCE(sum(position_sum) FILTER (WHERE period = 0), 0) AS position_sum,
       COALESCE(sum(clicks) FILTER (WHERE period = 1), 0)::bigint AS previous_clicks,
       COALESCE(sum(impressions) FILTER (WHERE period = 1), 0)::bigint AS previous_impressions,
       COALESCE(sum(position_sum) FILTER (WHERE period = 1), 0) AS previous_position_sum
FROM told t
WHERE cut = $7 AND NOT (source_key LIKE 'import%' AND day IN (SELECT day FROM connected))
GROUP BY value
ORDER BY 2 DESC, 3 DESC, 5 DESC, value LIMIT $8
