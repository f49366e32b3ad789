//! Questions about everybody from analysis columns, beside the same questions in SQL with the same answers.
//!
//! A shop of a million people with twenty million events is made in PostgreSQL (`generate.sql`), projections included.
//! The columns are loaded from it in this process, and asked in it, as pages do: the times are those of the question
//! alone, without HTTP. SQL is asked over one connection after `VACUUM ANALYZE`, with parallel workers as PostgreSQL
//! plans them. Medians of several rounds are printed, and every answer is compared.
//!
//! `--people N` makes a smaller shop, `--data DIR` keeps the data for the next run, `--rounds N` asks more often.

use anyhow::{Context, Result, ensure};
use collector::analysis::{self, Among, Analysis, Funnel, Settings, View};
use collector::postgres::EmbeddedPostgres;
use collector::store::Store;
use collector::store::sites::{NewSite, Site, TagConsent};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use domain::segment::rule::{Matching, Plan, Rule, Slots};
use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tests::cluster::{Folder, rows};

const GENERATE: &str = include_str!("generate.sql");
/// The rules of the library's size and kinds.
const RULES: &str = include_str!("rules.json");
const NAME: &str = "bench";
const ZONE: &str = "Europe/Berlin";
/// The last day of the year that is made.
const TODAY: Date = date(2026, 10, 31);

struct Options {
    people: u64,
    rounds: usize,
    data: Option<PathBuf>,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
        let mut options = Options { people: 1_000_000, rounds: 7, data: None };
        while let Some(name) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
            let number = || value.parse::<u64>().with_context(|| format!("{name} {value}: no number"));
            match name.as_str() {
                "--people" => options.people = number()?.max(1_000),
                "--rounds" => options.rounds = usize::try_from(number()?)?.max(1),
                "--data" => options.data = Some(PathBuf::from(value)),
                _ => anyhow::bail!("{name}: the options are --people, --rounds, --data"),
            }
        }
        Ok(options)
    }
}

fn main() -> Result<()> {
    let options = Options::read(std::env::args().skip(1))?;
    // Without a folder to keep, one that is removed at the end, after the PostgreSQL in it.
    let folder = options.data.is_none().then(Folder::make);
    let data = match (&options.data, &folder) {
        (Some(data), _) => data.clone(),
        (None, Some(folder)) => folder.path().join("data"),
        (None, None) => anyhow::bail!("no folder"),
    };
    let postgres = EmbeddedPostgres::claim(&data)?;
    let store = collector::serve::open(&postgres.url())?;
    let site = generate(&store, &postgres.url(), options.people)?;
    let bench = Bench { store, site, sql: PgConnection::establish(&postgres.url())?, rounds: options.rounds };
    bench.run(&data.join("analysis"))
}

/// The site of the bench; it is made where it is missing.
fn generate(store: &Store, url: &str, people: u64) -> Result<Site> {
    if let Ok(site) = store.site_named(NAME) {
        println!("the data of an earlier run is used");
        return Ok(site);
    }
    let begun = Instant::now();
    let months = (0..14).map(|back| TODAY.saturating_sub(back.months()));
    store.ensure_months(TODAY, months)?;
    let mut connection = PgConnection::establish(url)?;
    let now = TODAY.tomorrow()?.to_zoned_datetime(jiff::tz::TimeZone::get(ZONE)?)?.timestamp().as_second() - 1;
    let statements = GENERATE.replace(":people", &people.to_string()).replace(":now", &now.to_string());
    for statement in statements.split(";\n").filter(|statement| !statement.trim().is_empty()) {
        let begun = Instant::now();
        connection.batch_execute(statement).with_context(|| statement.to_owned())?;
        if begun.elapsed() > Duration::from_secs(5) {
            let lines = statement.lines().filter(|line| !line.starts_with("--") && !line.is_empty());
            let first: String = lines.take(1).flat_map(|line| line.chars().take(60)).collect();
            println!("  {:>5.0} s  {first}", begun.elapsed().as_secs_f64());
        }
    }
    let currency = "EUR".parse().context("EUR")?;
    // Last, so that a run that was cut off is not taken for a whole one.
    let new = NewSite {
        name: NAME.to_owned(),
        domains: vec!["shop.example".to_owned()],
        currency,
        time_zone: ZONE.to_owned(),
        tag_consent: TagConsent::Measure,
    };
    let (site, _) = store.add_site(&new)?;
    ensure!(site.site_id == 1, "the data is made for site 1");
    println!("{people} people made in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(site)
}

/// CPU time of this process, all threads. On a machine that others use, too, it says what a question costs where the
/// clock says how long it had to wait.
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1_000.0 + time.tv_nsec as f64 / 1e6
}

