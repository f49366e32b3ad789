//! Orders from a file: each line becomes an event and goes the way of all others.
//!
//! A line's event has an id of its own that follows from what it says, so that the same file stores nothing twice:
//! the time is the order's, the rest a hash of order id, or, without one, of customer, time, total, currency and the
//! occurrence number among equal lines.

use crate::cli::say;
use crate::intake::screen;
use crate::intake::{Reason, clock, source};
use crate::store::Store;
use crate::store::events::{EventKey, Kind, NewEvent, Term, flags};
use crate::store::identities::Who;
use crate::store::ingest::{Ingest, Receipt, SiteBatch};
use crate::store::sites::Site;
use anyhow::{Context, bail};
use domain::event::ORDER_COMPLETED;
use domain::identity::{Kind as IdentityKind, normalise};
use domain::money::{Currency, Money};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Lines of one transaction.
const LINES_AT_ONCE: usize = 2_000;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The fields of an order, and the column names they are looked for under.
const FIELDS: [(&str, &[&str]); 5] = [
    ("customer_id", &["customer_id", "user_id", "customer", "master_id"]),
    ("ordered_at", &["ordered_at", "order_date", "created_at", "date", "timestamp"]),
    ("total", &["total", "amount", "revenue", "value"]),
    ("order_id", &["order_id", "order", "id"]),
    ("currency", &["currency"]),
];

/// Where each field stands in a line.
pub(crate) struct Columns {
    pub(crate) customer_id: usize,
    pub(crate) ordered_at: usize,
    pub(crate) total: usize,
    order_id: Option<usize>,
    pub(crate) currency: Option<usize>,
}

impl Columns {
    pub(crate) fn find(header: &csv::StringRecord, map: Option<&str>) -> anyhow::Result<Columns> {
        let mut mapped: HashMap<&str, &str> = HashMap::new();
        for pair in map.unwrap_or("").split(',').filter(|pair| !pair.trim().is_empty()) {
            let (field, column) = pair.split_once('=').with_context(|| format!("--map {pair}: write field=column"))?;
            let field = field.trim();
            if !FIELDS.iter().any(|(name, _)| *name == field) {
                let names: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
                bail!("--map {pair}: the fields are {}", names.join(", "));
            }
            mapped.insert(field, column.trim());
        }
        let position = |name: &str| header.iter().position(|column| column.trim().eq_ignore_ascii_case(name));
        let find = |field: &str| -> anyhow::Result<Option<usize>> {
            match mapped.get(field) {
                Some(column) => {
                    let found = position(column);
                    Ok(Some(found.with_context(|| {
                        let columns: Vec<&str> = header.iter().collect();
                        format!("--map {field}={column}: the file has the columns {}", columns.join(", "))
                    })?))
                }
                None => {
                    let names = FIELDS.iter().find(|(name, _)| *name == field).map_or(&[][..], |(_, names)| names);
                    Ok(names.iter().find_map(|name| position(name)))
                }
            }
        };
        let need = |field: &str| {
            find(field)?.with_context(|| format!("no column for {field}; name it with --map {field}=COLUMN"))
        };
        Ok(Columns {
            customer_id: need("customer_id")?,
            ordered_at: need("ordered_at")?,
            total: need("total")?,
            order_id: find("order_id")?,
            currency: find("currency")?,
        })
    }
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Lines read, without the header.
    pub read: u64,
    /// Orders that are new.
    pub stored: u64,
    /// Orders that were there.
    pub duplicate: u64,
    /// Lines that make no sense.
    pub rejected: u64,
}

/// Imports a file of orders and prints what became of its lines.
///
/// # Errors
/// When the file, its header or the database cannot be used; what was committed until then stays, and the same call
/// goes on from there.
pub fn orders(
    store: &Store,
    site_name: &str,
    path: &Path,
    map: Option<&str>,
    rejected: Option<PathBuf>,
) -> anyhow::Result<()> {
    let site = Arc::new(store.site_named(site_name)?);
    let (input, size): (Box<dyn Read>, Option<u64>) = if path == Path::new("-") {
        (Box::new(std::io::stdin()), None)
    } else {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let size = file.metadata().ok().map(|metadata| metadata.len()).filter(|size| *size > 0);
        (Box::new(file), size)
    };
    let rejected = rejected.unwrap_or_else(|| match path.to_str() {
        Some("-") => PathBuf::from("orders.rejected.csv"),
        _ => path.with_extension("rejected.csv"),
    });
    let mut told = Instant::now();
    let imported = import(store, &site, input, map, &rejected, |imported, bytes| {
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            let part = size.map(|size| format!(" {:.0} %", bytes as f64 * 100.0 / size as f64)).unwrap_or_default();
            eprintln!("{}{part} …", summary(imported));
        }
    })?;
    say(&summary(&imported));
    if imported.rejected > 0 {
        say(&format!("rejected lines with their reasons: {}", rejected.display()));
    }
    eprintln!("projecting …");
    crate::projector::drain(store)?;
    Ok(())
}

