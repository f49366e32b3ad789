//! How much intake costs, beside what PostgreSQL alone would cost, all in one run on one machine.
//!
//! Four things take turns, several rounds long, so that a machine's moods meet all of them; medians are printed:
//!
//! - batches of 10 events over 64 keep-alive connections to `segments serve --role collector`;
//! - a raw COPY of the very same rows into the same table of another database of the same PostgreSQL, in chunks of
//!   5,000 rows over one connection;
//! - the baseline: prepared single-row inserts of the same rows with the same durability over 16 connections;
//! - batches of 1 event over 64 connections.
//!
//! CPU time is what the kernel has booked to the processes: of the collector, of all PostgreSQL processes, and for COPY
//! and inserts of the client's threads as well. The client of the HTTP runs is not counted; it shares the machine.

use anyhow::{Context, Result, ensure};
use diesel::connection::SimpleConnection;
use diesel::pg::CopyFormat;
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tests::cluster::Folder;
use tests::server::{command, postmaster, succeeds};
use tests::shop::Keys;
use tests::speech::{self, now_ms};
use tests::{Database, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;
use wire::Who;

const CONNECTIONS: usize = 64;
const VISITORS: usize = 2_000;
const COPY_ROWS: usize = 5_000;
const INSERTERS: usize = 16;

#[allow(missing_docs, reason = "the macro's own items cannot be documented")]
mod table {
    diesel::table! {
        /// As the migrations make it.
        events (site_id, identity_id, event_id) {
            identity_id -> BigInt,
            occurred_at -> Timestamptz,
            site_id -> Integer,
            kind -> SmallInt,
            flags -> SmallInt,
            event_id -> Uuid,
            view_id -> Nullable<Uuid>,
            name_id -> Nullable<Integer>,
            page_id -> Nullable<Integer>,
            title_id -> Nullable<Integer>,
            referrer_id -> Nullable<Integer>,
            campaign_id -> Nullable<Integer>,
            agent_id -> Nullable<Integer>,
            device_id -> Nullable<Integer>,
            revision -> Nullable<Integer>,
            engaged_ms -> Nullable<Integer>,
            clicks -> Nullable<Integer>,
            max_scroll_pct -> Nullable<SmallInt>,
            properties -> Nullable<Jsonb>,
        }
    }
}
use table::events;

/// A stored event.
#[derive(Clone, Queryable, Insertable)]
#[diesel(table_name = events)]
struct Row {
    identity_id: i64,
    occurred_at: PgTimestamp,
    site_id: i32,
    kind: i16,
    flags: i16,
    event_id: Uuid,
    view_id: Option<Uuid>,
    name_id: Option<i32>,
    page_id: Option<i32>,
    title_id: Option<i32>,
    referrer_id: Option<i32>,
    campaign_id: Option<i32>,
    agent_id: Option<i32>,
    device_id: Option<i32>,
    revision: Option<i32>,
    engaged_ms: Option<i32>,
    clicks: Option<i32>,
    max_scroll_pct: Option<i16>,
    properties: Option<serde_json::Value>,
}

/// What one run of one thing came to.
#[derive(Clone, Copy, Default)]
struct Measured {
    events_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// µs of CPU per event: our own process's, or the client's where there is none of ours.
    own_us: f64,
    /// µs of CPU per event of all PostgreSQL processes.
    postgres_us: f64,
}

impl Measured {
    fn cpu_us(&self) -> f64 {
        self.own_us + self.postgres_us
    }

    /// The median of each figure on its own.
    fn median(runs: &[Measured]) -> Measured {
        let of = |figure: fn(&Measured) -> f64| {
            let mut all: Vec<f64> = runs.iter().map(figure).collect();
            all.sort_by(f64::total_cmp);
            all.get(all.len() / 2).copied().unwrap_or(0.0)
        };
        Measured {
            events_per_s: of(|m| m.events_per_s),
            p50_ms: of(|m| m.p50_ms),
            p99_ms: of(|m| m.p99_ms),
            own_us: of(|m| m.own_us),
            postgres_us: of(|m| m.postgres_us),
        }
    }
}

/// What is measured, and how long.
struct Plan {
    rounds: usize,
    requests: usize,
    single_requests: usize,
    inserts: usize,
}

impl Plan {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Plan> {
        let mut plan = Plan { rounds: 3, requests: 60_000, single_requests: 60_000, inserts: 30_000 };
        while let Some(name) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{name} needs a number"))?;
            let number: usize = value.parse().with_context(|| format!("{name} {value}: no number"))?;
            match name.as_str() {
                "--rounds" => plan.rounds = number.max(1),
                "--requests" => plan.requests = number.max(CONNECTIONS),
                "--single-requests" => plan.single_requests = number.max(CONNECTIONS),
                "--inserts" => plan.inserts = number.max(INSERTERS),
                _ => anyhow::bail!("{name}: the options are --rounds, --requests, --single-requests, --inserts"),
            }
        }
        Ok(plan)
    }
}

