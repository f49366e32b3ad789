-- One row per computed trait of which somebody has a value: how many people, how many of the values are numbers, and the
-- numbers' quarters.
SELECT trait_id, count(*) AS people, count(*) FILTER (WHERE jsonb_typeof(value) = 'number') AS numbers,
       COALESCE(array_remove(percentile_disc(ARRAY[0, 0.25, 0.5, 0.75, 1]) WITHIN GROUP (
           ORDER BY CASE WHEN jsonb_typeof(value) = 'number' THEN (value #>> '{}')::float8 END), NULL), '{}') AS quarters
FROM trait_values WHERE site_id = $1 GROUP BY trait_id
