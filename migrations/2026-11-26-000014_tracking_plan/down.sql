DROP TABLE plan_breaches;
DROP TABLE plan_seen;
ALTER TABLE sites DROP COLUMN plan;
