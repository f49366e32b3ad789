DROP TABLE trait_values;
DROP TABLE computed_traits;
