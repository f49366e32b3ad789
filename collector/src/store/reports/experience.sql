-- One row for all measured page views of a period, then one per page, most troubled views first. A page view is told by
-- its newest revision among the latest snapshots of the period. $1 and $2 are the limits of good and of poor, in the
-- order of the vitals: LCP, INP, CLS, FCP, TTFB; $6 is the bots' limit, $7 and $9 the kind of device or empty, $10 the
-- most snapshots that are read, $12 the most pages.
WITH limits AS (
    SELECT $1::integer[] AS good, $2::integer[] AS poor
), told AS MATERIALIZED (
    SELECT site_id, identity_id, view_id, event_id, revision, properties
    FROM events
    -- 2 is the kind of snapshots; both conditions are those of the index events_measured.
    WHERE site_id = $3 AND kind = 2 AND properties IS NOT NULL AND occurred_at >= $4 AND occurred_at < $5
      AND COALESCE(bot_score, 0) < $6
      AND ($7::text = '' OR software_id = ANY (ARRAY(
          -- 10 is the kind of terms that names software, `mobile|Safari|18|iOS`.
          SELECT term_id FROM terms WHERE site_id = $8 AND kind = 10 AND starts_with(value, $9::text || '|')
      )))
    ORDER BY occurred_at DESC
    LIMIT $10
), views AS (
    SELECT DISTINCT ON (view_id) site_id, identity_id, view_id, properties
    FROM told ORDER BY view_id, revision DESC, event_id DESC
), measured AS (
    SELECT p.page_id, m.errors, m.rage_clicks, m.dead_clicks, m.lcp_ms, m.inp_ms, m.fcp_ms, m.ttfb_ms,
           CASE WHEN m.lcp_ms IS NOT NULL THEN COALESCE(m.cls_millis, 0) END AS cls_millis
    FROM views v
    CROSS JOIN LATERAL jsonb_to_record(v.properties) AS m (
        errors integer, rage_clicks integer, dead_clicks integer,
        lcp_ms integer, inp_ms integer, fcp_ms integer, ttfb_ms integer, cls_millis integer
    )
    LEFT JOIN LATERAL (
        SELECT page_id FROM events
        WHERE site_id = v.site_id AND identity_id = v.identity_id AND event_id = v.view_id LIMIT 1
    ) AS p ON true
), summed AS (
    SELECT GROUPING(page_id) = 1 AS is_all, page_id, count(*) AS views,
           count(*) FILTER (
               WHERE lcp_ms > l.poor[1] OR inp_ms > l.poor[2] OR cls_millis > l.poor[3]
                  OR fcp_ms > l.poor[4] OR ttfb_ms > l.poor[5]
                  OR errors > 0 OR rage_clicks > 0 OR dead_clicks > 0
           ) AS troubled,
           COALESCE(sum(errors), 0)::bigint AS errors, COALESCE(sum(rage_clicks), 0)::bigint AS rage_clicks,
           COALESCE(sum(dead_clicks), 0)::bigint AS dead_clicks,
           ARRAY[count(lcp_ms), count(inp_ms), count(cls_millis), count(fcp_ms), count(ttfb_ms)] AS known,
           ARRAY[percentile_disc(0.75) WITHIN GROUP (ORDER BY lcp_ms),
                 percentile_disc(0.75) WITHIN GROUP (ORDER BY inp_ms),
                 percentile_disc(0.75) WITHIN GROUP (ORDER BY cls_millis),
                 percentile_disc(0.75) WITHIN GROUP (ORDER BY fcp_ms),
                 percentile_disc(0.75) WITHIN GROUP (ORDER BY ttfb_ms)] AS p75,
           ARRAY[count(*) FILTER (WHERE lcp_ms <= l.good[1]), count(*) FILTER (WHERE inp_ms <= l.good[2]),
                 count(*) FILTER (WHERE cls_millis <= l.good[3]), count(*) FILTER (WHERE fcp_ms <= l.good[4]),
                 count(*) FILTER (WHERE ttfb_ms <= l.good[5])] AS good,
           ARRAY[count(*) FILTER (WHERE lcp_ms > l.poor[1]), count(*) FILTER (WHERE inp_ms > l.poor[2]),
                 count(*) FILTER (WHERE cls_millis > l.poor[3]), count(*) FILTER (WHERE fcp_ms > l.poor[4]),
                 count(*) FILTER (WHERE ttfb_ms > l.poor[5])] AS poor
    FROM measured CROSS JOIN limits l
    GROUP BY GROUPING SETS ((), (page_id))
)
SELECT s.is_all, t.value AS page, s.views, s.troubled, s.errors, s.rage_clicks, s.dead_clicks,
       s.known, s.p75, s.good, s.poor, (SELECT count(*) FROM told) AS told
FROM (
    SELECT $11::integer AS site_id, summed.* FROM summed WHERE is_all OR page_id IS NOT NULL
    ORDER BY is_all DESC, troubled DESC, views DESC, page_id
    LIMIT 1 + $12
) AS s
LEFT JOIN terms t ON t.site_id = s.site_id AND t.term_id = s.page_id
ORDER BY s.is_all DESC, s.troubled DESC, s.views DESC, s.page_id
