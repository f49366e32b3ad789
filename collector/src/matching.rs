//! `segments match`: who is there twice in a file of people, without a database.

mod lines;

use crate::cli::say;
use anyhow::{Context, bail};
use clap::Args;
use domain::matching::{self, Field, Matching, Pair, Progress, Quality, Record, Settings};
use lines::Lines;
use regex_lite::Regex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// So many rejected lines are told one by one; all are counted.
const REJECTED_TOLD: usize = 20;
/// So many pairs are shown with their evidence.
const PAIRS_SHOWN: usize = 5;

/// What `segments match` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// A CSV file with a header line, one record of a person in each line, or `-` for standard input.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Which columns hold what, for example surname=last,date_of_birth=born; others are found by their names. A field
    /// without a column (email=) is left out.
    #[arg(long, value_name = "FIELD=COLUMN,…")]
    map: Option<String>,
    /// A column that tells who each record really is; then precision, recall and F1 are told.
    #[arg(long, value_name = "COLUMN")]
    truth_column: Option<String>,
    /// What of the truth column's value names the person: a regular expression, its first group if it has one. For
    /// rec-17-org and rec-17-dup-0: 'rec-([0-9]+)-'.
    #[arg(long, value_name = "REGEX", requires = "truth_column")]
    truth_pattern: Option<String>,
    /// From this probability on two records are taken for one person, between 0.5 and 1.
    #[arg(long, default_value_t = Settings::default().threshold)]
    threshold: f64,
    /// Decides which pairs beside the likely ones are looked at to learn from; the same number gives the same answer.
    #[arg(long, default_value_t = Settings::default().seed)]
    seed: u64,
    /// Writes the pairs from probability 0.5 on to this CSV file, with what speaks for and against each.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// The names under which columns are found. The first column of the first name counts.
const COLUMNS: [(Field, &[&str]); 14] = [
    (Field::GivenName, &["given_name", "first_name", "firstname", "forename", "givenname"]),
    (Field::Surname, &["surname", "last_name", "lastname", "family_name", "familyname"]),
    (Field::FullName, &["name", "full_name", "fullname", "customer_name"]),
    (Field::Email, &["email", "e_mail", "email_address", "mail"]),
    (Field::Phone, &["phone", "phone_number", "telephone", "mobile", "tel"]),
    (Field::StreetNumber, &["street_number", "house_number", "streetnumber"]),
    (Field::AddressLine1, &["address_1", "address1", "address_line_1", "address_line1", "address", "street"]),
    (Field::AddressLine2, &["address_2", "address2", "address_line_2", "address_line2"]),
    (Field::Suburb, &["suburb", "city", "town", "locality"]),
    (Field::Postcode, &["postcode", "zip", "zip_code", "zipcode", "postal_code", "plz"]),
    (Field::State, &["state", "province", "region", "county"]),
    (Field::Country, &["country", "country_code"]),
    (Field::BirthDate, &["date_of_birth", "dob", "birthday", "birth_date", "birthdate", "born"]),
    (Field::OtherId, &["other_id", "external_id", "loyalty_id"]),
];

/// Where the fields stand in a line.
struct Columns {
    fields: BTreeMap<Field, usize>,
    truth: Option<usize>,
}

impl Columns {
    fn find(header: &[String], map: Option<&str>, truth: Option<&str>) -> anyhow::Result<Columns> {
        let position = |name: &str| header.iter().position(|column| plain(column) == plain(name));
        let need = |option: String, name: &str| {
            position(name).with_context(|| format!("{option}: the file has the columns {}", header.join(", ")))
        };
        let found =
            |(field, names): (Field, &[&str])| names.iter().find_map(|name| position(name)).map(|at| (field, at));
        let mut fields: BTreeMap<Field, usize> = COLUMNS.into_iter().filter_map(found).collect();
        for pair in map.unwrap_or("").split(',').filter(|pair| !pair.trim().is_empty()) {
            let (name, column) = pair.split_once('=').with_context(|| format!("--map {pair}: write field=column"))?;
            let field = Field::from_name(name.trim())
                .with_context(|| format!("--map {pair}: the fields are {}", Field::ALL.map(Field::name).join(", ")))?;
            if column.trim().is_empty() {
                fields.remove(&field);
            } else {
                fields.insert(field, need(format!("--map {pair}"), column)?);
            }
        }
        let truth = truth.map(|column| need(format!("--truth-column {column}"), column)).transpose()?;
        // Who a record really is must not help to find it.
        fields.retain(|_, column| Some(*column) != truth);
        if fields.is_empty() {
            bail!("no column says anything about people; name some with --map, for example --map surname=COLUMN");
        }
        Ok(Columns { fields, truth })
    }
}

