-- One row per transaction of the site that is complete and not below the cursor, the oldest first, until they have that
-- many events; the last of them may exceed it.
SELECT tx::text::bigint AS tx, identity_ids, event_ids
FROM (
    SELECT tx, identity_ids, event_ids,
           sum(cardinality(event_ids)) OVER (ORDER BY tx) - cardinality(event_ids) AS before
    FROM journal
    WHERE site_id = $1 AND tx >= $2::text::xid8 AND tx < pg_snapshot_xmin(pg_current_snapshot())
) AS waiting
WHERE before < $3
ORDER BY waiting.tx
