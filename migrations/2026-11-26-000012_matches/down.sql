-- The version before does not know these statements: what was joined by them stays joined, told as a trusted alias.
DELETE FROM identity_links AS l WHERE l.call = 6 AND EXISTS (
    SELECT FROM identity_links o WHERE (o.site_id, o.identity_id, o.other_id, o.call)
        = (l.site_id, l.identity_id, l.other_id, 5));
UPDATE identity_links AS l SET call = 2, reason = CASE WHEN l.reason IS NULL THEN NULL ELSE 'trusted_alias' END
WHERE l.call IN (5, 6) AND NOT EXISTS (
    SELECT FROM identity_links o WHERE (o.site_id, o.identity_id, o.other_id, o.call, o.standing)
        = (l.site_id, l.identity_id, l.other_id, 2, l.standing));
DELETE FROM identity_links WHERE call IN (5, 6);
ALTER TABLE identity_links DROP COLUMN said_by;
ALTER TABLE identity_links DROP COLUMN probability;
DROP TABLE match_settings;
DROP TABLE match_suggestions;