/// A column's name as it is looked for: without case, and with one way of parting words.
fn plain(column: &str) -> String {
    column.trim().to_lowercase().replace([' ', '-', '.'], "_")
}

/// A file's people.
struct People {
    header: Vec<String>,
    columns: Columns,
    records: Vec<Record>,
    /// The line of each record.
    lines: Vec<u64>,
    /// Who each record is, as a number; empty without a truth column.
    truth: Vec<u32>,
    rejected: u64,
    first_rejected: Vec<(u64, String)>,
}

/// Reads the file, finds its duplicates and prints them.
///
/// # Errors
/// When an option makes no sense, or the file cannot be read, has no header or no column about people, or the output
/// cannot be written.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    if !(options.threshold >= 0.5 && options.threshold < 1.0) {
        bail!("--threshold {}: write a probability of at least 0.5 and less than 1", options.threshold);
    }
    let start = Instant::now();
    let file = read(options)?;
    let settings = Settings { seed: options.seed, threshold: options.threshold, ..Settings::default() };
    let mut told = start;
    let matching = matching::find(&file.records, &settings, |progress| {
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            match progress {
                Progress::Blocked { pairs } => eprintln!("{pairs} pairs to compare …"),
                Progress::Compared { pairs, of } => {
                    eprintln!("compared {:.0} % …", pairs as f64 * 100.0 / of.max(1) as f64)
                }
                Progress::Fitted { steps } => eprintln!("fitted in {steps} steps …"),
            }
        }
    });
    if let Some(path) = &options.output {
        write(path, &file, &matching).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let above = matching.pairs.iter().take_while(|pair| pair.probability >= options.threshold).count();
    let quality = options.truth_column.as_ref().map(|_| {
        let pairs = matching.pairs.iter().take(above).map(|pair| (pair.a, pair.b));
        (Quality::of_pairs(pairs, &file.truth), Quality::of_clusters(&matching.clusters, &file.truth))
    });
    let seconds = start.elapsed().as_secs_f64();
    if options.json {
        say(&format!("{:#}", as_json(&file, &matching, above, quality, seconds)));
    } else {
        tell(&file, &matching, above, quality, options.threshold);
        eprintln!("in {seconds:.1} s");
    }
    Ok(())
}

fn read(options: &Options) -> anyhow::Result<People> {
    let path = &options.input;
    let input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?)
    };
    let pattern = options.truth_pattern.as_deref();
    let pattern =
        pattern.map(|text| Regex::new(text).with_context(|| format!("--truth-pattern {text}"))).transpose()?;
    let mut lines = Lines::open(BufReader::new(input))?;
    let header = lines.header().to_vec();
    let columns = Columns::find(&header, options.map.as_deref(), options.truth_column.as_deref())?;
    let mut file = People {
        header,
        columns,
        records: Vec::new(),
        lines: Vec::new(),
        truth: Vec::new(),
        rejected: 0,
        first_rejected: Vec::new(),
    };
    let mut people: HashMap<String, u32> = HashMap::new();
    let mut told = Instant::now();
    while let Some((line, values)) = lines.next().context("the file cannot be read on")? {
        match values.and_then(|values| record(&values, &file.columns, pattern.as_ref())) {
            Ok((record, person)) => {
                file.records.push(record);
                file.lines.push(line);
                if let Some(person) = person {
                    let number = people.len() as u32;
                    file.truth.push(*people.entry(person).or_insert(number));
                }
            }
            Err(reason) => {
                file.rejected += 1;
                if file.first_rejected.len() < REJECTED_TOLD {
                    eprintln!("line {line} rejected: {reason}");
                    file.first_rejected.push((line, reason));
                }
            }
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            eprintln!("read {} records …", file.records.len());
        }
    }
    if file.rejected > REJECTED_TOLD as u64 {
        eprintln!("{} lines rejected in all", file.rejected);
    }
    if u32::try_from(file.records.len()).is_err() {
        bail!("the file has {} records, limit {}; match it in parts", file.records.len(), u32::MAX);
    }
    Ok(file)
}

