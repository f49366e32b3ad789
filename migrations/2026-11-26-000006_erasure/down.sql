DROP SEQUENCE erasure_epoch;
DROP TABLE erased_identities;
DROP TABLE erasures;
ALTER TABLE sites DROP COLUMN erasure_key;
