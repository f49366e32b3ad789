//! What would become of a file, told from its first lines.

use super::fields::{Field, Fields, Form, Kind};
use super::format::{Cell, FormatError, Line, Lines};
use super::maker::Maker;
use super::mapping::{Layout, Mapping, MappingError};
use super::{customers, newsletter, number};
use crate::intake::clock;
use crate::store::events::{Kind as EventKind, NewEvent, Term};
use crate::store::identities::Who;
use crate::store::sites::Site;
use domain::identity::{Kind as IdentityKind, normalise};
use domain::report::{ImportFault, ImportField, ImportPreview, ImportedEvent};
use std::io::Read;
use std::sync::Arc;

/// What is shown of each.
const EVENTS: usize = 8;
const FAULTS: usize = 20;
const EXAMPLES: usize = 3;
/// Letters of an example.
const LETTERS: usize = 60;

/// Looks at the first lines of a file, as [`Lines::ahead`] gives them.
///
/// # Errors
/// [`FormatError`] when it is no such file at all. What a mapping lacks is part of the preview.
pub(crate) fn preview(
    site: &Arc<Site>,
    (kind, mapping): (Kind, &Mapping),
    input: Box<dyn Read + '_>,
) -> Result<ImportPreview, FormatError> {
    let mut lines = Lines::open_kind(kind, input)?;
    let (sample, broken) = lines.ahead();
    let (layout, missing) = match Layout::find(kind, &lines.columns, mapping) {
        Ok(layout) => {
            let missing = layout.missing(kind, mapping);
            (layout, missing)
        }
        Err(error) => (Layout::default(), vec![error]),
    };
    let mut told = ImportPreview {
        format: lines.format.name().to_owned(),
        fields: kind.fields().iter().map(|field| told_field(kind, field, &layout, &sample)).collect(),
        traits: layout.traits.iter().map(|(name, at)| (*at, name.clone())).collect(),
        left: (0..lines.columns.len()).filter(|at| !layout.uses(*at)).collect(),
        columns: lines.columns,
        event: mapping.event.clone(),
        from: layout.from.clone().or_else(|| mapping.from.clone()),
        missing: missing.iter().map(MappingError::told).collect(),
        doubts: broken.map(|error| error.to_string()).into_iter().chain(doubts(kind, &layout, &sample)).collect(),
        lines: sample.len() as u64,
        events: Vec::new(),
        faults: Vec::new(),
        faulty_lines: 0,
    };
    if told.missing.is_empty() {
        let maker = Maker::new((site, &super::source()), (kind, layout), mapping, &sample, clock::now_us());
        make(maker, sample, &mut told);
    }
    Ok(told)
}

/// Makes the events of all lines; what is shown of them goes into the preview.
fn make(mut maker: Maker, sample: Vec<Line>, told: &mut ImportPreview) {
    let mut group: Vec<Line> = Vec::new();
    for line in sample.into_iter().map(Some).chain([None]) {
        match line {
            Some(line) if !group.is_empty() && maker.goes_on(&group, &line) => group.push(line),
            line => {
                close(&mut maker, &std::mem::take(&mut group), told);
                group.extend(line);
            }
        }
    }
    let time_zone = maker.site.time_zone.clone();
    told.events.extend(maker.take_days().told(EVENTS, &time_zone));
}

fn close(maker: &mut Maker, group: &[Line], told: &mut ImportPreview) {
    let Some(line) = group.first().map(|line| line.number) else { return };
    match maker.events(group) {
        Ok(events) => {
            let room = EVENTS.saturating_sub(told.events.len());
            told.events.extend(events.iter().take(room).map(|event| told_event(line, event)));
        }
        Err(fault) => {
            told.faulty_lines += group.len() as u64;
            if told.faults.len() < FAULTS {
                told.faults.push(ImportFault { line, reason: fault.detail });
            }
        }
    }
}

