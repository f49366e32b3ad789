-- One row per source, campaign and channel that brought something in the period, in lower case without spaces around
-- them: those that something was spent on, and so many others, most visits first.
WITH firsts AS (
    -- One row per person whose first order fell into the period: their very first visit.
    SELECT DISTINCT ON (s.profile_id) s.source, s.campaign, s.channel
    FROM profiles q JOIN sessions s ON s.site_id = q.site_id AND s.profile_id = q.profile_id
    WHERE q.site_id = $1 AND q.last_seen >= $2 AND q.first_order_at >= $3 AND q.first_order_at < $4
    ORDER BY s.profile_id, s.started_at, s.session_id
),
brought AS (
    SELECT source, campaign, channel, 1 AS sessions, 0 AS orders, 0::numeric AS minor, 0 AS first_orders
    FROM sessions WHERE site_id = $5 AND started_at >= $6 AND started_at < $7 AND campaign <> ''
    UNION ALL
    SELECT source, campaign, channel, 0, 1,
           CASE WHEN currency = $8 THEN COALESCE(total_minor - COALESCE(refunded_minor, 0), 0) ELSE 0 END, 0
    FROM orders WHERE site_id = $9 AND ordered_at >= $10 AND ordered_at < $11 AND counted AND campaign <> ''
    UNION ALL
    SELECT source, campaign, channel, 0, 0, 0, 1 FROM firsts WHERE campaign <> ''
),
summed AS (
    SELECT lower(btrim(source)) AS source, lower(btrim(campaign)) AS campaign, channel, sum(sessions)::bigint AS sessions,
           sum(orders)::bigint AS orders, LEAST(GREATEST(sum(minor), -9e18), 9e18)::bigint AS revenue_minor,
           sum(first_orders)::bigint AS first_orders
    FROM brought GROUP BY 1, 2, 3
),
ranked AS (
    SELECT *, row_number() OVER (ORDER BY sessions DESC, orders DESC, source, campaign, channel) AS place FROM summed
)
SELECT source, campaign, channel, sessions, orders, revenue_minor, first_orders FROM ranked r
WHERE place <= $12 OR EXISTS (
    SELECT FROM ad_spend a
    WHERE a.site_id = $13 AND a.day BETWEEN $14::text::date AND $15::text::date AND a.source = r.source
        AND lower(btrim(a.campaign)) = r.campaign)
ORDER BY place