fn main() -> Result<()> {
    let plan = Plan::read(std::env::args().skip(1))?;
    let bench = Bench::start()?;
    println!(
        "{} rounds; {} CPUs; {VISITORS} visitors; each round {} requests of 10 events, {} of 1, {} inserts",
        plan.rounds,
        std::thread::available_parallelism().map_or(0, usize::from),
        plan.requests,
        plan.single_requests,
        plan.inserts
    );
    // The first requests of all bring the visitors, pages and names into the dictionaries.
    bench.http(VISITORS, 10)?;
    let [mut tens, mut ones, mut copies, mut inserts] = [const { Vec::new() }; 4];
    for round in 1..=plan.rounds {
        let from = lowest_id(now_ms());
        tens.push(bench.http(plan.requests, 10)?);
        let rows = bench.rows_since(from)?;
        ensure!(rows.len() == plan.requests * 10, "{} rows of {} events", rows.len(), plan.requests * 10);
        copies.push(bench.copy(&rows)?);
        inserts.push(bench.insert(&rows[..plan.inserts.min(rows.len())])?);
        ones.push(bench.http(plan.single_requests, 1)?);
        println!(
            "round {round}: {:.0} events/s in tens, {:.0} one by one, {:.0} by COPY, {:.0} by inserts",
            tens[round - 1].events_per_s,
            ones[round - 1].events_per_s,
            copies[round - 1].events_per_s,
            inserts[round - 1].events_per_s
        );
    }
    let [tens, ones, copies, inserts] = [&tens, &ones, &copies, &inserts].map(|runs| Measured::median(runs));
    println!();
    println!(
        "{:<46}{:>10}{:>9}{:>9}{:>12}{:>12}{:>12}",
        "", "events/s", "p50 ms", "p99 ms", "CPU µs/ev.", "of ours", "PostgreSQL"
    );
    for (name, measured) in [
        ("10 events a request, 64 connections", &tens),
        ("1 event a request, 64 connections", &ones),
        ("raw COPY of the same rows, chunks of 5,000", &copies),
        ("prepared single-row inserts, 16 connections", &inserts),
    ] {
        // COPY and inserts answer nobody.
        let ms = |ms: f64| if ms > 0.0 { format!("{ms:.1}") } else { "–".to_owned() };
        println!(
            "{name:<46}{:>10.0}{:>9}{:>9}{:>12.1}{:>12.1}{:>12.1}",
            measured.events_per_s,
            ms(measured.p50_ms),
            ms(measured.p99_ms),
            measured.cpu_us(),
            measured.own_us,
            measured.postgres_us
        );
    }
    println!();
    let cpu = tens.cpu_us() / copies.cpu_us();
    let rate = tens.events_per_s / inserts.events_per_s;
    let verdict = |met: bool| if met { "met" } else { "MISSED" };
    println!("CPU per event, 10 a request, to raw COPY:   {cpu:.2}×   goal ≤ 2.5×   {}", verdict(cpu <= 2.5));
    println!("events/s, 10 a request, to the baseline:    {rate:.2}×   goal ≥ 4×     {}", verdict(rate >= 4.0));
    bench.stop()
}

