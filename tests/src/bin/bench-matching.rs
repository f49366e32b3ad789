//! How well and how fast duplicates are found: among 100,000 made-up people with realistic errors, and in FEBRL's first
//! data set (1,000 records, without the social security number).
//!
//! Each is matched with the default settings. The peak of memory is the process's own (VmHWM) and holds the records, too.
//! `--write FILE` also writes the made-up people as CSV, for `segments match --input FILE --truth-column person`.

use anyhow::{Context, Result, bail, ensure};
use domain::matching::{Field, Matching, Pass, Progress, Quality, Record, Settings, find};
use std::path::PathBuf;
use std::time::Instant;
use tests::people::{People, Values};

const FEBRL: &[u8] = include_bytes!("../../../domain/tests/data/febrl1.csv");
const SEED: u64 = 11;
/// What must hold.
const LEAST_F1_OF_FEBRL: f64 = 0.99;
const LEAST_F1: f64 = 0.90;
const LEAST_PRECISION: f64 = 0.98;

fn main() -> Result<()> {
    let (mut people, mut seed, mut write) = (100_000_u32, SEED, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().with_context(|| format!("{name} {value}: no number"));
        match name.as_str() {
            "--people" => people = u32::try_from(number()?).with_context(|| format!("--people {value}: too many"))?,
            "--seed" => seed = number()?,
            "--write" => write = Some(PathBuf::from(&value)),
            _ => bail!("{name}: the options are --people, --seed, --write"),
        }
    }
    let (records, truth) = febrl()?;
    let febrl = measure("FEBRL 1", &records, &truth)?;
    drop(records);

    let (mut records, mut truth) = (Vec::new(), Vec::new());
    let mut file = write.map(csv::Writer::from_path).transpose()?;
    if let Some(file) = &mut file {
        file.write_record(std::iter::once("person").chain(Field::ALL.map(Field::name)))?;
    }
    let mut written = Ok(());
    People::of(seed).records(people, |person, values| {
        records.push(Record::new(values.iter().map(|(field, value)| (*field, value.as_str()))));
        truth.push(person);
        if let (Some(file), Ok(())) = (&mut file, &written) {
            written = write_line(file, person, &values);
        }
    });
    written?;
    let made_up = measure(&format!("{people} made-up people (seed {seed})"), &records, &truth)?;
    ensure!(febrl.f1() >= LEAST_F1_OF_FEBRL, "FEBRL's F1 is {:.4}; it must be {LEAST_F1_OF_FEBRL}", febrl.f1());
    ensure!(made_up.f1() >= LEAST_F1, "F1 is {:.4}; it must be {LEAST_F1}", made_up.f1());
    ensure!(
        made_up.precision() >= LEAST_PRECISION,
        "precision is {:.4}; it must be {LEAST_PRECISION}",
        made_up.precision()
    );
    Ok(())
}

fn write_line(file: &mut csv::Writer<std::fs::File>, person: u32, values: &Values) -> Result<()> {
    let value = |field| values.iter().find(|(own, _)| *own == field).map_or("", |(_, value)| value);
    let person = person.to_string();
    file.write_record(std::iter::once(person.as_str()).chain(Field::ALL.map(value)))?;
    Ok(())
}

/// FEBRL's records with the person that each is.
fn febrl() -> Result<(Vec<Record>, Vec<u32>)> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(FEBRL);
    let fields: Vec<Option<Field>> = reader.headers()?.iter().map(Field::from_name).collect();
    let (mut records, mut truth) = (Vec::new(), Vec::new());
    for line in reader.records() {
        let line = line?;
        let values = fields.iter().zip(&line).filter_map(|(field, value)| field.map(|field| (field, value)));
        records.push(Record::new(values));
        let person = line.get(0).and_then(|id| id.split('-').nth(1)).context("a rec_id like rec-7-org")?;
        truth.push(person.parse()?);
    }
    Ok((records, truth))
}

fn measure(what: &str, records: &[Record], truth: &[u32]) -> Result<Quality> {
    let start = Instant::now();
    println!("{what}: {} records", records.len());
    let settings = Settings::default();
    let matching = find(records, &settings, |progress| match progress {
        Progress::Blocked { pairs } => println!("  {:>7.2} s  {pairs} pairs to compare", start.elapsed().as_secs_f64()),
        Progress::Compared { pairs, of } if pairs == of => {
            println!("  {:>7.2} s  compared", start.elapsed().as_secs_f64());
        }
        Progress::Compared { .. } => {}
        Progress::Fitted { steps } => println!("  {:>7.2} s  fitted in {steps} steps", start.elapsed().as_secs_f64()),
    });
    let seconds = start.elapsed().as_secs_f64();
    tell(&matching, truth, &settings);
    println!("  {:<28}{seconds:>9.2} s", "time");
    println!("  {:<28}{:>9.0} MiB", "peak memory (VmHWM)", peak_mib()?);
    Ok(Quality::of_clusters(&matching.clusters, truth))
}

fn tell(matching: &Matching, truth: &[u32], settings: &Settings) {
    let left_out: u64 = matching.blocking.passes.iter().map(|report| report.left_out).sum();
    let made = matching.blocking.passes.len();
    println!("  {made} of {} passes, {left_out} pairs of oversized blocks left out", Pass::ALL.len());
    let [one, home, _] = matching.model.shares;
    println!(
        "  model from {}: one person {one:.2e}, one household {home:.2e} of all pairs",
        matching.model.basis.key()
    );
    let above = matching.pairs.iter().filter(|pair| pair.probability >= settings.threshold);
    let pairs = Quality::of_pairs(above.map(|pair| (pair.a, pair.b)), truth);
    let told = Quality::of_pairs(matching.pairs.iter().map(|pair| (pair.a, pair.b)), truth);
    let clusters = Quality::of_clusters(&matching.clusters, truth);
    println!("  {:<28}{:>9}{:>11}{:>9}{:>9}", "", "pairs", "precision", "recall", "F1");
    let rows = [("clusters", clusters), ("pairs from .95", pairs), ("pairs from .5", told)];
    for (name, quality) in rows {
        let (precision, recall, f1) = (quality.precision(), quality.recall(), quality.f1());
        println!("  {name:<28}{:>9}{precision:>11.4}{recall:>9.4}{f1:>9.4}", quality.found);
    }
}

/// The most memory that this process has had.
fn peak_mib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("no /proc on this system")?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    Ok(kib.context("no VmHWM")?.trim().parse::<f64>()? / 1024.0)
}
