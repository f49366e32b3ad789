ALTER TABLE erasures DROP COLUMN identifiers;
DROP TABLE import_rejected;
DROP TABLE import_chunks;
DROP TABLE imports;
