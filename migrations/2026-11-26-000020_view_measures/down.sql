DROP INDEX events_measured;