fn summary(imported: &Imported) -> String {
    let Imported { read, stored, duplicate, rejected } = imported;
    format!("read {read} stored {stored} duplicate {duplicate} rejected {rejected}")
}

/// Reads lines in bounded memory and stores them group by group.
pub(crate) fn import(
    store: &Store,
    site: &Arc<Site>,
    input: impl Read,
    map: Option<&str>,
    rejected_path: &Path,
    mut progress: impl FnMut(&Imported, u64),
) -> anyhow::Result<Imported> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(input);
    let header = reader.headers().context("the file has no header line")?.clone();
    let columns = Columns::find(&header, map)?;
    let source = Arc::from(source::IMPORT);
    let mut connection = store.connect()?;
    let mut ingest = Ingest::new();
    let mut rejected = RejectedFile { path: rejected_path, header: &header, writer: None };
    let mut imported = Imported::default();
    let mut occurrences: HashMap<uuid::Uuid, u32> = HashMap::new();
    let mut events = Vec::new();
    let mut rejections = Vec::new();
    let mut months = BTreeSet::new();
    let mut record = csv::ByteRecord::new();
    loop {
        let more = reader.read_byte_record(&mut record).context("the file cannot be read on")?;
        if more {
            imported.read += 1;
            let line = record.position().map_or(0, csv::Position::line);
            match order(&record, &columns, site, &source, &mut occurrences) {
                Ok(event) => events.push(event),
                Err(fault) => {
                    rejected.write(line, &fault.detail, &record)?;
                    rejections.push(fault.at_line(line).rejection(None));
                }
            }
        }
        if events.len() + rejections.len() >= LINES_AT_ONCE || !more {
            ensure_months(store, &events, &mut months)?;
            let batch = SiteBatch {
                site: Arc::clone(site),
                source: Arc::clone(&source),
                events: std::mem::take(&mut events),
                rejections: std::mem::take(&mut rejections),
            };
            let receipt = commit(&mut ingest, &mut connection, batch)?;
            imported.stored += u64::from(receipt.stored);
            imported.duplicate += u64::from(receipt.duplicate);
            imported.rejected += u64::from(receipt.rejected);
            progress(&imported, reader.position().byte());
        }
        if !more {
            rejected.finish()?;
            return Ok(imported);
        }
    }
}

fn commit(ingest: &mut Ingest, connection: &mut diesel::PgConnection, batch: SiteBatch) -> anyhow::Result<Receipt> {
    let group = [batch];
    let mut tries = 0;
    loop {
        match ingest.store(connection, &group, clock::now_us(), || ()) {
            Ok(receipts) => return Ok(receipts.first().copied().unwrap_or_default()),
            Err(crate::store::StoreError::Contended(_)) if tries < 5 => tries += 1,
            Err(error) => return Err(error).context("the import stopped; run it again to go on"),
        }
    }
}

/// Makes the months of these events before the first of them is stored.
fn ensure_months(store: &Store, events: &[NewEvent], made: &mut BTreeSet<Date>) -> anyhow::Result<()> {
    let month = |event: &NewEvent| {
        crate::store::instant(event.occurred_at_us).to_zoned_datetime(TimeZone::UTC).date().first_of_month()
    };
    let new: BTreeSet<Date> = events.iter().map(month).filter(|month| !made.contains(month)).collect();
    if !new.is_empty() {
        store.ensure_months(crate::serve::today(), new.iter().copied())?;
        made.extend(new);
    }
    Ok(())
}

