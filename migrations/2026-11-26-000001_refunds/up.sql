-- What was given back of an order, and whether it was called off.
--
-- Both may be NULL, which says "nothing" and "no": the release before writes whole rows without them.
ALTER TABLE orders
    ADD COLUMN refunded_minor bigint,
    ADD COLUMN cancelled boolean;
