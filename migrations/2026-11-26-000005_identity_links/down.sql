ALTER TABLE sites DROP COLUMN signed_identify;
ALTER TABLE sites DROP COLUMN identity_secret;
DROP INDEX identity_ledger_identity;
DROP TABLE identity_blocked;
DROP TABLE identity_apart;
DROP TABLE identity_links;
