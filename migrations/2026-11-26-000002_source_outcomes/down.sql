DROP INDEX rejections_source;
ALTER TABLE rejections DROP COLUMN source;
DROP VIEW site_outcomes;
DROP TABLE source_outcomes;
ALTER TABLE events DROP COLUMN source_id;
