-- One row per period (0 is this one, 1 the one before) and day of the site's calendar with an order that counts; the row
-- without a day is the whole period. Revenue is less refunds and adds up the site's currency alone; what anybody can send must not make
-- the sum too large for a number, so it ends at 9e18.
SELECT o.period, o.day, count(*) AS orders,
       LEAST(GREATEST(COALESCE(sum(o.minor), 0), -9e18), 9e18)::bigint AS revenue_minor
FROM (
    SELECT p.period, CASE WHEN o.currency = $1 THEN o.total_minor - COALESCE(o.refunded_minor, 0) END AS minor,
           to_char(o.ordered_at AT TIME ZONE $2, 'YYYY-MM-DD') AS day
    FROM (VALUES (0::smallint, $3, $4), (1::smallint, $5, $6)) AS p (period, start_at, end_at)
    JOIN orders o ON o.site_id = $7 AND o.ordered_at >= p.start_at AND o.ordered_at < p.end_at AND o.counted
) AS o
GROUP BY GROUPING SETS ((o.period), (o.period, o.day))
