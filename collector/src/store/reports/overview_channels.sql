-- One row per channel that brought something in the period or in the one before, most visits first.
-- Visits stand with their own channel, orders with the one that is credited with them, new people with that of their
-- first touch.
WITH periods (period, start_at, end_at) AS (VALUES (0, $1, $2), (1, $3, $4)),
visits AS (
    SELECT s.channel, count(*) FILTER (WHERE p.period = 0) AS sessions,
           count(*) FILTER (WHERE p.period = 1) AS previous_sessions
    FROM periods p
    JOIN sessions s ON s.site_id = $5 AND s.started_at >= p.start_at AND s.started_at < p.end_at
    GROUP BY s.channel
),
placed AS (
    -- What anybody can send must not make a sum too large for a number: it ends at 9e18.
    SELECT o.channel, count(*) FILTER (WHERE o.period = 0) AS orders,
           count(*) FILTER (WHERE o.period = 1) AS previous_orders,
           LEAST(GREATEST(sum(o.minor * (1 - o.period)), -9e18), 9e18)::bigint AS revenue_minor,
           LEAST(GREATEST(sum(o.minor * o.period), -9e18), 9e18)::bigint AS previous_revenue_minor
    FROM (
        SELECT p.period, o.channel, CASE WHEN o.currency = $6 THEN COALESCE(o.total_minor - COALESCE(o.refunded_minor, 0), 0) ELSE 0 END AS minor
        FROM periods p
        JOIN orders o ON o.site_id = $7 AND o.ordered_at >= p.start_at AND o.ordered_at < p.end_at AND o.counted
    ) AS o
    GROUP BY o.channel
),
arrived AS (
    -- Who was first seen in the period was last seen in it or later: the index knows that.
    SELECT q.first_channel AS channel, count(*) AS new_people
    FROM periods p
    JOIN profiles q ON q.site_id = $8 AND q.last_seen >= p.start_at AND q.first_seen >= p.start_at
        AND q.first_seen < p.end_at
    WHERE p.period = 0 AND q.first_channel IS NOT NULL
    GROUP BY q.first_channel
)
SELECT channel, COALESCE(new_people, 0) AS new_people,
       COALESCE(sessions, 0) AS sessions, COALESCE(previous_sessions, 0) AS previous_sessions,
       COALESCE(orders, 0) AS orders, COALESCE(previous_orders, 0) AS previous_orders,
       COALESCE(revenue_minor, 0) AS revenue_minor, COALESCE(previous_revenue_minor, 0) AS previous_revenue_minor
FROM visits FULL JOIN placed USING (channel) FULL JOIN arrived USING (channel)
ORDER BY COALESCE(sessions, 0) DESC, COALESCE(orders, 0) DESC, channel
