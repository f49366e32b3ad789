DROP TABLE privacy_signals;
ALTER TABLE sites DROP COLUMN tag_wait;
