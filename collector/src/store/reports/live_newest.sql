-- One row per complete transaction of the site's last ten minutes, the newest first, until they have that many events.
SELECT tx::text::bigint AS tx, identity_ids, event_ids
FROM (
    SELECT tx, identity_ids, event_ids,
           sum(cardinality(event_ids)) OVER (ORDER BY tx DESC) - cardinality(event_ids) AS after
    FROM journal
    WHERE site_id = $1 AND at > now() - interval '10 minutes' AND tx < pg_snapshot_xmin(pg_current_snapshot())
) AS recent
WHERE after < $2
ORDER BY recent.tx DESC