/// The lowest uuid v7 of a millisecond.
fn lowest_id(ms: i64) -> Uuid {
    Uuid::from_u128(u128::try_from(ms).unwrap_or(0) << 80)
}

/// A collector on its own PostgreSQL, with two more databases of the same schema in it.
struct Bench {
    server: Server,
    keys: Keys,
    database: Database,
    copied: String,
    inserted: String,
    data: PathBuf,
    // Removed last.
    _folder: Folder,
}

impl Bench {
    fn start() -> Result<Bench> {
        let folder = Folder::make();
        let data = folder.path().join("data");
        let add = ["site", "add", "bench", "--domain", "shop.example", "--json"];
        let added = command().arg("--data").arg(&data).args(add).output().context("segments does not run")?;
        let keys = serde_json::from_str(&succeeds(&added))?;
        let server = Server::embedded(&data, &["--role", "collector", "--address-rate", "0", "--key-rate", "0"]);
        let database = Database::of_folder(&data);
        let mut urls = Vec::new();
        for name in ["copied", "inserted"] {
            database.run(&format!("CREATE DATABASE {name}"));
            let url = database.url().replacen("/segments?", &format!("/{name}?"), 1);
            collector::serve::open(&url)?;
            urls.push(url);
        }
        let [copied, inserted] = <[String; 2]>::try_from(urls).expect("two databases");
        Ok(Bench { server, keys, database, copied, inserted, data, _folder: folder })
    }

    fn stop(self) -> Result<()> {
        let Bench { server, _folder, .. } = self;
        ensure!(server.stop().success(), "the server did not end well");
        Ok(())
    }

    fn postgres_cpu(&self) -> Result<Duration> {
        tree_cpu(postmaster(&self.data).context("PostgreSQL does not run")?)
    }

    /// Sends requests of `size` events over all connections, each as soon as the one before is answered.
    fn http(&self, requests: usize, size: usize) -> Result<Measured> {
        let requests: Vec<Vec<u8>> = (0..requests).map(|n| self.request(n, size)).collect();
        let address = self.server.address();
        let expected = format!("\"stored\":{size}");
        let (before_own, before_postgres) = (process_cpu(self.server.pid())?, self.postgres_cpu()?);
        let start = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let requests = Rc::new(requests);
        let next = Rc::new(Cell::new(0));
        let local = tokio::task::LocalSet::new();
        let mut times: Vec<f64> = local.block_on(&runtime, async {
            let connections: Vec<_> = (0..CONNECTIONS)
                .map(|_| {
                    let (requests, next, expected) = (Rc::clone(&requests), Rc::clone(&next), expected.clone());
                    tokio::task::spawn_local(async move {
                        let mut stream = TcpStream::connect(address).await?;
                        stream.set_nodelay(true)?;
                        let mut times = Vec::new();
                        let mut answer = Vec::with_capacity(1_024);
                        while let Some(request) = requests.get(next.replace(next.get() + 1)) {
                            let sent = Instant::now();
                            stream.write_all(request).await?;
                            read_answer(&mut stream, &mut answer).await?;
                            times.push(sent.elapsed().as_secs_f64() * 1_000.0);
                            let text = String::from_utf8_lossy(&answer);
                            ensure!(text.starts_with("HTTP/1.1 200") && text.contains(&expected), "{text}");
                        }
                        anyhow::Ok(times)
                    })
                })
                .collect();
            let mut times = Vec::new();
            for connection in connections {
                times.extend(connection.await.context("a connection")??);
            }
            anyhow::Ok(times)
        })?;
        let took = start.elapsed();
        let own = process_cpu(self.server.pid())? - before_own;
        let postgres = self.postgres_cpu()? - before_postgres;
        times.sort_by(f64::total_cmp);
        let events = (requests.len() * size) as f64;
        Ok(Measured {
            events_per_s: events / took.as_secs_f64(),
            p50_ms: times[times.len() / 2],
            p99_ms: times[times.len() * 99 / 100],
            own_us: own.as_secs_f64() * 1e6 / events,
            postgres_us: postgres.as_secs_f64() * 1e6 / events,
        })
    }

