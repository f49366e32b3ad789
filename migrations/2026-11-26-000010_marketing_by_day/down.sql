DROP TABLE web_history;
DROP TABLE search_performance;
DROP TABLE ad_spend;
