-- A shop's year of so many people with their projections, the same ones on every run: chance is PostgreSQL's hash of
-- numbers. Read by main.rs, which puts the number of people in the place of :people and the last second of the year in
-- that of :now, and runs one statement after the other.

CREATE FUNCTION pg_temp.chance(n bigint, seed bigint) RETURNS float8 LANGUAGE sql IMMUTABLE AS
$$ SELECT (hashint8extended(n, seed) & 2147483647) / 2147483648.0::float8 $$;

SET synchronous_commit = off;
SET work_mem = '512MB';
SET maintenance_work_mem = '1GB';

-- Pages 1 to 200, then names.
INSERT INTO terms (site_id, term_id, kind, first_day, value) OVERRIDING SYSTEM VALUE
SELECT 1, n, 2, current_date, 'shop.example' || CASE n WHEN 1 THEN '/' WHEN 2 THEN '/pricing' WHEN 3 THEN '/cart'
    ELSE '/products/' || n END
FROM generate_series(1, 200) AS n
UNION ALL SELECT 1, 1001, 1, current_date, 'Product Added'
UNION ALL SELECT 1, 1002, 1, current_date, 'Order Completed';

INSERT INTO identities (site_id, identity_id, profile_id, kind, value, trusted, first_seen) OVERRIDING SYSTEM VALUE
SELECT 1, n, n, 1, 'v' || n, false, to_timestamp(:now - 365 * 86400) FROM generate_series(1::bigint, :people) AS n;

-- Three people in ten have signed up: a second identity.
INSERT INTO identities (site_id, identity_id, profile_id, kind, value, trusted, first_seen) OVERRIDING SYSTEM VALUE
SELECT 1, :people + n, n, 2, 'u' || n, true, to_timestamp(:now - 180 * 86400)
FROM generate_series(1::bigint, :people) AS n WHERE pg_temp.chance(n, 1) < 0.3;

-- One row per visit. Most people come once or twice, few often; each visit has one to sixty events.
CREATE UNLOGGED TABLE made_visits AS
SELECT n AS person, v AS visit,
       :now - floor(pg_temp.chance(n * 64 + v, 3) * 364 * 86400)::bigint - 3600 AS starts,
       1 + least(59, floor(-ln(1 - pg_temp.chance(n * 64 + v, 4)) * 5.2))::integer AS events,
       pg_temp.chance(n * 64 + v, 5) < 0.25 AS adds,
       pg_temp.chance(n * 64 + v, 6) < 0.08 AS orders,
       floor(pg_temp.chance(n * 64 + v, 7) ^ 2 * 6)::integer AS channel
FROM generate_series(1::bigint, :people) AS n,
     generate_series(1, 1 + least(39, floor(-ln(1 - pg_temp.chance(n, 2)) * 3))::integer) AS v;

-- One row per event, seventeen seconds apart; no two of a person in the same microsecond.
INSERT INTO events (identity_id, occurred_at, site_id, kind, flags, event_id, name_id, page_id, properties)
SELECT person, to_timestamp(starts + 17 * j) + (visit * 64 + j) * interval '1 microsecond', 1,
       CASE WHEN is_named THEN 3 ELSE 1 END, 0,
       (lpad(to_hex((starts + 17 * j) * 1000), 12, '0') || '7000' || '8000'
           || lpad(to_hex(visit::bigint * 64 + j), 12, '0'))::uuid,
       CASE WHEN NOT is_named THEN NULL WHEN orders AND j = events - 1 THEN 1002 ELSE 1001 END,
       CASE WHEN NOT is_named THEN 1 + floor(pg_temp.chance((person * 64 + visit) * 64 + j, 8) ^ 2 * 200)::integer END,
       CASE WHEN is_named AND orders AND j = events - 1
            THEN jsonb_build_object('order_id', person || '-' || visit, 'total', 20 + person % 80) END
FROM (SELECT *, (orders AND j = events - 1) OR (adds AND events > 2 AND j = events - 2) AS is_named
      FROM made_visits, generate_series(0, events - 1) AS j) AS made
ORDER BY date_trunc('month', to_timestamp(starts)), person;

INSERT INTO sessions (site_id, profile_id, session_id, started_at, ended_at, page_ids, views, events, engaged_ms, clicks,
                      channel, source, medium, campaign, referrer, orders, revenue_minor)
SELECT 1, person, (lpad(to_hex(starts * 1000), 12, '0') || '7000' || '8000' || lpad(to_hex(visit::bigint * 64), 12, '0'))::uuid,
       to_timestamp(starts) + visit * 64 * interval '1 microsecond', to_timestamp(starts + 17 * (events - 1)), '{}',
       events, events, 9000 * events, events,
       (ARRAY['direct', 'organic_search', 'paid_search', 'email', 'referral', 'organic_social'])[channel + 1],
       (ARRAY['', 'google', 'google', 'newsletter', 'blog.example', 'instagram'])[channel + 1],
       (ARRAY['', 'organic', 'cpc', 'email', 'referral', 'social'])[channel + 1],
       CASE channel WHEN 2 THEN 'campaign-' || person % 40 WHEN 3 THEN 'issue-' || person % 50 ELSE '' END,
       CASE channel WHEN 4 THEN 'blog.example' ELSE '' END,
       orders::integer, CASE WHEN orders THEN (20 + person % 80) * 100 ELSE 0 END
FROM made_visits ORDER BY person, starts;

INSERT INTO orders (site_id, profile_id, order_id, event_id, ordered_at, total_minor, currency, trusted, counted, channel,
                    source, campaign)
SELECT 1, person, person || '-' || visit, '00000000-0000-7000-8000-000000000000',
       to_timestamp(starts + 17 * (events - 1)) + (visit * 64 + events - 1) * interval '1 microsecond',
       (20 + person % 80) * 100, 'EUR', false, true, 'direct', '', ''
FROM made_visits WHERE orders ORDER BY person, starts;

INSERT INTO profiles (site_id, profile_id, first_seen, last_seen, sessions, views, events, engaged_ms, orders,
                      revenue_minor, first_order_at, last_order_at, first_channel, last_channel, signed_up, traits)
SELECT 1, person, to_timestamp(min(starts)), to_timestamp(max(starts + 17 * (events - 1))), count(*), sum(events),
       sum(events), sum(events) * 9000, count(*) FILTER (WHERE orders),
       coalesce(sum((20 + person % 80) * 100) FILTER (WHERE orders), 0),
       to_timestamp(min(starts + 17 * (events - 1)) FILTER (WHERE orders)),
       to_timestamp(max(starts + 17 * (events - 1)) FILTER (WHERE orders)), 'direct', 'direct',
       pg_temp.chance(person, 1) < 0.3,
       CASE WHEN pg_temp.chance(person, 1) < 0.3 THEN jsonb_build_object('country', 'C' || person % 20) ELSE '{}' END
FROM made_visits GROUP BY person ORDER BY person;

DROP TABLE made_visits;

VACUUM (ANALYZE) events;
VACUUM (ANALYZE) sessions;
VACUUM (ANALYZE) orders;
VACUUM (ANALYZE) profiles;
VACUUM (ANALYZE) identities;
