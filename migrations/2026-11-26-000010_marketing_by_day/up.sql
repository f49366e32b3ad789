-- What others count by day and we do not: advertising's cost, search results, and what a site's former tools counted.
-- A row that is told again replaces the earlier one. `source_key` is who told it: the key of a source, or of an import.

-- One row per day, advertising system and campaign, in one currency.
CREATE TABLE ad_spend (
    site_id integer NOT NULL REFERENCES sites ON DELETE CASCADE,
    day date NOT NULL,
    -- Where the advertisements stand, as campaign links name it in utm_source: google, meta, newsletter.
    source text NOT NULL,
    campaign text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    source_key text NOT NULL,
    cost_minor bigint NOT NULL,
    clicks bigint NOT NULL,
    impressions bigint NOT NULL,
    PRIMARY KEY (site_id, day, source, campaign, currency, source_key)
);

-- One row per day and query, per day and page, or per day alone (both empty). These are different cuts of the same
-- clicks, as are rows with a country or a device; a report reads one cut and never adds two.
CREATE TABLE search_performance (
    site_id integer NOT NULL REFERENCES sites ON DELETE CASCADE,
    day date NOT NULL,
    query text NOT NULL,
    page text NOT NULL,
    country text NOT NULL,
    device text NOT NULL,
    source_key text NOT NULL,
    clicks bigint NOT NULL,
    impressions bigint NOT NULL,
    -- The position of every impression, added up: the average of any days is this by impressions.
    position_sum double precision NOT NULL,
    -- A query or a page can be longer than an index takes, so its hash stands for it.
    cut_hash uuid NOT NULL GENERATED ALWAYS AS (md5(length(query) || ' ' || query || page)::uuid) STORED,
    CHECK (query = '' OR page = ''),
    PRIMARY KEY (site_id, day, cut_hash, country, device, source_key)
);

-- One row per day, former tool, and value of a dimension; NULL is what that tool did not count.
CREATE TABLE web_history (
    site_id integer NOT NULL REFERENCES sites ON DELETE CASCADE,
    day date NOT NULL,
    -- Which tool counted: google-analytics, plausible, matomo.
    system text NOT NULL,
    -- total (its value is empty), page, source, country, device, …
    dimension text NOT NULL,
    value text NOT NULL,
    visitors bigint,
    visits bigint,
    views bigint,
    bounces bigint,
    visit_seconds bigint,
    events bigint,
    value_hash uuid NOT NULL GENERATED ALWAYS AS (md5(value)::uuid) STORED,
    PRIMARY KEY (site_id, day, system, dimension, value_hash)
);