/// Milliseconds by the clock and of CPU.
#[derive(Clone, Copy)]
struct Took {
    ms: f64,
    cpu_ms: f64,
}

/// One line of the table.
struct Line {
    question: &'static str,
    goal_ms: Option<f64>,
    columns: Took,
    sql_ms: Option<f64>,
}

struct Bench {
    store: Store,
    site: Site,
    sql: PgConnection,
    rounds: usize,
}

impl Bench {
    fn run(mut self, cache: &Path) -> Result<()> {
        // Anything that a run before has left.
        let _ = std::fs::remove_dir_all(cache);
        let settings = Settings { memory_bytes: 4 << 30, cache: Some(cache.to_owned()) };
        let before = resident()?;
        let begun = Instant::now();
        let running = analysis::start(self.store.clone(), settings.clone())?;
        let view = loaded(&running.analysis(), &self.site);
        let load = begun.elapsed();
        let (people, entries) = view.counts();
        let events = self.number("SELECT count(*) FROM events WHERE site_id = 1")?;
        let figures = running.analysis().figures();
        let [now, peak] = [resident()?, peak()?];
        println!("{people} people, {events} events, {entries} with visits and orders");
        println!(
            "loaded in {:.1} s: {:.0} events/s; {} MB in columns, process {} MB (before {} MB, peak {} MB)",
            load.as_secs_f64(),
            events as f64 / load.as_secs_f64(),
            figures.bytes >> 20,
            now >> 20,
            before >> 20,
            peak >> 20
        );
        drop(view);
        let begun = Instant::now();
        drop(running);
        println!("written to disk in {:.1} s at the end", begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let running = analysis::start(self.store.clone(), settings)?;
        let view = loaded(&running.analysis(), &self.site);
        println!("taken from disk in {:.1} s at the next start", begun.elapsed().as_secs_f64());
        ensure!(view.counts() == (people, entries), "the same from disk");
        let lines = vec![
            self.preview(&view)?,
            self.funnel(&view)?,
            self.visitors(&view)?,
            self.rfm(&view)?,
            self.many(&view)?,
            self.others(&view)?,
        ];
        println!();
        println!("{:<58}{:>9}{:>12}{:>9}{:>10}{:>8}", "median", "goal ms", "columns ms", "CPU ms", "SQL ms", "ratio");
        for line in lines {
            let number = |number: Option<f64>| number.map_or_else(|| "–".to_owned(), |number| format!("{number:.0}"));
            println!(
                "{:<58}{:>9}{:>12.1}{:>9.1}{:>10}{:>7}×",
                line.question,
                number(line.goal_ms),
                line.columns.ms,
                line.columns.cpu_ms,
                number(line.sql_ms),
                number(line.sql_ms.map(|sql| sql / line.columns.ms)),
            );
        }
        drop(view);
        drop(running);
        Ok(())
    }

    fn number(&mut self, query: &str) -> Result<i64> {
        let rows = rows(&mut self.sql, query);
        let number = rows.first().and_then(Value::as_object).and_then(|row| row.values().next()?.as_i64());
        number.context("no number")
    }

    /// Asks several times and gives the answer with the median in ms.
    fn time<T>(&self, mut ask: impl FnMut() -> T) -> (T, Took) {
        let mut times = Vec::with_capacity(self.rounds);
        loop {
            let (begun, begun_cpu) = (Instant::now(), cpu());
            let answer = ask();
            times.push(Took { ms: begun.elapsed().as_secs_f64() * 1_000.0, cpu_ms: cpu() - begun_cpu });
            if times.len() == self.rounds {
                let median = |figure: fn(&Took) -> f64| {
                    let mut all: Vec<f64> = times.iter().map(figure).collect();
                    all.sort_by(f64::total_cmp);
                    all[all.len() / 2]
                };
                return (answer, Took { ms: median(|took| took.ms), cpu_ms: median(|took| took.cpu_ms) });
            }
        }
    }

    /// Three times are enough for what takes seconds.
    fn time_sql(&mut self, query: &str) -> (Vec<Value>, f64) {
        let mut times = Vec::new();
        loop {
            let begun = Instant::now();
            let answer = rows(&mut self.sql, query);
            times.push(begun.elapsed().as_secs_f64() * 1_000.0);
            if times.len() == 3 {
                times.sort_by(f64::total_cmp);
                return (answer, times[1]);
            }
        }
    }

    fn midnight(&self, day: Date) -> Result<Timestamp> {
        Ok(day.to_zoned_datetime(self.site.time_zone.clone())?.timestamp())
    }

    /// The last second of the data.
    fn now(&self) -> Result<u32> {
        Ok(u32::try_from(self.midnight(TODAY.tomorrow()?)?.as_second() - 1)?)
    }

    fn preview(&mut self, view: &View) -> Result<Line> {
        let as_of = self.now()?;
        let rule = r#"{"version":1,"who":{"all":[
            {"event":{"of":{"what":{"page":"/pricing"}},"window":{"within":"14 days"},"is":{"count":{"at_least":3}}}},
            {"not":{"event":{"of":{"what":"order"},"is":{"count":{"at_least":1}}}}}]}}"#;
        let plan = view.plan_at(&Rule::from_json(rule)?, &Slots::default(), as_of)?;
        let (preview, columns) = self.time(|| view.preview(Among { plans: std::slice::from_ref(&plan), as_of }, 20, 0));
        let from = as_of + 1 - 14 * 86_400;
        // The ids say the months to look into.
        let (sql, sql_ms) = self.time_sql(&format!(
            "SELECT count(*) AS n FROM (
                SELECT i.profile_id FROM events e JOIN identities i USING (site_id, identity_id)
                WHERE e.site_id = 1 AND e.kind IN (1, 7) AND e.page_id = 2
                  AND e.occurred_at >= to_timestamp({from}) AND e.occurred_at < to_timestamp({as_of} + 1)
                  AND e.event_id >= (lpad(to_hex(({from} - 172800) * 1000::bigint), 12, '0')
                        || '00000000000000000000')::uuid
                GROUP BY i.profile_id HAVING count(*) >= 3) AS q
             JOIN profiles p ON p.site_id = 1 AND p.profile_id = q.profile_id WHERE p.orders = 0"
        ));
        ensure!(sql[0]["n"] == preview.count, "{:?} {}", sql, preview.count);
        println!("preview: {} of {}", preview.count, preview.of);
        let question = "viewed /pricing ≥ 3 times in 14 days and never ordered";
        Ok(Line { question, goal_ms: Some(50.0), columns, sql_ms: Some(sql_ms) })
    }

    fn funnel(&mut self, view: &View) -> Result<Line> {
        let matching = |json: &str| -> Result<Matching> { Ok(serde_json::from_str(json)?) };
        let steps = [r#"{"what":{"page":"/pricing"}}"#, r#"{"what":{"track":"Product Added"}}"#, r#"{"what":"order"}"#]
            .into_iter()
            .map(|step| Ok(view.matcher(&matching(step)?)?))
            .collect::<Result<Vec<_>>>()?;
        let to = self.now()? + 1;
        let from = u32::try_from(self.midnight(TODAY.saturating_sub(89.days()))?.as_second())?;
        let window_seconds = 7 * 86_400;
        let funnel = Funnel { steps: &steps, from, to, window_seconds };
        let (taken, columns) = self.time(|| view.funnel(funnel, None));
        let (sql, sql_ms) = self.time_sql(&format!(
            "WITH e AS MATERIALIZED (
                SELECT i.profile_id, e.occurred_at AS at, extract(epoch FROM date_trunc('second', e.occurred_at)) AS s,
                       e.page_id, e.name_id
                FROM events e JOIN identities i USING (site_id, identity_id)
                WHERE e.site_id = 1 AND (e.kind = 1 AND e.page_id = 2 OR e.kind = 3 AND e.name_id = 1001)
                  AND e.occurred_at >= to_timestamp({from})
                  AND e.event_id >= (lpad(to_hex(({from} - 172800) * 1000::bigint), 12, '0')
                        || '00000000000000000000')::uuid),
             one AS (SELECT profile_id, at, s FROM e WHERE page_id = 2 AND at < to_timestamp({to})),
             two AS (SELECT e.profile_id, max(one.s) AS began, e.at FROM one JOIN e ON e.profile_id = one.profile_id
                     WHERE e.name_id = 1001 AND e.at > one.at AND e.s - one.s <= {window_seconds} GROUP BY 1, 3),
             three AS (SELECT DISTINCT two.profile_id FROM two JOIN orders o ON o.site_id = 1
                            AND o.profile_id = two.profile_id AND o.counted
                       WHERE o.ordered_at > two.at
                         AND extract(epoch FROM date_trunc('second', o.ordered_at)) - two.began <= {window_seconds})
             SELECT (SELECT count(DISTINCT profile_id) FROM one) AS one,
                    (SELECT count(DISTINCT profile_id) FROM two) AS two, (SELECT count(*) FROM three) AS three"
        ));
        for (step, name) in taken.iter().zip(["one", "two", "three"]) {
            ensure!(sql[0][name] == step.people, "{sql:?} {taken:?}");
        }
        println!("funnel: {taken:?}");
        let question = "funnel of 3 steps in 90 days, 7 days to convert";
        Ok(Line { question, goal_ms: Some(50.0), columns, sql_ms: Some(sql_ms) })
    }

    fn visitors(&mut self, view: &View) -> Result<Line> {
        let first = TODAY.saturating_sub(89.days());
        let (days, columns) = self.time(|| view.visitors(first, TODAY, None));
        let (from, to) = (self.midnight(first)?, self.midnight(TODAY.tomorrow()?)?);
        let (sql, sql_ms) = self.time_sql(&format!(
            "SELECT (started_at AT TIME ZONE '{ZONE}')::date AS day, count(DISTINCT profile_id) AS visitors
             FROM sessions WHERE site_id = 1 AND started_at >= '{from}' AND started_at < '{to}' GROUP BY 1 ORDER BY 1"
        ));
        ensure!(sql.len() == days.len(), "{} days of {}", sql.len(), days.len());
        for (sql, day) in sql.iter().zip(&days) {
            ensure!(sql["day"] == day.day.to_string() && sql["visitors"] == day.visitors, "{sql} {day:?}");
        }
        Ok(Line { question: "exact visitors of each of 90 days", goal_ms: Some(50.0), columns, sql_ms: Some(sql_ms) })
    }

    fn rfm(&mut self, view: &View) -> Result<Line> {
        let (counts, columns) = self.time(|| {
            let rfm = view.rfm(TODAY);
            let mut counts = std::collections::BTreeMap::<(u8, u8, u8), i64>::new();
            for buyer in &rfm.buyers {
                let scores = rfm.scales.scores(buyer);
                *counts.entry((scores.recency, scores.frequency, scores.monetary)).or_default() += 1;
            }
            counts
        });
        let (sql, sql_ms) = self.time_sql(&format!(
            "WITH b AS (
                SELECT '{TODAY}'::date - (max(ordered_at) AT TIME ZONE '{ZONE}')::date AS days, count(*) AS orders,
                       sum(total_minor) AS minor
                FROM orders WHERE site_id = 1 AND counted GROUP BY profile_id),
             s AS (
                SELECT 5 - least(4, 5 * (rank() OVER (ORDER BY days) - 1) / greatest(count(*) OVER () - 1, 1)) AS r,
                       1 + least(4, 5 * (rank() OVER (ORDER BY orders) - 1) / greatest(count(*) OVER () - 1, 1)) AS f,
                       1 + least(4, 5 * (rank() OVER (ORDER BY minor) - 1) / greatest(count(*) OVER () - 1, 1)) AS m
                FROM b)
             SELECT r, f, m, count(*) AS n FROM s GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        ));
        let same = sql
            .iter()
            .zip(&counts)
            .all(|(sql, ((r, f, m), n))| sql["r"] == *r && sql["f"] == *f && sql["m"] == *m && sql["n"] == *n);
        ensure!(sql.len() == counts.len() && same, "{sql:?} {counts:?}");
        let question = "RFM quintiles and scores of all buyers";
        Ok(Line { question, goal_ms: Some(100.0), columns, sql_ms: Some(sql_ms) })
    }

    /// All rules at once; SQL is asked for those that it can say in a line.
    fn many(&mut self, view: &View) -> Result<Line> {
        let as_of = self.now()?;
        let list: Vec<Value> = serde_json::from_str(RULES)?;
        let begun = Instant::now();
        let population = view.population(as_of);
        println!("what rules compare with: {:.0} ms", begun.elapsed().as_secs_f64() * 1_000.0);
        let mut plans: Vec<Plan> = Vec::new();
        for who in &list {
            let rule = Rule::from_json(&serde_json::json!({ "version": 1, "who": who }).to_string())?;
            plans.push(view.plan(&rule, &Slots::default(), &population).with_context(|| who.to_string())?);
        }
        let (memberships, columns) = self.time(|| view.count_many(&plans, as_of));
        // One by one gives the same.
        for (place, plan) in plans.iter().enumerate() {
            let alone = view.preview(Among { plans: std::slice::from_ref(plan), as_of }, 0, 0).count;
            ensure!(memberships.sizes[place] == alone, "{}: {} {alone}", list[place], memberships.sizes[place]);
        }
        let buyers = self.number("SELECT count(*) FROM profiles WHERE site_id = 1 AND orders > 0")?;
        let paid = self.number(
            "SELECT count(*) FROM (SELECT DISTINCT ON (profile_id) channel FROM sessions WHERE site_id = 1
                ORDER BY profile_id, started_at) AS first WHERE channel = 'paid_search'",
        )?;
        ensure!(u64::try_from(buyers)? == memberships.sizes[0], "{buyers} {}", memberships.sizes[0]);
        ensure!(u64::try_from(paid)? == memberships.sizes[1], "{paid} {}", memberships.sizes[1]);
        println!("{} rules: {:?}", plans.len(), memberships.sizes);
        let question = "40 rules for everybody";
        Ok(Line { question, goal_ms: Some(10_000.0), columns, sql_ms: None })
    }

    fn others(&mut self, view: &View) -> Result<Line> {
        let first = TODAY.saturating_sub(1.years()).saturating_add(1.months()).first_of_month();
        let by = analysis::Return::Visit;
        let (cohorts, columns) = self.time(|| view.retention(analysis::Period::Month, first, 12, by, None));
        let (from, to) = (self.midnight(first)?, self.midnight(TODAY.tomorrow()?)?);
        let (sql, sql_ms) = self.time_sql(&format!(
            "WITH v AS (SELECT DISTINCT profile_id, date_trunc('month', started_at AT TIME ZONE '{ZONE}') AS month
                        FROM sessions WHERE site_id = 1),
             f AS (SELECT profile_id, min(month) AS month FROM v GROUP BY 1)
             SELECT f.month::date AS begins, v.month::date AS month, count(*) AS n
             FROM f JOIN v USING (profile_id)
             WHERE f.month >= ('{from}'::timestamptz AT TIME ZONE '{ZONE}')
               AND v.month < ('{to}'::timestamptz AT TIME ZONE '{ZONE}')
             GROUP BY 1, 2 ORDER BY 1, 2"
        ));
        let mut expected = sql.iter();
        for cohort in &cohorts {
            for n in std::iter::once(&cohort.people).chain(&cohort.returned) {
                let row = expected.next().context("a month is missing")?;
                ensure!(row["begins"] == cohort.begins.to_string() && row["n"] == *n, "{row} {cohort:?}");
            }
        }
        let question = "retention of 12 monthly cohorts";
        Ok(Line { question, goal_ms: None, columns, sql_ms: Some(sql_ms) })
    }
}

fn loaded(analysis: &Analysis, site: &Site) -> View {
    let begun = Instant::now();
    loop {
        if let Some(view) = analysis.view(site) {
            return view;
        }
        assert!(begun.elapsed() < Duration::from_secs(1_800), "{:?}", analysis.coverage(site.site_id));
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A figure of this process's memory in bytes, as the kernel says it in kB.
fn memory(name: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such figure")?;
    let kb: u64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?;
    Ok(kb << 10)
}

fn resident() -> Result<u64> {
    memory("VmRSS")
}

fn peak() -> Result<u64> {
    memory("VmHWM")
}
