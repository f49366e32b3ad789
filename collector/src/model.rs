//! Predictions from a file of orders: what the models make of it, and how good they are on what came after a day.

use crate::cli::say;
use crate::import::{moment, order_columns};
use anyhow::{Context, bail};
use domain::segment::predict::{
    self, Fitted, Kind, Measures, Method, Occasion, Prior, PurchaseHistory, Spend, Summary,
};
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use serde_json::json;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

/// Decides who is in the trials of files with very many customers; fixed, so that the same file gives the same answer.
const SEED: u64 = 1;

/// Days are numbered from here; day and date are those that the file says, in UTC where it says a moment.
const DAY_0: Date = date(1970, 1, 1);

/// Customers with their orders.
struct Orders {
    histories: Vec<PurchaseHistory>,
    last_day: i32,
}

/// Fits every model without a prior, as the papers do, and chooses a method; prints both.
///
/// # Errors
/// When the file cannot be read, has no column for a field, or no order until the end of the calibration.
pub(crate) fn fit(path: &Path, map: Option<&str>, calibration_end: Option<Date>, json: bool) -> anyhow::Result<()> {
    let orders = read(path, map)?;
    let end = calibration_end.map_or(orders.last_day, day_number);
    let summaries = summaries(&orders.histories, end)?;
    let repeats: u64 = summaries.iter().map(|summary| u64::from(summary.repeats)).sum();
    let start = Instant::now();
    eprintln!("fitting {} customers …", summaries.len());
    let members: Vec<Fitted> = Kind::ALL.into_iter().map(|kind| predict::fit(kind, &summaries, Prior::None)).collect();
    let spend = predict::fit_spend(&summaries, Prior::None);
    let fitted_s = start.elapsed().as_secs_f64();
    let chosen = predict::choose(&orders.histories, end, SEED);
    eprintln!("fitted in {fitted_s:.1} s, with the choice of a method {:.1} s", start.elapsed().as_secs_f64());
    if json {
        let models: serde_json::Map<String, serde_json::Value> = members.iter().map(model).collect();
        let told = json!({
            "customers": summaries.len(),
            "repeat_orders": repeats,
            "calibration_end": day(end),
            "models": models,
            "gamma_gamma": spend_model(&spend),
            "chosen": {
                "method": chosen.method.name(),
                "basis": chosen.basis,
                "level_error": chosen.level_error,
                "models": chosen.members.iter().map(model).collect::<serde_json::Map<_, _>>(),
                "gamma_gamma": spend_model(&chosen.spend),
            },
        });
        say(&format!("{told:#}"));
        return Ok(());
    }
    say(&format!("{} customers with {repeats} repeat orders until {}; times in weeks", summaries.len(), day(end)));
    for fitted in &members {
        let params = fitted.kind.parameters().iter().zip(fitted.params);
        let params: Vec<String> = params.map(|(name, value)| format!("{name} {value:.4}")).collect();
        say(&row(fitted.kind.name(), fitted.log_likelihood, &params.join("  "), fitted.converged));
    }
    let params = format!("p {:.4}  q {:.4}  v {:.4}", spend.p, spend.q, spend.v);
    say(&row("Gamma-Gamma", spend.log_likelihood, &params, spend.converged));
    say(&format!("method  {}", chosen.method.name()));
    Ok(())
}

/// Chooses a method on what was known at the end of a day and prints how it and others did until the last order.
///
/// # Errors
/// As [`fit()`]; and when the file has no order after that day.
pub(crate) fn evaluate(path: &Path, map: Option<&str>, calibration_end: Date, json: bool) -> anyhow::Result<()> {
    let orders = read(path, map)?;
    let end = day_number(calibration_end);
    summaries(&orders.histories, end)?;
    if orders.last_day <= end {
        bail!(
            "--calibration-end {calibration_end}: the last order is of {}; choose a day before it",
            day(orders.last_day)
        );
    }
    let evaluation = predict::evaluate(&orders.histories, end, orders.last_day, SEED);
    let method = evaluation.chosen.method;
    if json {
        let mut told = serde_json::to_value(&evaluation).context("the evaluation cannot be written as JSON")?;
        told["calibration_end"] = json!(day(end));
        told["holdout_end"] = json!(day(orders.last_day));
        told["method"] = json!(method.name());
        told["basis"] = json!(evaluation.chosen.basis);
        say(&format!("{told:#}"));
        return Ok(());
    }
    say(&format!(
        "{} customers known on {}; {} orders in the {} days after it",
        evaluation.people,
        day(end),
        evaluation.actual_orders,
        evaluation.holdout_days
    ));
    say(&format!("{:<48}{:>12}{:>8}{:>10}{:>11}", "", "total error", "MAE", "Spearman", "top tenth"));
    for line in &evaluation.lines {
        let Measures { total_error, mae, spearman, top_decile } = line.measures;
        let (total, top) = (total_error * 100.0, top_decile * 100.0);
        say(&format!("{:<48}{total:>10.1} %{mae:>8.3}{spearman:>10.3}{top:>9.1} %", line.name));
    }
    let total = evaluation.total;
    say(&format!("predicted in all  {:.0}, with 80 % probability {:.0} to {:.0}", total.orders, total.low, total.high));
    say(&format!("80 % intervals    hold {:.1} %", evaluation.coverage * 100.0));
    if evaluation.chosen.trials.is_empty() {
        say(&format!("too few orders for trials: {} is what every young site gets", Method::DEFAULT.name()));
    }
    Ok(())
}