    /// One request as a browser on the way through a shop sends it: page views with their snapshots, and calls.
    fn request(&self, n: usize, size: usize) -> Vec<u8> {
        let visitor = n % VISITORS;
        let now = now_ms();
        let mut view = None;
        let events: Vec<_> = (0..size)
            .map(|part| {
                let url = format!("https://shop.example/products/{}", (n * 7 + part) % 500);
                match (n + part) % 5 {
                    0 | 2 => {
                        let event = speech::page_from(now, &url, "https://www.google.com/");
                        view = Some(event.id);
                        event
                    }
                    1 | 3 => speech::snapshot(now, view.unwrap_or_else(|| speech::mint(now)), 1, 8_000),
                    _ => {
                        let product = json!({ "product_id": format!("p{}", n % 500), "price": 19.9, "quantity": 1 });
                        speech::track(now, "Product Added", product)
                    }
                }
            })
            .collect();
        let who = Who::Visitor(speech::visitor_id(&format!("v{visitor}")));
        let body = speech::batch(&self.keys.write_key, who, &events);
        let mut request = format!(
            "POST /v1/events HTTP/1.1\r\nHost: {}\r\nUser-Agent: bench-{}\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n",
            self.server.address(),
            visitor % 20,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        request
    }

    fn rows_since(&self, from: Uuid) -> Result<Vec<Row>> {
        let rows = events::table.filter(events::event_id.ge(from)).order(events::event_id);
        Ok(rows.load(&mut self.database.connect())?)
    }

    /// Rows in the order in which they came, sorted by key within each chunk, as the collector's writer does it.
    fn copy(&self, rows: &[Row]) -> Result<Measured> {
        let mut connection = durable(&self.copied)?;
        let before_postgres = self.postgres_cpu()?;
        let (start, before_own) = (Instant::now(), thread_cpu());
        let mut buffer = Vec::new();
        for chunk in rows.chunks(COPY_ROWS) {
            let mut chunk: Vec<&Row> = chunk.iter().collect();
            chunk.sort_unstable_by_key(|row| (row.site_id, row.identity_id, row.event_id));
            encode(&chunk, &mut buffer)?;
            diesel::copy_from(events::table)
                .from_raw_data(events::table, |copy| -> QueryResult<()> {
                    copy.write_all(&buffer).map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))
                })
                .with_format(CopyFormat::Binary)
                .execute(&mut connection)?;
        }
        let (took, own) = (start.elapsed(), thread_cpu() - before_own);
        self.measured(rows.len(), took, own, before_postgres)
    }

    fn insert(&self, rows: &[Row]) -> Result<Measured> {
        let connections: Vec<PgConnection> = (0..INSERTERS).map(|_| durable(&self.inserted)).collect::<Result<_>>()?;
        let before_postgres = self.postgres_cpu()?;
        let start = Instant::now();
        let own = std::thread::scope(|scope| {
            let threads: Vec<_> = connections
                .into_iter()
                .enumerate()
                .map(|(n, mut connection)| {
                    scope.spawn(move || -> Result<Duration> {
                        for row in rows.iter().skip(n).step_by(INSERTERS) {
                            // Prepared once per connection: diesel keeps statements whose shape it knows.
                            diesel::insert_into(events::table).values(row.clone()).execute(&mut connection)?;
                        }
                        Ok(thread_cpu())
                    })
                })
                .collect();
            threads.into_iter().try_fold(Duration::ZERO, |sum, thread| {
                anyhow::Ok(sum + thread.join().map_err(|_| anyhow::anyhow!("an inserter panicked"))??)
            })
        })?;
        self.measured(rows.len(), start.elapsed(), own, before_postgres)
    }

    fn measured(&self, rows: usize, took: Duration, own: Duration, before_postgres: Duration) -> Result<Measured> {
        let postgres = self.postgres_cpu()? - before_postgres;
        let per_event = |cpu: Duration| cpu.as_secs_f64() * 1e6 / rows as f64;
        Ok(Measured {
            events_per_s: rows as f64 / took.as_secs_f64(),
            own_us: per_event(own),
            postgres_us: per_event(postgres),
            ..Measured::default()
        })
    }
}