fn order(
    record: &csv::ByteRecord,
    columns: &Columns,
    site: &Site,
    source: &Arc<str>,
    occurrences: &mut HashMap<uuid::Uuid, u32>,
) -> Result<NewEvent, screen::Fault> {
    let record = csv::StringRecord::from_byte_record(record.clone())
        .map_err(|_| screen::Fault::new(Reason::BadText, "the line is not valid UTF-8"))?;
    let field = |column: usize, name: &str| match record.get(column).map(str::trim) {
        Some(text) => screen::clean(text, name),
        None => Err(screen::Fault::new(Reason::Unreadable, format!("the line has no {name}"))),
    };
    let optional = |column: Option<usize>| column.and_then(|column| record.get(column)).map_or("", str::trim);
    let customer = normalise(IdentityKind::UserId, field(columns.customer_id, "customer_id")?)
        .map_err(|invalid| screen::Fault::new(Reason::MissingIdentity, format!("customer_id {invalid}")))?;
    let ordered_at = field(columns.ordered_at, "ordered_at")?;
    let occurred_at_us = moment(ordered_at, &site.time_zone).ok_or_else(|| {
        let detail = format!("ordered_at {ordered_at:?} is no date; write 2026-11-23 or 2026-11-23T18:30:00Z");
        screen::Fault::new(Reason::DateOutOfRange, detail)
    })?;
    if occurred_at_us < 0 || occurred_at_us > clock::now_us() + 86_400_000_000 {
        let detail = format!("ordered_at {ordered_at:?} is before 1970 or in the future");
        return Err(screen::Fault::new(Reason::DateOutOfRange, detail));
    }
    let currency: Currency = match optional(columns.currency) {
        "" => site.currency,
        text => text.parse().map_err(|error| screen::Fault::new(Reason::BadOrder, format!("currency: {error}")))?,
    };
    let total = field(columns.total, "total")?;
    let total = Money::parse(total, currency)
        .map_err(|error| screen::Fault::new(Reason::BadOrder, format!("total {total:?}: {error}")))?;
    let order_id = match optional(columns.order_id) {
        "" => None,
        text => Some(
            normalise(IdentityKind::Order, screen::clean(text, "order_id")?)
                .map_err(|invalid| screen::Fault::new(Reason::BadOrder, format!("order_id {invalid}")))?,
        ),
    };
    let site_id = site.site_id.to_be_bytes();
    let id = match &order_id {
        Some(order_id) => crate::secrets::hash_id(&[b"order", &site_id, order_id.as_bytes()]),
        None => {
            let says = [
                &b"line"[..],
                &site_id,
                customer.as_bytes(),
                &occurred_at_us.to_be_bytes(),
                &total.minor.to_be_bytes(),
                currency.code().as_bytes(),
            ];
            let equal = crate::secrets::hash_id(&says);
            let occurrence = occurrences.entry(equal).or_default();
            *occurrence += 1;
            crate::secrets::hash_id(&[equal.as_bytes(), &occurrence.to_be_bytes()])
        }
    };
    let mut properties = serde_json::json!({ "total": total.decimal(), "currency": currency.code() });
    if let Some(order_id) = &order_id {
        properties["order_id"] = order_id.as_str().into();
    }
    let key = EventKey::Own(screen::uuid_v7(occurred_at_us, *id.as_bytes()));
    let who = Who::Known { kind: IdentityKind::UserId, value: customer.into() };
    let moment = (occurred_at_us, flags::TRUSTED | flags::IMPORTED);
    let mut event = NewEvent::new(source, Kind::Track, key, who, moment);
    event.order_id = order_id.map(Into::into);
    event.properties = Some(properties.to_string().into());
    event.set(Term::Name, Some(ORDER_COMPLETED.into()));
    Ok(event)
}

/// A date, a date and time in the site's time zone, or a moment with its offset, in µs since 1970.
pub(crate) fn moment(text: &str, time_zone: &TimeZone) -> Option<i64> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(moment.as_microsecond());
    }
    let civil = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(|date| date.at(0, 0, 0, 0))).ok()?;
    Some(civil.to_zoned_datetime(time_zone.clone()).ok()?.timestamp().as_microsecond())
}

/// The file of rejected lines; it is made with the first of them.
struct RejectedFile<'a> {
    path: &'a Path,
    header: &'a csv::StringRecord,
    writer: Option<csv::Writer<BufWriter<File>>>,
}

impl RejectedFile<'_> {
    fn write(&mut self, line: u64, reason: &str, record: &csv::ByteRecord) -> anyhow::Result<()> {
        let unwritable = || format!("cannot write {}; choose another with --rejected", self.path.display());
        if self.writer.is_none() {
            let file = File::create(self.path).with_context(unwritable)?;
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(BufWriter::new(file));
            writer.write_record(["line", "reason"].into_iter().chain(self.header)).with_context(unwritable)?;
            self.writer = Some(writer);
        }
        if let Some(writer) = &mut self.writer {
            let line = line.to_string();
            let told = [line.as_bytes(), reason.as_bytes()];
            writer.write_record(told.into_iter().chain(record.iter())).with_context(unwritable)?;
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        if let Some(writer) = self.writer {
            writer.into_inner().map_err(|error| anyhow::anyhow!("{error}"))?.flush()?;
        }
        Ok(())
    }
}
