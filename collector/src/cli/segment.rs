//! `segments segment …`: segments from the command line.

use crate::analysis::{self, Backtested, Keeping, Progress};
use crate::store::customers::end_of;
use crate::store::lists::{Edit, MAX_LISTED, read_identifiers};
use crate::store::membership::{read_members, read_sizes};
use crate::store::projection::{explain, memberships};
use crate::store::segments::{Draft, Kind, Segment, read_revisions};
use crate::store::sites::Site;
use crate::store::{Store, from_timestamp, instant};
use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use domain::identity::{Kind as IdentityKind, normalise};
use domain::money::Money;
use domain::segment::rule::{self, Explanation, Rule};
use jiff::civil::Date;
use jiff::{SignedDuration, ToSpan};
use serde_json::{Value, json};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Members read at once.
const PART: i64 = 5_000;

#[derive(Args)]
pub(super) struct Segments {
    /// The site's name.
    #[arg(long, global = true, env = "SEGMENTS_SITE", default_value = "", hide_default_value = true)]
    site: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the segments in use with their sizes.
    List {
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Makes a segment that a rule keeps, or with --list an empty list.
    Add {
        /// Its name for people.
        name: String,
        /// Its name in addresses and other segments' rules; made of the name when absent.
        #[arg(long)]
        key: Option<String>,
        #[command(flatten)]
        rule: RuleArgs,
        /// Makes a fixed set of people instead.
        #[arg(long, conflicts_with_all = ["says", "rule"])]
        list: bool,
        /// One sentence on who is in it.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Gives a segment another rule.
    Change {
        /// The segment's key.
        key: String,
        #[command(flatten)]
        rule: RuleArgs,
    },
    /// Takes a segment out of use.
    Archive {
        /// The segment's key.
        key: String,
    },
    /// Brings an archived segment back into use.
    Restore {
        /// The segment's key.
        key: String,
    },
    /// Makes a list of those who are in a segment now.
    Snapshot {
        /// The segment's key.
        key: String,
        /// The list's name.
        name: String,
    },
    /// Edits a list from a CSV file with a column user_id, or email, or both.
    SetList {
        /// The list's key.
        key: String,
        /// The file, or `-` for standard input.
        file: PathBuf,
        /// What becomes of those who are in the list already.
        #[arg(long, value_enum, default_value = "replace")]
        mode: Mode,
    },
    /// Says clause by clause why a person is in a segment or is not; without a key of all segments they are in.
    Explain {
        /// The segment's key.
        key: Option<String>,
        /// Who: user_id=…, email=… or visitor_id=….
        #[arg(long, value_name = "KIND=VALUE")]
        person: String,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Says how large a segment would have been on past days, and what its people did afterwards, beside everybody.
    Backtest {
        /// The key of a segment; without it the rule of --says or --rule is taken.
        key: Option<String>,
        #[command(flatten)]
        rule: RuleArgs,
        /// The days, each as it ended in the site's time zone; without them the ends of the last six months.
        #[arg(long, value_name = "DAY,…", value_delimiter = ',')]
        days: Vec<Date>,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Writes the members to standard output, by profile number.
    Members {
        /// The segment's key.
        key: String,
        /// The form.
        #[arg(long, value_enum, default_value = "csv")]
        form: Form,
    },
}

#[derive(Args)]
struct RuleArgs {
    /// The rule as a sentence, for example: ordered at least 2 times within 90 days
    #[arg(long, conflicts_with = "rule")]
    says: Option<String>,
    /// A file with the rule as JSON.
    #[arg(long, value_name = "FILE")]
    rule: Option<PathBuf>,
}

impl RuleArgs {
    fn read(&self) -> anyhow::Result<Rule> {
        match (&self.says, &self.rule) {
            (Some(says), _) => says.parse().map_err(|error: rule::SentenceError| {
                let mark = " ".repeat(error.column.saturating_sub(1));
                anyhow::anyhow!("{error}\n  {says}\n  {mark}^")
            }),
            (None, Some(file)) => {
                let text =
                    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
                Ok(Rule::from_json(&text)?)
            }
            (None, None) => bail!("give the rule with --says SENTENCE or --rule FILE"),
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// They leave.
    Replace,
    /// They stay.
    Add,
    /// Those in the file leave, the others stay.
    Remove,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A header line and a line each.
    Csv,
    /// One JSON object a line.
    Json,
}

pub(super) fn run(store: &Store, arguments: Segments) -> anyhow::Result<()> {
    let site = site(store, &arguments.site)?;
    match arguments.command {
        Command::List { json } => list(store, &site, json),
        Command::Add { name, key, rule, list, description } => {
            let kind = if list { Kind::List } else { Kind::Rule(rule.read()?) };
            let draft = Draft { name, description, action: String::new(), kind };
            tell(&store.add_segment(&site, key.as_deref(), &draft)?);
            Ok(())
        }
        Command::Change { key, rule } => {
            let known = store.segment_named(&site, &key)?;
            let Segment { name, description, action, .. } = known;
            let draft = Draft { name, description, action, kind: Kind::Rule(rule.read()?) };
            tell(&store.change_segment(&site, &key, &draft)?);
            Ok(())
        }
        Command::Archive { key } => {
            store.archive_segment(&site, &key)?;
            println!("{key} is archived; `segments segment restore {key}` brings it back");
            Ok(())
        }
        Command::Restore { key } => {
            tell(&store.restore_segment(&site, &key)?);
            Ok(())
        }
        Command::Snapshot { key, name } => {
            tell(&store.snapshot_segment(&site, &key, &name)?);
            Ok(())
        }
        Command::SetList { key, file, mode } => set_list(store, &site, &key, &file, mode),
        Command::Explain { key, person, json } => explain_person(store, &site, key.as_deref(), &person, json),
        Command::Backtest { key, rule, days, json } => {
            let rule = match key {
                Some(key) => store.segment_named(&site, &key)?.rule().cloned().context("a list has no past")?,
                None => rule.read()?,
            };
            backtest(store, &site, &rule, days, json)
        }
        Command::Members { key, form } => members(store, &site, &key, form),
    }
}

/// The site of that name; without a name the only one there is.
pub(super) fn site(store: &Store, name: &str) -> anyhow::Result<Site> {
    if !name.is_empty() {
        return Ok(store.site_named(name)?);
    }
    let mut sites = store.sites()?;
    match (sites.pop(), sites.is_empty()) {
        (Some(site), true) => Ok(site),
        (Some(_), false) => bail!("there are several sites; say which with --site NAME"),
        (None, _) => bail!("there is no site yet; make one with: segments site add NAME --domain DOMAIN"),
    }
}

fn tell(segment: &Segment) {
    println!("{}  {}", segment.key, segment.name);
    if let Some(rule) = segment.rule() {
        println!("  {rule}");
    }
    println!("everybody is asked about it while `segments serve` runs");
}

fn list(store: &Store, site: &Site, json: bool) -> anyhow::Result<()> {
    let segments = store.segments_in_use(site)?;
    let ids = segments.iter().map(|segment| segment.segment_id);
    let sizes = read_sizes(&mut *store.lend()?, site.site_id, ids)?;
    let size = |segment: &Segment| sizes.members.get(&segment.segment_id).copied().unwrap_or(0);
    let ready = |segment: &Segment| segment.since_revision <= sizes.sweep.swept_revision;
    if json {
        let told: Vec<Value> = segments
            .iter()
            .map(|segment| {
                json!({
                    "key": segment.key, "name": segment.name, "size": size(segment), "ready": ready(segment),
                    "rule": segment.rule(), "says": segment.rule().map(ToString::to_string),
                })
            })
            .collect();
        println!("{:#}", Value::from(told));
        return Ok(());
    }
    for segment in &segments {
        let state = if ready(segment) { "" } else { "  (being computed)" };
        println!("{:>9}  {:<40} {}{state}", size(segment), segment.key, segment.name);
    }
    Ok(())
}

fn set_list(store: &Store, site: &Site, key: &str, file: &PathBuf, mode: Mode) -> anyhow::Result<()> {
    let input: Box<dyn std::io::Read> = if file.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).with_context(|| format!("{} cannot be read", file.display()))?)
    };
    let identifiers = read_identifiers(input)?;
    let mut edit = match mode {
        Mode::Replace => Edit::Replace,
        Mode::Add => Edit::Add,
        Mode::Remove => Edit::Remove,
    };
    let (mut found, mut unknown, mut added, mut removed) = (0, 0, 0, 0);
    let parts = if identifiers.is_empty() { vec![&[][..]] } else { identifiers.chunks(MAX_LISTED).collect() };
    for part in parts {
        let edited = store.edit_list(site, key, edit, part)?;
        found += edited.found;
        unknown += edited.unknown;
        added += edited.added;
        removed += edited.removed;
        for value in &edited.first_unknown {
            eprintln!("nobody is known by {value}");
        }
        // The parts after the first come beside it.
        if edit == Edit::Replace {
            edit = Edit::Add;
        }
    }
    println!("{found} found, {unknown} unknown; {added} added, {removed} removed");
    Ok(())
}

fn explain_person(store: &Store, site: &Site, key: Option<&str>, person: &str, json: bool) -> anyhow::Result<()> {
    let (kind, value) = person.split_once('=').context("--person is user_id=…, email=… or visitor_id=…")?;
    let kind = match kind {
        "user_id" => IdentityKind::UserId,
        "email" => IdentityKind::Email,
        "visitor_id" => IdentityKind::Visitor,
        _ => bail!("--person {kind}=… is unknown; use user_id=…, email=… or visitor_id=…"),
    };
    let value = normalise(kind, value)?;
    let profile_id = store.profile_of(site.site_id, kind, &value)?.context("nobody is known by that")?;
    let segments = match key {
        Some(key) => vec![store.segment_named(site, key)?],
        None => store.segments_in_use(site)?,
    };
    let is_meant = |segment_id| segments.iter().any(|segment| segment.segment_id == segment_id);
    let explained =
        explain(store, site, &[profile_id], is_meant)?.pop().map(|(_, explained)| explained).unwrap_or_default();
    let stored = memberships(store, site, profile_id)?;
    let mut told = Vec::new();
    for segment in &segments {
        let Some(found) = explained.iter().find(|explained| explained.segment_id == segment.segment_id) else {
            // A list has no rule that could be taken apart: it says itself who is in it.
            let since = stored.get(&segment.segment_id);
            let because = if since.is_some() { "on the list" } else { "not on the list" };
            match (key, json) {
                (None, _) if since.is_none() => {}
                (_, true) => told.push(json!({
                    "segment": segment.key, "member": since.is_some(), "since": since, "because": because,
                })),
                (_, false) => {
                    println!("{} {}: {because}", if since.is_some() { "in " } else { "not in" }, segment.key);
                }
            }
            continue;
        };
        if key.is_none() && !found.member {
            continue;
        }
        let because = found.because(site);
        if json {
            told.push(json!({
                "segment": segment.key, "member": found.member, "since": found.since, "as_of": found.as_of,
                "because": because, "explanation": found.explanation,
            }));
            continue;
        }
        println!("{} {}: {because}", if found.member { "in " } else { "not in" }, segment.key);
        if key.is_some() {
            print_clauses(&found.explanation, 1);
        }
    }
    if json {
        println!("{:#}", Value::from(told));
    }
    Ok(())
}

fn print_clauses(explanation: &Explanation, depth: usize) {
    let mark = if explanation.holds { "yes" } else { "no " };
    println!("{}{mark}  {}", "  ".repeat(depth), explanation.says);
    for part in &explanation.parts {
        print_clauses(part, depth + 1);
    }
}

fn backtest(store: &Store, site: &Site, rule: &Rule, mut days: Vec<Date>, json: bool) -> anyhow::Result<()> {
    let now = instant(crate::intake::clock::now_us());
    if days.is_empty() {
        let this_month = now.to_zoned_datetime(site.time_zone.clone()).date().first_of_month();
        let ends = (0..6).rev().map(|months: i32| this_month.checked_sub(months.months())?.checked_sub(1.day()));
        days = ends.collect::<Result<_, _>>()?;
    }
    let memory_bytes = analysis::Settings::MEMORY_MIB << 20;
    let running = analysis::start(store.clone(), analysis::Settings { memory_bytes, cache: None })?;
    let columns = running.analysis();
    let revision = read_revisions(&mut *store.lend()?, site.site_id)?.revision;
    let needs = store.needs(site, rule)?;
    let mut told = Instant::now();
    while !columns.knows(site.site_id, revision) || columns.keep(site.site_id, &needs) == Keeping::Later {
        if told.elapsed() > Duration::from_secs(2) {
            told = Instant::now();
            let Progress { read, of } = columns.coverage(site.site_id).loading.unwrap_or_default();
            eprintln!("reading everybody into memory: {read} of {of} rows");
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let view = columns.view(site).context("the site is not there any more")?;
    let mut tested = Vec::with_capacity(days.len());
    for day in days {
        let as_of = (end_of(site, day) - SignedDuration::from_secs(1)).min(now);
        let plans = crate::segments::plans(store, site, &view, rule, as_of, now)?;
        let answers = view.backtest(&plans, &[rule::second(as_of)]);
        tested.extend(answers.into_iter().map(|answer| (day, answer)));
    }
    if json {
        let told: Vec<Value> = tested
            .iter()
            .map(|(day, answer)| json!({ "day": day, "members": answer.members, "everybody": answer.everybody }))
            .collect();
        println!("{:#}", Value::from(told));
        return Ok(());
    }
    println!("{rule}");
    println!(
        "{:<12}{:>9}{:>9}{:>14}{:>22}{:>22}",
        "end of", "people", "of", "revenue", "ordered in 30 days", "all people"
    );
    let share = |part: u64, whole: u64| {
        if whole == 0 { "–".to_owned() } else { format!("{:.1} %", 100.0 * part as f64 / whole as f64) }
    };
    for (day, Backtested { members, everybody, .. }) in tested {
        let revenue = Money { minor: members.revenue_minor, currency: site.currency }.decimal();
        println!(
            "{day:<12}{:>9}{:>9}{revenue:>14}{:>22}{:>22}",
            members.people,
            everybody.people,
            share(members.ordered_30, members.people),
            share(everybody.ordered_30, everybody.people),
        );
    }
    if !view.coverage().complete {
        eprintln!("some detail of long ago was left out: it did not fit into memory");
    }
    Ok(())
}

fn members(store: &Store, site: &Site, key: &str, form: Form) -> anyhow::Result<()> {
    let segment = store.segment_named(site, key)?;
    let mut connection = store.lend()?;
    let in_all = read_sizes(&mut connection, site.site_id, [segment.segment_id])?
        .members
        .get(&segment.segment_id)
        .copied()
        .unwrap_or(0);
    let mut out = BufWriter::new(std::io::stdout().lock());
    if form == Form::Csv {
        writeln!(out, "profile_id,user_id,email,since,orders,revenue_{},last_seen", site.currency)?;
    }
    let (mut after, mut written) = (i64::MIN, 0_u64);
    loop {
        let rows = read_members(&mut connection, site.site_id, segment.segment_id, after, PART)?;
        let Some(last) = rows.last() else { break };
        after = last.profile_id;
        written += rows.len() as u64;
        for row in &rows {
            let revenue = Money { minor: row.revenue_minor, currency: site.currency };
            let (since, last_seen) = (from_timestamp(row.entered_at), from_timestamp(row.last_seen));
            if form == Form::Json {
                let told = json!({
                    "profile_id": row.profile_id, "user_id": row.user_id, "email": row.email, "since": since,
                    "orders": row.orders, "revenue": revenue, "last_seen": last_seen,
                });
                writeln!(out, "{told}")?;
                continue;
            }
            let cells = [
                row.profile_id.to_string(),
                row.user_id.clone().unwrap_or_default(),
                row.email.clone().unwrap_or_default(),
                since.to_string(),
                row.orders.to_string(),
                revenue.decimal(),
                last_seen.to_string(),
            ];
            writeln!(out, "{}", domain::report::csv_line(&cells))?;
        }
        out.flush()?;
        eprintln!("{written} of {in_all} members");
    }
    Ok(())
}