/// A connection that commits as the collector's do.
fn durable(url: &str) -> Result<PgConnection> {
    let mut connection = PgConnection::establish(url)?;
    connection.batch_execute("SET synchronous_commit = on; SET jit = off")?;
    Ok(connection)
}

/// Rows in PostgreSQL's binary COPY format.
fn encode(rows: &[&Row], out: &mut Vec<u8>) -> Result<()> {
    fn field(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
        let length = bytes.map_or(-1, |bytes| bytes.len() as i32);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(bytes.unwrap_or(&[]));
    }
    out.clear();
    out.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
    out.extend_from_slice(&[0; 8]);
    for row in rows {
        out.extend_from_slice(&19_i16.to_be_bytes());
        field(out, Some(&row.identity_id.to_be_bytes()));
        field(out, Some(&row.occurred_at.0.to_be_bytes()));
        field(out, Some(&row.site_id.to_be_bytes()));
        field(out, Some(&row.kind.to_be_bytes()));
        field(out, Some(&row.flags.to_be_bytes()));
        field(out, Some(row.event_id.as_bytes()));
        field(out, row.view_id.as_ref().map(|id| &id.as_bytes()[..]));
        let numbers = [
            row.name_id,
            row.page_id,
            row.title_id,
            row.referrer_id,
            row.campaign_id,
            row.agent_id,
            row.device_id,
            row.revision,
            row.engaged_ms,
            row.clicks,
        ];
        for number in numbers {
            field(out, number.map(i32::to_be_bytes).as_ref().map(|bytes| &bytes[..]));
        }
        field(out, row.max_scroll_pct.map(i16::to_be_bytes).as_ref().map(|bytes| &bytes[..]));
        match &row.properties {
            Some(properties) => {
                // jsonb's binary form: a version byte before the text.
                let mut text = vec![1];
                serde_json::to_writer(&mut text, properties)?;
                field(out, Some(&text));
            }
            None => field(out, None),
        }
    }
    out.extend_from_slice(&(-1_i16).to_be_bytes());
    Ok(())
}

/// Reads one answer with a `Content-Length`.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<()> {
    answer.clear();
    loop {
        ensure!(stream.read_buf(answer).await? > 0, "the server closed a connection");
        let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap_or("0");
        if answer.len() >= head + 4 + length.trim().parse::<usize>()? {
            return Ok(());
        }
    }
}

/// CPU time of the calling thread.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// One process as the kernel tells of it: its parent, and its CPU time without and with that of children that ended.
struct Booked {
    parent: u32,
    own: Duration,
    with_children: Duration,
}

fn booked(stat: &Path) -> Option<Booked> {
    let text = std::fs::read_to_string(stat).ok()?;
    // The name in parentheses may have spaces.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |n: usize| fields.get(n)?.parse::<f64>().ok();
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    let own = ticks(11)? + ticks(12)?;
    let children = ticks(13)? + ticks(14)?;
    Some(Booked {
        parent: fields.get(1)?.parse().ok()?,
        own: Duration::from_secs_f64(own / per_second),
        with_children: Duration::from_secs_f64((own + children) / per_second),
    })
}

fn process_cpu(pid: u32) -> Result<Duration> {
    let stat = format!("/proc/{pid}/stat");
    Ok(booked(Path::new(&stat)).with_context(|| format!("no {stat}"))?.own)
}

/// CPU time of a process and all its descendants, those that have ended included.
fn tree_cpu(root: u32) -> Result<Duration> {
    let mut processes = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if let Some(pid) = pid
            && let Some(booked) = booked(&entry.path().join("stat"))
        {
            processes.push((pid, booked));
        }
    }
    let mut sum = Duration::ZERO;
    let mut family = vec![root];
    while let Some(pid) = family.pop() {
        for (child, booked) in &processes {
            if *child == pid {
                sum += booked.with_children;
            }
            if booked.parent == pid {
                family.push(*child);
            }
        }
    }
    Ok(sum)
}
