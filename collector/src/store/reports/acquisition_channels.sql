-- One row per channel that brought something in the period, most visits first. Visits stand with their own channel,
-- orders with the one that is credited with them, first orders with that of the person's very first visit.
WITH visits AS (
    SELECT channel, count(*) AS sessions FROM sessions
    WHERE site_id = $1 AND started_at >= $2 AND started_at < $3 GROUP BY channel
),
placed AS (
    -- What anybody can send must not make a sum too large for a number: it ends at 9e18.
    SELECT channel, count(*) AS orders,
           LEAST(GREATEST(COALESCE(sum(total_minor - COALESCE(refunded_minor, 0)) FILTER (WHERE currency = $4), 0),
               -9e18), 9e18)::bigint AS revenue_minor
    FROM orders WHERE site_id = $5 AND ordered_at >= $6 AND ordered_at < $7 AND counted GROUP BY channel
),
firsts AS (
    SELECT first_channel AS channel, count(*) AS first_orders FROM profiles
    WHERE site_id = $8 AND last_seen >= $9 AND first_order_at >= $10 AND first_order_at < $11
        AND first_channel IS NOT NULL
    GROUP BY first_channel
)
SELECT channel, COALESCE(sessions, 0) AS sessions, COALESCE(orders, 0) AS orders,
       COALESCE(revenue_minor, 0) AS revenue_minor, COALESCE(first_orders, 0) AS first_orders
FROM visits FULL JOIN placed USING (channel) FULL JOIN firsts USING (channel)
ORDER BY COALESCE(sessions, 0) DESC, COALESCE(orders, 0) DESC, channel