/// One line's record and who it is, or what is wrong with it.
fn record(values: &[String], columns: &Columns, pattern: Option<&Regex>) -> Result<(Record, Option<String>), String> {
    let value = |column: usize| values.get(column).map_or("", |value| value.trim());
    let person = match (columns.truth, pattern) {
        (None, _) => None,
        (Some(column), None) => Some(value(column)),
        (Some(column), Some(pattern)) => {
            let found = pattern.captures(value(column));
            let group = found.and_then(|found| found.get(1).or_else(|| found.get(0)));
            let group = group.ok_or_else(|| format!("{:?} does not fit --truth-pattern", value(column)))?;
            Some(group.as_str())
        }
    };
    if person == Some("") {
        return Err("the truth column names nobody".to_owned());
    }
    let record = Record::new(columns.fields.iter().map(|(field, column)| (*field, value(*column))));
    Ok((record, person.map(str::to_owned)))
}

/// One line for each pair, the most probable first.
fn write(path: &Path, file: &People, matching: &Matching) -> anyhow::Result<()> {
    let mut cluster_of: HashMap<usize, usize> = HashMap::new();
    for (number, cluster) in (1..).zip(&matching.clusters) {
        cluster_of.extend(cluster.iter().map(|place| (*place, number)));
    }
    let mut writer = csv::Writer::from_path(path)?;
    let mut header = vec!["line_a", "line_b", "probability", "bits", "cluster_a", "cluster_b", "evidence"];
    header.extend((!file.truth.is_empty()).then_some("is_right"));
    writer.write_record(header)?;
    for pair in &matching.pairs {
        let cluster = |place| cluster_of.get(&place).map(ToString::to_string).unwrap_or_default();
        let mut values = vec![
            file.lines[pair.a].to_string(),
            file.lines[pair.b].to_string(),
            format!("{:.6}", pair.probability),
            format!("{:.2}", pair.weighed.bits),
            cluster(pair.a),
            cluster(pair.b),
            evidence(pair),
        ];
        if !file.truth.is_empty() {
            values.push((file.truth[pair.a] == file.truth[pair.b]).to_string());
        }
        writer.write_record(values)?;
    }
    writer.flush()?;
    Ok(())
}

/// What a pair starts from and what each comparison adds.
fn evidence(pair: &Pair) -> String {
    let start = format!("before comparing ({:+.1} bits)", pair.weighed.start_bits);
    let home = pair.weighed.household_bits;
    let home = (home < -0.05).then(|| format!("may be two people of one home ({home:+.1} bits)"));
    let rest = pair.weighed.evidence.iter().map(ToString::to_string);
    std::iter::once(start).chain(rest).chain(home).collect::<Vec<_>>().join("; ")
}

