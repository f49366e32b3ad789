//! Computed traits: all of a site, and the page on which one is written.

use crate::Rendered;
use crate::builder::{FaultView, PhraseGroup};
use crate::format::{self, Format};
use crate::in_use::SweepView;
use crate::people::person_label;
use crate::shell::{Nav, Shell};
use askama::Template;
use domain::report::{ComputedTraitRow, ComputedTraits, Spread, TraitPreview, TraitPreviewPerson, TriedTrait};
use domain::segment::rule::Scalar;

/// What stands in the form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraitForm {
    /// The trait's name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The definition as a sentence, just as it was typed.
    pub says: String,
    /// Why it was not saved, one sentence per problem.
    pub problems: Vec<String>,
}

/// Definitions to begin with: a name, the definition, what it is good for.
const EXAMPLES: &[(&str, &str, &str)] = &[
    ("orders_90_days", "number of orders within 90 days", "Who buys often these days."),
    ("average_order", r#"average "total" of orders"#, "What somebody usually spends."),
    (
        "favourite_category",
        r#"most frequent "category" of "Product Viewed" within 30 days"#,
        "What to show first in a letter.",
    ),
    ("last_page", r#"last "page" of views of "*""#, "Where somebody was last."),
];

/// One of each kind that the language has.
const PHRASES: &[PhraseGroup] = &[
    PhraseGroup {
        title: "Of anything that happens",
        phrases: &[
            (
                "number of orders within 90 days",
                "an event leaves the window when its time has come, and the value follows",
            ),
            (
                r#"number of "Product Viewed" with "category" is "shoes" within 30 days"#,
                "only events with this property",
            ),
            (r#"number of views of "/blog/*""#, "pages; * stands for any text"),
            ("number of visits within 7 days", "also identifications, or anything"),
        ],
    },
    PhraseGroup {
        title: "Of a property",
        phrases: &[
            (r#"total "total" of orders within 365 days"#, "in the site’s currency, less refunds"),
            (r#"average "price" of "Product Viewed""#, "texts that are no number are passed over"),
            (r#"largest "total" of orders since 2026-01-01"#, "also smallest"),
            (r#"last "plan" of "Plan Chosen""#, "also first"),
            (r#"most frequent "category" of "Product Viewed" within 30 days"#, "of equals the one that was there last"),
            (r#"number of different "sku" of "Product Added""#, "each value once"),
            (r#"most frequent "page" of views of "/blog/*""#, "page views have their page"),
            (r#"first "channel" of visits"#, "visits also have source, medium, campaign, referrer"),
        ],
    },
];

/// A number without more digits than anybody reads.
fn plain(number: f64) -> String {
    let sign = if number < 0.0 { "−" } else { "" };
    let hundredths = (number.abs() * 100.0).round();
    if hundredths >= 9e17 {
        return format!("{number:e}");
    }
    // Whole numbers of that size fit.
    let hundredths = hundredths as u64;
    let whole = format::count(&(hundredths / 100));
    match hundredths % 100 {
        0 => format!("{sign}{whole}"),
        rest => format!("{sign}{whole}.{rest:02}"),
    }
}

/// A value as people read it.
pub(crate) fn value_text(value: &Scalar) -> String {
    match value {
        Scalar::Bool(true) => "yes".to_owned(),
        Scalar::Bool(false) => "no".to_owned(),
        Scalar::Number(number) => plain(*number),
        Scalar::Text(text) => text.clone(),
    }
}

/// How values lie, in short.
fn spread_text(spread: Option<&Spread>) -> String {
    match spread {
        None => "–".to_owned(),
        Some(Spread::Numbers([least, _, _, _, most])) if least == most => format!("{} for all", plain(*least)),
        Some(Spread::Numbers([least, _, middle, _, most])) => {
            format!("{} to {}, half at most {}", plain(*least), plain(*most), plain(*middle))
        }
        Some(Spread::Values(values)) => {
            let told = values.iter().map(|(value, people)| format!("{value} ({})", format::count(people)));
            told.collect::<Vec<_>>().join(", ")
        }
    }
}

struct RowView<'a> {
    row: &'a ComputedTraitRow,
    says: &'a str,
    people: String,
    share: String,
    bar: u32,
    values: String,
}

impl<'a> RowView<'a> {
    fn of(row: &'a ComputedTraitRow, people: u64) -> RowView<'a> {
        // A share of the bar's 72 units; people with a value are never more than all.
        let bar = (row.people.min(people) * 72).checked_div(people).unwrap_or(0) as u32;
        RowView {
            row,
            says: row.says.as_deref().unwrap_or("Written by a newer version; its values stay as they are."),
            people: format::count(&row.people),
            share: format::share(row.people, people),
            bar,
            values: spread_text(row.spread.as_ref()),
        }
    }
}

#[derive(Template)]
#[template(path = "traits.html")]
struct TraitsPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a ComputedTraits,
    rows: Vec<RowView<'a>>,
    examples: Vec<ExampleView>,
    sweep: SweepView,
    f: Format,
}

/// A definition to begin with.
struct ExampleView {
    name: &'static str,
    says: &'static str,
    why: &'static str,
    href: String,
}

/// The computed traits of a site.
///
/// # Errors
/// When the page cannot be written.
pub fn traits(shell: &Shell, report: &ComputedTraits) -> Rendered {
    let site = report.site.id;
    let example = |(name, says, why): &(&'static str, &'static str, &'static str)| ExampleView {
        name,
        says,
        why,
        href: format!("/s/{site}/traits/new?name={name}&says={}", format::query_value(says)),
    };
    TraitsPage {
        shell,
        nav: Nav::Traits,
        rows: report.rows.iter().map(|row| RowView::of(row, report.people)).collect(),
        examples: EXAMPLES.iter().map(example).collect(),
        sweep: SweepView::at(format!("/s/{site}/traits/progress"), report.progress()),
        f: Format::of(&report.site, report.now),
        r: report,
    }
    .render()
}

/// How everybody being asked comes on, as the page of all traits asks for it every two seconds.
///
/// # Errors
/// When it cannot be written.
pub fn traits_progress(site: i32, progress: Option<domain::report::Progress>) -> Rendered {
    SweepView { over: progress.is_none(), ..SweepView::at(format!("/s/{site}/traits/progress"), progress) }.part_page()
}

struct PersonView {
    href: String,
    label: String,
    value: String,
    because: String,
}

struct MadeView {
    headline: String,
    says: String,
    values: String,
    sample: Vec<PersonView>,
}

struct PreviewView {
    site: i32,
    fault: Option<FaultView>,
    made: Option<MadeView>,
    /// What is spoken.
    news: String,
    /// Nothing was tried yet, although something is written.
    is_blank: bool,
}

fn because(person: &TraitPreviewPerson, f: &Format) -> String {
    let events = format::counted(&u64::from(person.events), "event", "events");
    let last = person.last_at.as_ref().map(|at| format!(", last on {}", f.day_of(at)));
    let until = person.changes_at.as_ref().map(|at| format!("; may change on {}", f.moment(at)));
    format!("{events}{}{}", last.unwrap_or_default(), until.unwrap_or_default())
}

fn made(site: i32, says: &str, preview: &TraitPreview, f: &Format) -> MadeView {
    let asked = format::counted(&preview.asked, "person", "people");
    let headline = match (preview.people, preview.known) {
        (0, _) => "Nobody has a profile yet".to_owned(),
        (_, 0) => format!("Nobody of the {asked} who were asked has a value"),
        (people, known) if preview.asked < people => format!(
            "{} of {asked} who were asked have a value ({}); there are {} in all",
            format::count(&known),
            format::share(known, preview.asked),
            format::count(&people)
        ),
        (_, known) => {
            format!("{} of {asked} have a value ({})", format::count(&known), format::share(known, preview.asked))
        }
    };
    let person = |person: &TraitPreviewPerson| PersonView {
        href: format!("/s/{site}/people/{}", person.profile_id.0),
        label: person_label(person.name.as_deref(), &person.profile_id),
        value: value_text(&person.value),
        because: because(person, f),
    };
    MadeView {
        headline,
        says: says.to_owned(),
        values: spread_text(preview.spread.as_ref()),
        sample: preview.sample.iter().map(person).collect(),
    }
}

impl PreviewView {
    fn of(site: &domain::report::Site, now: jiff::Timestamp, typed: &str, tried: &TriedTrait) -> PreviewView {
        let blank = PreviewView { site: site.id, fault: None, made: None, news: String::new(), is_blank: false };
        match tried {
            TriedTrait::Nothing => PreviewView { is_blank: !typed.trim().is_empty(), ..blank },
            TriedTrait::Unreadable(error) => {
                let fault = FaultView::at(typed, error);
                PreviewView { news: fault.message.clone(), fault: Some(fault), ..blank }
            }
            TriedTrait::Made { says, preview } => {
                let made = made(site.id, says, preview, &Format::of(site, now));
                PreviewView { news: made.headline.clone(), made: Some(made), ..blank }
            }
        }
    }
}

#[derive(Template)]
#[template(path = "trait_preview_part.html")]
struct PreviewPart {
    p: PreviewView,
}

/// What a definition comes to, as the form asks for it while it is written.
///
/// # Errors
/// When it cannot be written.
pub fn trait_preview(site: &domain::report::Site, now: jiff::Timestamp, typed: &str, tried: &TriedTrait) -> Rendered {
    PreviewPart { p: PreviewView::of(site, now, typed, tried) }.render()
}

#[derive(Template)]
#[template(path = "trait_form.html")]
struct FormPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    form: &'a TraitForm,
    title: String,
    action: String,
    list: String,
    /// One that is there, as it is kept.
    known: Option<RowView<'a>>,
    p: PreviewView,
    phrases: &'static [PhraseGroup],
    words: Vec<(String, String)>,
}

/// The form of a computed trait; `known` is the one that is changed.
///
/// `tried` is what came of the definition, where it was tried; `words` helps with the site's own events.
///
/// # Errors
/// When the page cannot be written.
pub fn trait_form(
    shell: &Shell,
    report: &ComputedTraits,
    known: Option<&ComputedTraitRow>,
    form: &TraitForm,
    tried: &TriedTrait,
    words: &domain::report::KnownWords,
) -> Rendered {
    let list = format!("/s/{}/traits", report.site.id);
    let (title, action) = match known {
        None => ("New trait".to_owned(), format!("{list}/new")),
        Some(row) => (format!("Edit {}", row.name), format!("{list}/{}", row.name)),
    };
    FormPage {
        shell,
        nav: Nav::Traits,
        form,
        title,
        action,
        list,
        known: known.map(|row| RowView::of(row, report.people)),
        p: PreviewView::of(&report.site, report.now, &form.says, tried),
        phrases: PHRASES,
        words: words.events.iter().map(|known| (known.word.clone(), known.properties.join(", "))).collect(),
    }
    .render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::segment::rule::Computed;

    #[test]
    fn every_phrase_and_example_is_a_definition() {
        let phrases = PHRASES.iter().flat_map(|group| group.phrases).map(|(phrase, _)| *phrase);
        for says in phrases.chain(EXAMPLES.iter().map(|(_, says, _)| *says)) {
            says.parse::<Computed>().unwrap_or_else(|error| panic!("{says}: {error}"));
        }
    }

    #[test]
    fn numbers_have_no_more_digits_than_they_need() {
        for (number, text) in [(0.0, "0"), (1_234.0, "1,234"), (-1_002.5, "−1,002.50"), (1e300, "1e300"), (0.004, "0")]
        {
            assert_eq!(plain(number), text);
        }
    }
}
