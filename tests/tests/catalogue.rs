//! What the schema promises: keys that can be sharded by site, and migrations that can be taken back.

use std::collections::BTreeSet;
use tests::Database;

/// Tables whose keys do not begin with the site, each with its reason. No other table may be like them.
const EXEMPT: [(&str, &str); 7] = [
    ("sites", "the list of sites itself"),
    ("users", "people who log in; they may see several sites"),
    ("user_sessions", "a log-in's cookie is looked up before any site is known"),
    ("login_failures", "log-ins are throttled before any site is known"),
    ("salts", "one secret of the day for all sites"),
    ("journal", "read in the order of its transactions; its key is (tx, site_id)"),
    ("journal_cursors", "one row per process, not per person"),
];

/// Foreign keys that lead away from the site's own rows, with their reason.
const EXEMPT_REFERENCES: [(&str, &str); 1] = [("site_members", "ties a site to a person who may log in")];

#[test]
fn every_key_of_a_sites_rows_begins_with_the_site() {
    let database = Database::fresh();
    // Keys and unique indexes, partitions left out: they have those of their parent.
    let keys = database.rows(
        "SELECT c.relname AS name, i.relname AS key,
                (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = x.indkey[0]) AS first
         FROM pg_index x
         JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
         WHERE (x.indisunique OR x.indisprimary) AND NOT c.relispartition AND c.relname NOT LIKE '\\_\\_diesel%'",
    );
    let references = database.rows(
        "SELECT c.relname AS name, k.conname AS key,
                (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = k.conkey[1]) AS first
         FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
         WHERE k.contype = 'f' AND NOT c.relispartition",
    );
    assert!(keys.len() > 10 && !references.is_empty(), "the catalogue is read: {keys:?}");
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (rows, exempt_too) in [(&keys, &[][..]), (&references, &EXEMPT_REFERENCES[..])] {
        for row in rows {
            let name = row["name"].as_str().unwrap();
            if row["first"] == "site_id" && name != "sites" {
                continue;
            }
            match EXEMPT.iter().chain(exempt_too).find(|(exempt, _)| *exempt == name) {
                Some((exempt, _)) => {
                    used.insert(*exempt);
                }
                None => wrong.push(format!("{name}: {} begins with {}", row["key"], row["first"])),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let listed: BTreeSet<&str> = EXEMPT.iter().chain(&EXEMPT_REFERENCES).map(|(name, _)| *name).collect();
    assert_eq!(used, listed, "an exemption that is not needed any more");
}

#[test]
fn every_table_has_a_primary_key_and_every_sites_row_its_site() {
    let database = Database::fresh();
    let tables = database.rows(
        "SELECT c.relname AS name,
                EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisprimary) AS has_key,
                EXISTS (SELECT FROM pg_attribute a
                        WHERE a.attrelid = c.oid AND a.attname = 'site_id' AND a.attnotnull) AS has_site
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
         WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname NOT LIKE '\\_\\_diesel%'",
    );
    assert!(tables.len() > 15, "{tables:?}");
    for table in tables {
        let name = table["name"].as_str().unwrap();
        assert_eq!(table["has_key"], true, "{name} has no primary key");
        assert!(
            table["has_site"] == true || EXEMPT.iter().any(|(exempt, _)| *exempt == name),
            "{name} has rows without a site"
        );
    }
}

/// The whole schema as text, without what changes from day to day (months of events).
fn schema(database: &Database) -> Vec<String> {
    let rows = database.rows(
        "SELECT c.relname AS name, a.attname AS part, format_type(a.atttypid, a.atttypmod) AS what, a.attnotnull::text AS more
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
         WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relname !~ '^events_[0-9]'
         UNION ALL
         SELECT tablename, indexname, indexdef, '' FROM pg_indexes
         WHERE schemaname = 'public' AND tablename !~ '^events_[0-9]'
         UNION ALL
         SELECT c.relname, k.conname, pg_get_constraintdef(k.oid), '' FROM pg_constraint k
         JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
         WHERE c.relname !~ '^events_[0-9]'
         ORDER BY 1, 2, 3",
    );
    rows.iter().map(ToString::to_string).collect()
}

#[test]
fn migrations_go_up_down_and_up_again() {
    let database = Database::fresh();
    let before = schema(&database);
    // In the dashboards of people with data, too: rows are no hindrance.
    let shop = tests::Shop::on(database, &[]);
    shop.visitor("mia").views("/").signs_in("u1");
    shop.is_projected();
    // One pair was joined by a person and by itself, another by a person and by an alias.
    shop.database.run(
        "INSERT INTO identity_links (site_id, identity_id, other_id, call, standing, outcome, reason)
         SELECT site_id, 1, other_id, call, 2, 'merged', 'confirmed' FROM sites,
            (VALUES (2, 5), (2, 6), (3, 5), (3, 2)) AS said (other_id, call)",
    );
    let tests::Shop { server, database, .. } = shop;
    assert!(server.stop().success());
    let store = collector::store::Store::new(database.url(), 1).expect("a store");
    store.redo_migrations().expect("down and up again");
    assert_eq!(schema(&database), before);
    assert_eq!(database.number("SELECT count(*) FROM sites"), 0, "down takes everything");
    store.migrate().expect("nothing to do");
    // And the server runs on it.
    let shop = tests::Shop::on(database, &[]);
    shop.visitor("mia").views("/");
    assert_eq!(shop.stored(), 1);
}

#[test]
fn starting_at_the_same_time_migrates_once() {
    let database = Database::fresh();
    let store = collector::store::Store::new(database.url(), 1).expect("a store");
    store.redo_migrations().expect("an empty schema");
    database.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    std::thread::scope(|scope| {
        let migrations: Vec<_> = (0..4).map(|_| scope.spawn(|| tests::segments(&database, &["migrate"]))).collect();
        for migration in migrations {
            tests::server::succeeds(&migration.join().expect("a migration"));
        }
    });
    assert_eq!(database.number("SELECT count(*) FROM sites"), 0);
}
