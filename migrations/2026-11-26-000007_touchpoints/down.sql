DROP TABLE touch_links;
ALTER TABLE sites DROP COLUMN touch_key;
