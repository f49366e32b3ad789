//! One PostgreSQL for the tests of a process, and a database of its own for each test.

use collector::postgres::EmbeddedPostgres;
use diesel::connection::SimpleConnection;
use diesel::sql_types::Jsonb;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Where the data folders are. Not in the target folder or a private `/tmp`: as root, PostgreSQL runs as another user,
/// who must be able to get there, and a socket's path may not be long.
const PLACE: &str = "/var/tmp";
const PREFIX: &str = "segments-tests-";

/// A folder that is removed when it is dropped, and that PostgreSQL's user can reach.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new one. What killed test runs have left behind is swept first, their PostgreSQL included.
    ///
    /// # Panics
    /// When the place cannot be written to.
    pub fn make() -> Folder {
        static SWEPT: std::sync::Once = std::sync::Once::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        SWEPT.call_once(sweep);
        let name = format!("{PREFIX}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(PLACE).join(name);
        std::fs::create_dir(&folder).unwrap_or_else(|error| panic!("cannot make {}: {error}", folder.display()));
        Folder(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A test that failed has killed its server, and that leaves its PostgreSQL behind.
        stop_postgres(&self.0);
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} stays behind: {error}", self.0.display());
        }
    }
}

/// Removes the folders of processes that are gone, and stops the PostgreSQL that runs in one.
fn sweep() {
    let Ok(entries) = std::fs::read_dir(PLACE) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        let Some(pid) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok()) else {
            continue;
        };
        if Path::new(&format!("/proc/{pid}")).exists() {
            continue;
        }
        stop_postgres(&path);
        // Another test process may be sweeping the same.
        let _ = std::fs::remove_dir_all(&path);
    }
}

/// Stops the PostgreSQL of a data folder, if one was left behind there: it is adopted, and dropping its last claim stops
/// it.
pub fn stop_postgres(data: &Path) {
    if crate::server::postmaster(data).is_some()
        && let Err(error) = EmbeddedPostgres::claim(data)
    {
        eprintln!("the PostgreSQL in {} stays behind: {error}", data.display());
    }
}

/// The PostgreSQL that tests of this process share; it is stopped with the last database.
struct Cluster {
    url: String,
    next: AtomicU32,
    // In this order: the server before its folder.
    postgres: EmbeddedPostgres,
    _folder: Folder,
}

impl Cluster {
    fn shared() -> Arc<Cluster> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = shared.upgrade() {
            return cluster;
        }
        let folder = Folder::make();
        let postgres = EmbeddedPostgres::claim(folder.path()).expect("an embedded PostgreSQL");
        let url = postgres.url();
        // The template: it may have no connection while it is copied.
        drop(collector::serve::open(&url).expect("the newest schema"));
        let cluster = Arc::new(Cluster { url, next: AtomicU32::new(1), postgres, _folder: folder });
        *shared = Arc::downgrade(&cluster);
        cluster
    }

    fn url_of(&self, database: &str) -> String {
        self.url.replacen("/segments?", &format!("/{database}?"), 1)
    }

    fn administer(&self, statement: &str) {
        let mut connection = PgConnection::establish(&self.url_of("postgres")).expect("a connection");
        connection.batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

/// A test's own database; dropped with the value.
pub struct Database {
    url: String,
    name: String,
    cluster: Option<Arc<Cluster>>,
}

impl Database {
    /// A migrated, empty database.
    pub fn fresh() -> Database {
        let cluster = Cluster::shared();
        let name = format!("t_{}", cluster.next.fetch_add(1, Ordering::Relaxed));
        // Copying the template is one at a time in PostgreSQL, too.
        static ONE: Mutex<()> = Mutex::new(());
        {
            let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
            cluster.administer(&format!("CREATE DATABASE {name} TEMPLATE segments"));
        }
        Database { url: cluster.url_of(&name), name, cluster: Some(cluster) }
    }

    /// The database of a server that runs its own PostgreSQL in `data`.
    pub fn of_folder(data: &Path) -> Database {
        let sockets = data.canonicalize().expect("the data folder").join("postgres/run");
        let url = format!("postgresql://segments@/segments?host={}&port=5432", sockets.display());
        Database { url, name: "segments".to_owned(), cluster: None }
    }

    /// As `DATABASE_URL` has it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection for statements that [`Database::rows`] is not made for.
    pub fn connect(&self) -> PgConnection {
        PgConnection::establish(&self.url).unwrap_or_else(|error| panic!("{}: {error}", self.url))
    }

    /// Runs statements.
    #[track_caller]
    pub fn run(&self, statements: &str) {
        self.connect().batch_execute(statements).unwrap_or_else(|error| panic!("{statements}: {error}"));
    }

    /// Everything that is stored, as `pg_dump` writes it.
    #[track_caller]
    pub fn dump(&self) -> String {
        let cluster = self.cluster.as_ref().expect("a database of the tests' own cluster");
        let output = std::process::Command::new(cluster.postgres.program("pg_dump"))
            .arg(format!("--dbname={}", self.url))
            .output()
            .expect("pg_dump runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("a dump in UTF-8")
    }

    /// The rows of a query, each as a JSON object.
    #[track_caller]
    pub fn rows(&self, query: &str) -> Vec<Value> {
        rows(&mut self.connect(), query)
    }

    /// The one number that a query gives.
    #[track_caller]
    pub fn number(&self, query: &str) -> i64 {
        let rows = self.rows(query);
        let number = rows.first().and_then(Value::as_object).and_then(|row| row.values().next()?.as_i64());
        number.unwrap_or_else(|| panic!("{query}: no number in {rows:?}"))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // In a failing test the connections of a server may be on it still; the cluster goes anyway.
        if let Some(cluster) = &self.cluster
            && !std::thread::panicking()
        {
            cluster.administer(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Jsonb)]
    row: Value,
}

/// See [`Database::rows`].
#[track_caller]
pub fn rows(connection: &mut PgConnection, query: &str) -> Vec<Value> {
    let rows: Vec<Row> = diesel::sql_query(format!("SELECT to_jsonb(q) AS row FROM ({query}) AS q"))
        .load(connection)
        .unwrap_or_else(|error| panic!("{query}: {error}"));
    rows.into_iter().map(|row| row.row).collect()
}
