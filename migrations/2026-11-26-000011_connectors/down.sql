DELETE FROM sources s WHERE EXISTS (SELECT FROM connectors c WHERE c.site_id = s.site_id AND c.key = s.key);
DROP TABLE connectors;
