//! How fast the models are fitted, beside the Python package that most people would use, in one run on one machine.
//!
//! - BG/NBD on the CDNOW sample (2,357 people), by PyPI's `lifetimes` 0.11.3 and by ours, in turns; each fit is timed
//!   inside its own process, so that starting Python and reading the file count for neither. Medians and their ratio.
//! - A million customers drawn from the fitted model: the time to fit each member of the family and to score everybody.
//!
//! `lifetimes` is installed by pip into a virtual environment in the target folder, once.

use anyhow::{Context, Result, bail, ensure};
use domain::segment::predict::{self, Chosen, Fitted, Kind, Method, Occasion, Prior, PurchaseHistory, Summary};
use jiff::civil::{Date, date};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;
use tests::synthetic::{Draws, bg_nbd};

const CDNOW: &str = include_str!("../../../domain/tests/data/cdnow_sample.csv");
/// 1997-09-30, the end of the published calibration, counted from 1997-01-01.
const CALIBRATION_END: i32 = 272;
const LIFETIMES: &str = "lifetimes==0.11.3";
const SEED: u64 = 7;
/// What must hold.
const LEAST_RATIO: f64 = 5.0;
const MOST_SECONDS: f64 = 10.0;

/// Reads the customers, then fits them once for each line it is sent and answers with seconds and parameters.
const SCRIPT: &str = r#"
import sys, time, warnings
warnings.filterwarnings("ignore")
import pandas
from lifetimes import BetaGeoFitter
people = pandas.read_csv(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    fitter = BetaGeoFitter(penalizer_coef=0.0)
    fitter.fit(people["frequency"], people["recency"], people["T"])
    seconds = time.perf_counter() - start
    print(seconds, *[float(fitter.params_[name]) for name in ("r", "alpha", "a", "b")], flush=True)
"#;

fn main() -> Result<()> {
    let (mut rounds, mut customers) = (9, 1_000_000);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a number"))?;
        let number: usize = value.parse().with_context(|| format!("{name} {value}: no number"))?;
        match name.as_str() {
            "--rounds" => rounds = number.max(1),
            "--customers" => customers = number.max(1),
            _ => bail!("{name}: the options are --rounds, --customers"),
        }
    }
    let people = cdnow()?;
    let folder = folder()?;
    let mut lifetimes = Lifetimes::start(&folder, &people)?;
    println!("{rounds} rounds of each; {} people of the CDNOW sample", people.len());
    // The first fit of either warms caches and is not counted.
    lifetimes.fit()?;
    let mut fitted = predict::fit(Kind::BgNbd, &people, Prior::None);
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let (seconds, params) = lifetimes.fit()?;
        let start = Instant::now();
        fitted = predict::fit(Kind::BgNbd, &people, Prior::None);
        let own = start.elapsed().as_secs_f64();
        for (own, their) in fitted.params.iter().zip(params) {
            ensure!((own / their - 1.0).abs() < 0.01, "the fits differ: {:?} and {params:?}", fitted.params);
        }
        println!("round {round}: lifetimes {:.1} ms, ours {:.2} ms", seconds * 1e3, own * 1e3);
        theirs.push(seconds);
        ours.push(own);
    }
    let (theirs, ours) = (median(&mut theirs), median(&mut ours));
    let ratio = theirs / ours;
    println!();
    println!("{:<48}{:>10.2} ms", format!("BG/NBD by {LIFETIMES}, median"), theirs * 1e3);
    println!("{:<48}{:>10.2} ms", "BG/NBD by ours, median", ours * 1e3);
    println!("{:<48}{ratio:>10.1} times as fast (must be {LEAST_RATIO} or more)", "");
    println!();

    let seconds = million(&fitted, customers)?;
    ensure!(ratio >= LEAST_RATIO, "ours is only {ratio:.1} times as fast as {LIFETIMES}; it must be {LEAST_RATIO}");
    ensure!(seconds <= MOST_SECONDS, "fitting {customers} customers took {seconds:.1} s; it may take {MOST_SECONDS} s");
    Ok(())
}

