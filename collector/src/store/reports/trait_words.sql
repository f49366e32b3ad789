-- One row per computed trait and value, of the values that most people have.
SELECT trait_id, value, people FROM (
    SELECT trait_id, value #>> '{}' AS value, count(*) AS people,
           row_number() OVER (PARTITION BY trait_id ORDER BY count(*) DESC, value #>> '{}') AS place
    FROM trait_values WHERE site_id = $1 AND trait_id = ANY($2) GROUP BY trait_id, value #>> '{}'
) AS counted WHERE place <= 5 ORDER BY trait_id, place
