ALTER TABLE orders
    DROP COLUMN refunded_minor,
    DROP COLUMN cancelled;