fn tell(file: &People, matching: &Matching, above: usize, quality: Option<(Quality, Quality)>, threshold: f64) {
    let used: Vec<String> = file
        .columns
        .fields
        .iter()
        .map(|(field, column)| format!("{field} from {:?}", file.header.get(*column).map_or("", |name| name.trim())))
        .collect();
    say(&format!("fields     {}", used.join(", ")));
    say(&format!("records    {} read, {} lines rejected", file.records.len(), file.rejected));
    let left_out: u64 = matching.blocking.passes.iter().map(|report| report.left_out).sum();
    let note = if left_out > 0 { format!(", {left_out} in oversized blocks left out") } else { String::new() };
    say(&format!("compared   {} pairs{note}", matching.compared));
    for pass in &matching.blocking.not_made {
        say(&format!("           the pass by {} was not made: there were too many pairs before it", pass.name()));
    }
    let model = &matching.model;
    let doubt = if model.converged { "" } else { ", not converged" };
    say(&format!("model      {} in {} steps{doubt}", model.basis.key(), model.log_posterior.len()));
    say(&format!("pairs      {above} from probability {threshold} on, {} from 0.5 on", matching.pairs.len()));
    say(&format!(
        "clusters   {} of {} records, the largest of {}",
        matching.clusters.len(),
        members(matching),
        largest(matching)
    ));
    for pair in matching.pairs.iter().take(PAIRS_SHOWN) {
        let (a, b) = (file.lines[pair.a], file.lines[pair.b]);
        say(&format!("  lines {a} and {b}: {:.4}; {}", pair.probability, evidence(pair)));
    }
    if let Some((pairs, clusters)) = quality {
        say(&format!("{:<10} {:>10} {:>8} {:>8} {:>8} {:>8}", "", "precision", "recall", "F1", "found", "there"));
        for (name, quality) in [("pairs", pairs), ("clusters", clusters)] {
            let (precision, recall, f1) = (quality.precision(), quality.recall(), quality.f1());
            let Quality { found, there, .. } = quality;
            say(&format!("{name:<10} {precision:>10.4} {recall:>8.4} {f1:>8.4} {found:>8} {there:>8}"));
        }
    }
}

fn members(matching: &Matching) -> usize {
    matching.clusters.iter().map(Vec::len).sum()
}

fn largest(matching: &Matching) -> usize {
    matching.clusters.iter().map(Vec::len).max().unwrap_or(0)
}

fn as_json(
    file: &People,
    matching: &Matching,
    above: usize,
    quality: Option<(Quality, Quality)>,
    seconds: f64,
) -> Value {
    let name = |column: &usize| file.header.get(*column).map(|name| name.trim());
    let fields: BTreeMap<&str, _> = file.columns.fields.iter().map(|(field, at)| (field.name(), name(at))).collect();
    let passes = matching.blocking.passes.iter().map(|report| {
        json!({
            "pass": report.pass.name(),
            "new_pairs": report.new_pairs,
            "largest_block": report.largest,
            "oversized_blocks": report.oversized,
            "pairs_left_out": report.left_out,
        })
    });
    let rejected = file.first_rejected.iter().map(|(line, reason)| json!({ "line": line, "reason": reason }));
    let of = |quality: Quality| {
        json!({
            "precision": quality.precision(),
            "recall": quality.recall(),
            "f1": quality.f1(),
            "right": quality.right,
            "found": quality.found,
            "there": quality.there,
        })
    };
    let [one_person, one_household, strangers] = matching.model.shares;
    json!({
        "fields": fields,
        "records": file.records.len(),
        "rejected": { "lines": file.rejected, "first": rejected.collect::<Vec<_>>() },
        "blocking": {
            "pairs": matching.compared,
            "passes": passes.collect::<Vec<_>>(),
            "passes_not_made": matching.blocking.not_made.iter().map(|pass| pass.name()).collect::<Vec<_>>(),
        },
        "model": {
            "basis": matching.model.basis.key(),
            "steps": matching.model.log_posterior.len(),
            "converged": matching.model.converged,
            "shares": { "one_person": one_person, "one_household": one_household, "strangers": strangers },
        },
        "pairs": { "from_threshold": above, "from_0.5": matching.pairs.len() },
        "clusters": { "count": matching.clusters.len(), "records": members(matching), "largest": largest(matching) },
        "quality": quality.map(|(pairs, clusters)| json!({ "pairs": of(pairs), "clusters": of(clusters) })),
        "seconds": seconds,
    })
}
