ALTER TABLE segment_scores DROP COLUMN IF EXISTS probability_of_return, DROP COLUMN IF EXISTS probability_of_sign_up;
ALTER TABLE sites DROP COLUMN IF EXISTS library_version;
