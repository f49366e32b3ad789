-- Predictions of visits and sign-ups, and which version of the ready segments a site has.

-- The version of the ready segments that were given to the site last (domain::segment::library::VERSION): a program with
-- an older one leaves them as they are, so that two programs side by side do not write over each other.
ALTER TABLE sites ADD COLUMN IF NOT EXISTS library_version integer NOT NULL DEFAULT 0;

-- In the next 30 days; of people who visited in the last 365 days.
ALTER TABLE segment_scores ADD COLUMN IF NOT EXISTS probability_of_return real;
-- In the next 30 days; of those among them who had not signed up.
ALTER TABLE segment_scores ADD COLUMN IF NOT EXISTS probability_of_sign_up real;