fn row(name: &str, log_likelihood: f64, params: &str, converged: bool) -> String {
    let doubt = if converged { "" } else { "  (no maximum found: too few data for it)" };
    format!("{name:<12}  log-likelihood {log_likelihood:>14.4}  {params}{doubt}")
}

fn model(fitted: &Fitted) -> (String, serde_json::Value) {
    let params = fitted.kind.parameters().iter().zip(fitted.params);
    let params: serde_json::Map<_, _> = params.map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let told = json!({ "params": params, "log_likelihood": fitted.log_likelihood, "converged": fitted.converged });
    (fitted.kind.key().to_owned(), told)
}

fn spend_model(spend: &Spend) -> serde_json::Value {
    json!({
        "params": { "p": spend.p, "q": spend.q, "v": spend.v },
        "log_likelihood": spend.log_likelihood,
        "customers": spend.customers,
        "converged": spend.converged,
    })
}

fn summaries(histories: &[PurchaseHistory], end: i32) -> anyhow::Result<Vec<Summary>> {
    let summaries: Vec<Summary> = histories.iter().filter_map(|history| history.summary(end)).collect();
    if summaries.is_empty() {
        bail!("no order until {}; choose a later --calibration-end", day(end));
    }
    Ok(summaries)
}

fn day_number(day: Date) -> i32 {
    (day - DAY_0).get_days()
}

fn day(number: i32) -> Date {
    DAY_0.saturating_add(jiff::Span::new().days(i64::from(number).clamp(-4_000_000, 4_000_000)))
}

/// Reads a file's orders. Lines that make no sense are left out and told of.
fn read(path: &Path, map: Option<&str>) -> anyhow::Result<Orders> {
    let input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?)
    };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(input);
    let header = reader.headers().context("the file has no header line")?.clone();
    let names: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    let columns = order_columns(&names, map)?;
    let mut by_customer: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut orders: Vec<Vec<Occasion>> = Vec::new();
    let mut last_day = i32::MIN;
    let mut currency: Option<String> = None;
    let (mut lines, mut skipped, mut first_fault) = (0_u64, 0_u64, None);
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).context("the file cannot be read on")? {
        lines += 1;
        match order(&record, columns, &mut currency) {
            Ok((customer, occasion)) => {
                last_day = last_day.max(occasion.day);
                let at = *by_customer.entry(customer).or_insert_with(|| {
                    orders.push(Vec::new());
                    orders.len() - 1
                });
                if let Some(orders) = orders.get_mut(at) {
                    orders.push(occasion);
                }
            }
            Err(fault) => {
                skipped += 1;
                let line = record.position().map_or(0, csv::Position::line);
                first_fault.get_or_insert_with(|| format!("line {line}: {fault}"));
            }
        }
    }
    if let Some(fault) = first_fault {
        eprintln!("left out {skipped} of {lines} lines, the first of them {fault}");
    }
    if orders.is_empty() {
        bail!("the file has no order that can be read");
    }
    Ok(Orders { histories: orders.into_iter().map(PurchaseHistory::new).collect(), last_day })
}

/// One line's customer and order, or what is wrong with it.
fn order(
    record: &csv::ByteRecord,
    (customer, ordered_at, total, named_currency): (usize, usize, usize, Option<usize>),
    currency: &mut Option<String>,
) -> Result<(Vec<u8>, Occasion), String> {
    let field = |column: usize, name: &str| {
        let bytes = record.get(column).ok_or_else(|| format!("the line has no {name}"))?;
        std::str::from_utf8(bytes).map(str::trim).map_err(|_| format!("{name} is not valid UTF-8"))
    };
    let customer = field(customer, "customer_id")?;
    if customer.is_empty() {
        return Err("customer_id is empty".to_owned());
    }
    let ordered_at = field(ordered_at, "ordered_at")?;
    let moment = moment(ordered_at, &TimeZone::UTC)
        .ok_or_else(|| format!("ordered_at {ordered_at:?} is no date; write 2026-11-23 or 2026-11-23T18:30:00Z"))?;
    let day = i32::try_from(moment.div_euclid(86_400_000_000)).unwrap_or(i32::MAX);
    let total = field(total, "total")?;
    let spend = total.parse::<f64>().ok().filter(|spend| spend.is_finite());
    let spend = spend.ok_or_else(|| format!("total {total:?} is no amount; write 19.90"))?;
    if let Some(column) = named_currency {
        let code = field(column, "currency")?;
        if currency.get_or_insert_with(|| code.to_owned()) != code {
            return Err(format!("currency {code:?} is another than that of the first line"));
        }
    }
    Ok((customer.as_bytes().to_vec(), Occasion { day, spend }))
}