fn told_event(line: u64, event: &NewEvent) -> ImportedEvent {
    let who = match &event.who {
        Who::Known { kind, value } => format!("{kind} {value}"),
        Who::Measured { .. } => String::new(),
    };
    let tied = event.links.iter().map(|link| format!(", {} {}", link.kind, link.value));
    let name = match event.kind {
        EventKind::Track => event.text(Term::Name).map_or("", |name| name),
        EventKind::Identify => "Identify",
        EventKind::Page | EventKind::Snapshot | EventKind::Group | EventKind::Alias | EventKind::Screen => {
            event.kind.label()
        }
    };
    ImportedEvent {
        line,
        at: crate::store::instant(event.occurred_at_us),
        what: name.to_owned(),
        who: who + &tied.collect::<String>(),
        says: event.properties.as_deref().unwrap_or("{}").to_owned(),
    }
}

fn told_field(kind: Kind, field: &Field, layout: &Layout, sample: &[Line]) -> ImportField {
    let mut examples: Vec<String> = Vec::new();
    for line in sample {
        let Some(cell) = layout.cell(line, field.name) else { continue };
        let text: String = cell.shown().chars().take(LETTERS).collect();
        if !examples.contains(&text) {
            examples.push(text);
        }
        if examples.len() == EXAMPLES {
            break;
        }
    }
    // Of the fields that name people one is enough.
    let people = kind.names_people_by();
    let named = people.iter().any(|name| *name != field.name && layout.column(name).is_some());
    ImportField {
        name: field.name.to_owned(),
        label: field.label.to_owned(),
        column: layout.column(field.name),
        needed: field.needed || (people.contains(&field.name) && !named),
        examples,
    }
}

/// Columns of which most lines say something else than what they were taken for.
fn doubts(kind: Kind, layout: &Layout, sample: &[Line]) -> Vec<String> {
    let mut doubts = Vec::new();
    for field in kind.fields().iter().filter(|field| layout.column(field.name).is_some()) {
        let said: Vec<&Cell> = sample.iter().filter_map(|line| layout.cell(line, field.name)).collect();
        let (wrong, what) = (said.iter().filter(|cell| !fits(field.form, cell)).count(), noun(field.form));
        if said.is_empty() && field.needed && !sample.is_empty() {
            doubts.push(format!("{}: the column is empty in all lines that were looked at", field.label));
        } else if wrong * 2 > said.len() {
            let of = format!("{wrong} of {} lines", said.len());
            doubts.push(format!("{}: the column holds no {what} in {of}; is another column meant?", field.label));
        }
        let broken = said.iter().filter(|cell| matches!(cell, Cell::NoText(_))).count();
        if broken > 0 {
            let of = format!("{broken} of {} lines", said.len());
            doubts.push(format!("{}: {of} are not valid UTF-8; save the file as UTF-8", field.label));
        }
    }
    doubts
}

fn fits(form: Form, cell: &Cell) -> bool {
    let text = match (cell, form) {
        (Cell::List(_), Form::List) | (Cell::NoText(_) | Cell::Empty, _) => return true,
        (Cell::List(_), _) => return false,
        (Cell::Text(text), _) => text,
    };
    match form {
        Form::Text => true,
        Form::List => false,
        Form::Moment => super::moment(text, &jiff::tz::TimeZone::UTC).is_some(),
        Form::Amount => number::read(text, number::Mark::Point).is_some(),
        Form::Currency => text.parse::<domain::money::Currency>().is_ok(),
        Form::Email => normalise(IdentityKind::Email, text).is_ok(),
        Form::Day => super::days::day(text, &jiff::tz::TimeZone::UTC).is_some() || text.starts_with('#'),
        Form::Count => number::read(text, number::Mark::Point).is_some() || matches!(text.as_str(), "-" | "--" | "—"),
        Form::Truth => customers::truth(text).is_some(),
        Form::Happening => newsletter::happening(text).is_some(),
    }
}

fn noun(form: Form) -> &'static str {
    match form {
        Form::Text => "text",
        Form::List => "list",
        Form::Moment | Form::Day => "date",
        Form::Amount | Form::Count => "number",
        Form::Currency => "currency",
        Form::Email => "e-mail address",
        Form::Truth => "yes or no",
        Form::Happening => "word for what happens to newsletters",
    }
}