/// Times everything on customers drawn from the fitted model; returns the seconds of the BG/NBD fit.
fn million(fitted: &Fitted, customers: usize) -> Result<f64> {
    let mut draws = Draws::of(SEED);
    let people: Vec<Summary> = (0..customers).map(|_| bg_nbd(&mut draws, &fitted.params, 730.0)).collect();
    println!("{customers} customers drawn from it (seed {SEED}), come within two years");
    let tell = |what: &str, seconds: f64| println!("{what:<48}{seconds:>10.2} s");
    let mut of_bg_nbd = 0.0;
    for kind in Kind::ALL {
        let start = Instant::now();
        let again = predict::fit(kind, &people, Prior::None);
        let seconds = start.elapsed().as_secs_f64();
        tell(&format!("fit {}", kind.name()), seconds);
        if kind == Kind::BgNbd {
            of_bg_nbd = seconds;
            println!("  drawn with {:.4?}, found {:.4?}", fitted.params, again.params);
        }
    }
    let start = Instant::now();
    predict::fit_spend(&people, Prior::None);
    tell("fit Gamma-Gamma", start.elapsed().as_secs_f64());
    let chosen = Chosen::with(Method::DEFAULT, &people);
    let start = Instant::now();
    let predictions = chosen.score_all(&people);
    tell(&format!("score everybody by {}", chosen.method.name()), start.elapsed().as_secs_f64());
    ensure!(predictions.len() == people.len(), "{} predictions", predictions.len());
    println!("{:<48}{of_bg_nbd:>10.2} s (BG/NBD; may take {MOST_SECONDS} s)", "");
    Ok(of_bg_nbd)
}

/// The sample's customers as of the end of the published calibration.
fn cdnow() -> Result<Vec<Summary>> {
    let mut reader = csv::Reader::from_reader(CDNOW.as_bytes());
    let mut orders: BTreeMap<i64, Vec<Occasion>> = BTreeMap::new();
    for line in reader.deserialize::<(String, i64, Date, u32, f64)>() {
        let (_, customer, day, _, spend) = line?;
        orders.entry(customer).or_default().push(Occasion { day: (day - date(1997, 1, 1)).get_days(), spend });
    }
    Ok(orders.into_values().filter_map(|orders| PurchaseHistory::new(orders).summary(CALIBRATION_END)).collect())
}

/// The folder of this benchmark inside the target folder.
fn folder() -> Result<PathBuf> {
    let own = std::env::current_exe().context("the path of this program")?;
    // target/release/bench-models
    let target = own.ancestors().nth(2).context("a target folder")?;
    let folder = target.join("bench-models");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// A running Python with `lifetimes`.
struct Lifetimes {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Lifetimes {
    fn start(folder: &Path, people: &[Summary]) -> Result<Lifetimes> {
        let python = install(folder)?;
        let mut csv = "frequency,recency,T\n".to_owned();
        for person in people {
            writeln!(csv, "{},{},{}", person.repeats, person.recency_weeks, person.age_weeks)?;
        }
        let file = folder.join("cdnow.csv");
        std::fs::write(&file, csv)?;
        let mut child = Command::new(&python)
            .arg("-c")
            .arg(SCRIPT)
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", python.display()))?;
        let ask = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("its output")?);
        let mut lifetimes = Lifetimes { child, ask, answers };
        let ready = lifetimes.line()?;
        ensure!(ready == "ready", "lifetimes did not start: {ready:?}; remove {} and try again", folder.display());
        Ok(lifetimes)
    }

    /// Seconds and r, alpha, a, b of one fit.
    fn fit(&mut self) -> Result<(f64, [f64; 4])> {
        let ask = self.ask.as_mut().context("its input")?;
        writeln!(ask, "fit")?;
        ask.flush()?;
        let line = self.line()?;
        let numbers: Vec<f64> =
            line.split(' ').map(str::parse).collect::<Result<_, _>>().with_context(|| line.clone())?;
        match numbers[..] {
            [seconds, r, alpha, a, b] => Ok((seconds, [r, alpha, a, b])),
            _ => bail!("lifetimes answered {line:?}"),
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Lifetimes {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.ask = None;
        let _ = self.child.wait();
    }
}

/// A Python that has `lifetimes`; made once.
fn install(folder: &Path) -> Result<PathBuf> {
    let environment = folder.join("venv");
    let python = environment.join("bin/python");
    let has_it = |python: &Path| {
        let asked = Command::new(python).args(["-c", "import lifetimes"]).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    if has_it(&python) {
        return Ok(python);
    }
    println!("installing {LIFETIMES} into {}", environment.display());
    let needs = "this needs Python 3 with venv and pip (Debian: apt-get install python3-venv) and the PyPI registry";
    let made = Command::new("python3").args(["-m", "venv"]).arg(&environment).status();
    ensure!(made.is_ok_and(|status| status.success()), "python3 -m venv failed; {needs}");
    let installed = Command::new(&python).args(["-m", "pip", "install", "--quiet", LIFETIMES]).status();
    ensure!(installed.is_ok_and(|status| status.success()), "pip install {LIFETIMES} failed; {needs}");
    ensure!(has_it(&python), "{LIFETIMES} is installed and cannot be imported with this Python");
    Ok(python)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
