//! The page on which a segment is written, and what comes of the rule so far.

use crate::Rendered;
use crate::format;
use crate::shell::{Nav, Shell};
use askama::Template;
use domain::report::{KnownWord, KnownWords, Preview, PreviewPerson, Shape, Tried, Unheard};
use domain::segment::rule::{SentenceError, Word};

/// What stands in the form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentForm {
    /// The segment's name.
    pub name: String,
    /// Who is in it, for people.
    pub description: String,
    /// What to do with them.
    pub action: String,
    /// The rule as a sentence, just as it was typed.
    pub says: String,
    /// Why it was not saved, one sentence per problem.
    pub problems: Vec<String>,
}

/// Which segment is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writing {
    /// A new one.
    New,
    /// One that is there.
    Change {
        /// Its key.
        key: String,
        /// Its name as it is kept.
        name: String,
        /// It came with the product and is as it came.
        from_library: bool,
        /// It is a fixed set of people, without any rule.
        is_list: bool,
    },
}

#[derive(Template)]
#[template(path = "segment_form.html")]
struct FormPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    form: &'a SegmentForm,
    title: String,
    action: String,
    back: String,
    back_name: &'a str,
    note: Option<&'static str>,
    has_rule: bool,
    p: PreviewView<'a>,
    phrases: &'static [PhraseGroup],
    words: Vec<WordGroup>,
    words_people: String,
    segments: Vec<WordView>,
}

/// Phrases of one kind, each with what it means.
pub(crate) struct PhraseGroup {
    pub(crate) title: &'static str,
    pub(crate) phrases: &'static [(&'static str, &'static str)],
}

/// One of each kind that the language has.
const PHRASES: &[PhraseGroup] = &[
    PhraseGroup {
        title: "What somebody did",
        phrases: &[
            (
                r#"viewed "/pricing" at least 3 times within 14 days"#,
                "* in an address stands for any text: \"/blog/*\"",
            ),
            (
                r#"did "Product Added" with "category" is "shoes" at least once within 30 days"#,
                "an event with a property",
            ),
            ("never ordered", "never before; a window may follow: within 90 days"),
            ("ordered at least 2 times since 2026-01-01", "from a day on; also before, or from … to …"),
            ("ordered for at least 100 in total within 365 days", "money is in the site’s currency"),
            ("last visited at least 30 days ago", "the last time; also first"),
        ],
    },
    PhraseGroup {
        title: "One thing after another",
        phrases: &[
            (r#"did "Product Added" then ordered within 1 day"#, "in this order"),
            (r#"did "Product Added" never followed by ordered within 3 days"#, "it was waited for"),
            (r#"viewed "/pricing" then did "Signed Up" without viewed "/terms""#, "and not that in between"),
        ],
    },
    PhraseGroup {
        title: "Who somebody is",
        phrases: &[
            ("orders is at least 3", "also revenue, average order value, visits, page views"),
            ("days since last order is between 30 and 90", "whole days; also since first order, first or last seen"),
            (r#"lifecycle is "at-risk""#, "or \"active\", \"churned\""),
            (r#"rfm group is one of "champions", "loyal""#, "named groups of the grid"),
            ("revenue percentile is at least 90", "the tenth of buyers who spent most"),
            (r#"first channel is "organic_search""#, "what brought the first visit; also last channel"),
            ("days past usual gap is at least 0", "the next order is later than usual"),
            (
                "probability alive is at most 0.3",
                "from the site’s own models, once there are any; also probability of return, of sign up",
            ),
            (
                r#"trait "plan" is "pro""#,
                "what was said of them, or computed; also is at least, contains, starts with, is known",
            ),
            ("signed up", "a user id or an e-mail address is known"),
        ],
    },
    PhraseGroup {
        title: "Together",
        phrases: &[
            (r#"not in segment "timing-just-ordered""#, "in another segment, or not"),
            (r#"in bucket 0 to 5000 of "test-1""#, "a random half, the same people for ever"),
            ("(visits is at least 10 or orders is at least 1) and signed up", "parentheses where and meets or"),
        ],
    },
];

/// Words of the site of one kind.
struct WordGroup {
    title: &'static str,
    words: Vec<WordView>,
}

/// A word with the phrase that it comes in.
struct WordView {
    word: String,
    phrase: String,
    note: String,
}

/// A text as rules write it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn words(known: &KnownWords) -> Vec<WordGroup> {
    let people = |known: &KnownWord| format::counted(&known.people, "person", "people");
    let event = |known: &KnownWord| WordView {
        phrase: format!("did {} at least once within 30 days", quoted(&known.word)),
        note: match known.properties.is_empty() {
            true => people(known),
            false => format!("{}; with {}", people(known), known.properties.join(", ")),
        },
        word: known.word.clone(),
    };
    // Rules name pages without their host, so that they hold on each of the site's.
    let path = |page: &str| page.find('/').map_or_else(|| "/".to_owned(), |slash| page[slash..].to_owned());
    let page = |known: &KnownWord| WordView {
        phrase: format!("viewed {} at least once within 30 days", quoted(&path(&known.word))),
        note: people(known),
        word: known.word.clone(),
    };
    let of_trait = |known: &KnownWord| WordView {
        phrase: format!("trait {} is known", quoted(&known.word)),
        note: people(known),
        word: known.word.clone(),
    };
    let groups = [
        WordGroup { title: "Events", words: known.events.iter().map(event).collect() },
        WordGroup { title: "Pages", words: known.pages.iter().map(page).collect() },
        WordGroup { title: "Traits", words: known.traits.iter().map(of_trait).collect() },
    ];
    groups.into_iter().filter(|group| !group.words.is_empty()).collect()
}

/// What comes of a rule, ready to be shown.
struct PreviewView<'a> {
    site: i32,
    fault: Option<FaultView>,
    found: Option<FoundView<'a>>,
    hint: &'static str,
    /// What is spoken.
    news: String,
    /// Nothing was tried yet, although something may be written.
    is_blank: bool,
}

/// Where a sentence goes wrong.
pub(crate) struct FaultView {
    pub(crate) message: String,
    pub(crate) has_place: bool,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) before: String,
    pub(crate) at: String,
    pub(crate) after: String,
    /// As wide as what stands before the place.
    pub(crate) indent: String,
}

struct FoundView<'a> {
    headline: String,
    sub: String,
    says: &'a str,
    warnings: Vec<String>,
    sample: &'a [PreviewPerson],
    shapes: Vec<ShapeView>,
}

/// People by one thing that they have done.
struct ShapeView {
    name: String,
    bars: Vec<BarView>,
}

struct BarView {
    name: String,
    people: String,
    /// Of 72.
    width: u64,
}

/// `1`, `3–5`, `6+`: names of bars by the least that is in each.
fn between(least: &[(u32, u64)], place: usize) -> String {
    let from = least[place].0;
    match least.get(place + 1) {
        Some((next, _)) if *next == from + 1 => from.to_string(),
        Some((next, _)) => format!("{}–{}", format::count(&from.into()), format::count(&(next - 1).into())),
        None => format!("{}+", format::count(&from.into())),
    }
}

fn shape_view(name: String, bars: &[(u32, u64)], bar_name: impl Fn(usize) -> String) -> ShapeView {
    let most = bars.iter().map(|(_, people)| *people).max().unwrap_or(0).max(1);
    let bar = |(place, (_, people)): (usize, &(u32, u64))| BarView {
        name: bar_name(place),
        people: format::count(people),
        width: people * 72 / most,
    };
    ShapeView { name, bars: bars.iter().enumerate().map(bar).collect() }
}

fn shapes(shape: &Shape) -> Vec<ShapeView> {
    let Shape { orders, revenue, last_seen_days: days, currency } = shape;
    vec![
        shape_view("Orders".to_owned(), orders, |place| match place {
            0 => "none".to_owned(),
            _ => between(orders, place),
        }),
        shape_view(format!("Revenue, {}", currency.code()), revenue, |place| match place {
            0 => "none".to_owned(),
            1 => format!("under {}", revenue.get(2).map_or(0, |(least, _)| *least)),
            _ => between(revenue, place),
        }),
        shape_view("Days since last seen".to_owned(), days, |place| between(days, place)),
    ]
}

/// Letters of the line that are shown around the place: as many as a phone has room for.
const BEFORE: usize = 24;
const AFTER: usize = 13;

impl FaultView {
    pub(crate) fn at(typed: &str, error: &SentenceError) -> FaultView {
        // A browser ends lines with two letters, the counting here is that of the text as it was read.
        let letters: Vec<char> = typed.chars().collect();
        let place = error.column.saturating_sub(1).min(letters.len());
        let start = letters[..place].iter().rposition(|letter| *letter == '\n').map_or(0, |at| at + 1);
        let end = letters[place..].iter().position(|letter| *letter == '\n').map_or(letters.len(), |at| place + at);
        let shown = |part: &[char]| part.iter().map(|c| if c.is_control() { ' ' } else { *c }).collect::<String>();
        let from = place.saturating_sub(BEFORE).max(start);
        let to = (place + 1 + AFTER).min(end);
        let mut before = shown(&letters[from..place]);
        if from > start {
            before.insert(0, '…');
        }
        let after = letters.get(place + 1..to).map(shown).unwrap_or_default();
        FaultView {
            message: sentence(&error.message),
            has_place: true,
            line: letters[..place].iter().filter(|letter| **letter == '\n').count() + 1,
            column: place - start + 1,
            indent: " ".repeat(before.chars().count()),
            before,
            at: if place < end { shown(&letters[place..=place]) } else { " ".to_owned() },
            after: if to < end { after + "…" } else { after },
        }
    }

    fn whole(message: &str) -> FaultView {
        FaultView {
            message: sentence(message),
            has_place: false,
            line: 0,
            column: 0,
            before: String::new(),
            at: String::new(),
            after: String::new(),
            indent: String::new(),
        }
    }
}

/// A message as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?', '…']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

fn warning(unheard: &Unheard) -> String {
    let of = unheard.among.map_or_else(String::new, |people| {
        format!(" among the {} who were asked", format::counted(&people, "person", "people"))
    });
    let said = match &unheard.word {
        Word::Event(name) => format!("No event named “{name}” has arrived."),
        Word::Page(page) => format!("No page “{page}” has been viewed."),
        Word::Property(name) => format!("No event with a property “{name}” was found{of}."),
        Word::Trait(name) => format!("Nobody with a trait “{name}” was found{of}."),
    };
    match &unheard.nearest {
        Some(nearest) => format!("{said} Did you mean “{nearest}”?"),
        None => said,
    }
}

fn found<'a>(says: &'a str, preview: &'a Preview) -> FoundView<'a> {
    let count = |number: u64| format::count(&number);
    let (about, least, most) = preview.estimate();
    let people = format::counted(&preview.people, "person", "people");
    let percent = |share: f64| format!("{:.1}\u{a0}%", share * 100.0);
    let (headline, sub) = if preview.people == 0 {
        ("Nobody has a profile yet".to_owned(), String::new())
    } else if preview.is_exact() {
        (
            format!("{} of {people} ({})", count(preview.found), format::share(preview.found, preview.people)),
            String::new(),
        )
    } else {
        let share = preview.share();
        let about = match preview.found {
            0 => format!("Nobody of the {} who were asked", format::counted(&preview.asked, "person", "people")),
            _ => format!("About {} of {people} ({})", count(about), format::share(preview.found, preview.asked)),
        };
        let range =
            share.map_or_else(String::new, |share| format!("{} to {}", percent(share.low), percent(share.high)));
        (
            about,
            format!(
                "Estimated from {} of {people}: with 95\u{a0}% confidence {} to {}, or {range}.",
                count(preview.asked),
                count(least),
                count(most)
            ),
        )
    };
    // A picture of nobody shows nothing.
    let shapes = preview.shape.as_ref().filter(|_| preview.found > 0).map(shapes).unwrap_or_default();
    let warnings = preview.unheard.iter().map(warning).collect();
    FoundView { headline, sub, says, warnings, sample: &preview.sample, shapes }
}

impl<'a> PreviewView<'a> {
    fn of(site: i32, typed: &str, tried: &'a Tried) -> PreviewView<'a> {
        let blank = PreviewView {
            site,
            fault: None,
            found: None,
            hint: "Write a rule and see whom it holds of.",
            news: String::new(),
            is_blank: false,
        };
        match tried {
            Tried::Nothing if typed.trim().is_empty() => blank,
            Tried::Nothing => PreviewView { is_blank: true, hint: "The preview says whom it holds of.", ..blank },
            Tried::Unreadable(error) => {
                let fault = FaultView::at(typed, error);
                PreviewView { news: fault.message.clone(), fault: Some(fault), ..blank }
            }
            Tried::Refused(message) => {
                let fault = FaultView::whole(message);
                PreviewView { news: fault.message.clone(), fault: Some(fault), ..blank }
            }
            Tried::Holds { says, preview } => {
                let found = found(says, preview);
                PreviewView { news: found.headline.clone(), found: Some(found), ..blank }
            }
        }
    }
}

#[derive(Template)]
#[template(path = "preview_part.html")]
struct PreviewPart<'a> {
    p: PreviewView<'a>,
}

/// What comes of a rule, as the form asks for it while it is written.
///
/// # Errors
/// When it cannot be written.
pub fn segment_preview(site: i32, typed: &str, tried: &Tried) -> Rendered {
    PreviewPart { p: PreviewView::of(site, typed, tried) }.render()
}

/// The form of a segment.
///
/// `tried` is what came of the rule, where it was tried; `known` helps with the site's own words.
///
/// # Errors
/// When the page cannot be written.
pub fn segment_form(
    shell: &Shell,
    site: i32,
    writing: &Writing,
    form: &SegmentForm,
    tried: &Tried,
    known: &KnownWords,
) -> Rendered {
    const READY_MADE: &str = "This segment came with the product. Once you change it, it stays as you write it and no \
                              longer follows newer definitions; duplicate it to keep both.";
    let list = format!("/s/{site}/segments");
    let (title, action, back, back_name, note, has_rule) = match writing {
        Writing::New => ("New segment".to_owned(), format!("{list}/new"), list, "Segments", None, true),
        Writing::Change { key, name, from_library, is_list } => (
            format!("Edit {name}"),
            format!("{list}/{key}/edit"),
            format!("{list}/{key}"),
            name.as_str(),
            from_library.then_some(READY_MADE),
            !is_list,
        ),
    };
    let own_key = match writing {
        Writing::New => None,
        Writing::Change { key, .. } => Some(key),
    };
    let others = known.segments.iter().filter(|(key, _)| Some(key) != own_key);
    FormPage {
        shell,
        nav: Nav::Segments,
        form,
        title,
        action,
        back,
        back_name,
        note,
        has_rule,
        p: PreviewView::of(site, &form.says, tried),
        phrases: PHRASES,
        words: words(known),
        words_people: format::counted(&known.people, "person", "people"),
        segments: others
            .map(|(key, name)| WordView {
                phrase: format!("in segment {}", quoted(key)),
                word: key.clone(),
                note: name.clone(),
            })
            .collect(),
    }
    .render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::segment::rule::Rule;

    #[test]
    fn every_phrase_of_the_help_is_a_rule() {
        for (phrase, _) in PHRASES.iter().flat_map(|group| group.phrases) {
            phrase.parse::<Rule>().unwrap_or_else(|error| panic!("{phrase}: {error}"));
        }
    }

    #[test]
    fn every_word_of_the_site_comes_in_a_phrase_that_is_a_rule() {
        let hostile = |word: &str| KnownWord { word: word.into(), people: 1, properties: vec!["a".into()] };
        let all = || vec![hostile("Product Viewed"), hostile(r#"a "b" \ c"#), hostile("shop.example/a\\\"b")];
        let known = KnownWords { people: 3, events: all(), pages: all(), traits: all(), segments: Vec::new() };
        for word in words(&known).iter().flat_map(|group| &group.words) {
            word.phrase.parse::<Rule>().unwrap_or_else(|error| panic!("{}: {error}", word.phrase));
        }
    }

    #[test]
    fn a_fault_is_shown_in_its_line() {
        let place = |typed: &str| {
            let error = typed.parse::<Rule>().unwrap_err();
            let fault = FaultView::at(typed, &error);
            assert_eq!(fault.indent.len(), fault.before.chars().count());
            (fault.line, fault.column, fault.before, fault.at, fault.after)
        };
        let text = |text: &str| text.to_owned();
        assert_eq!(place("orders is 1\nand moo"), (2, 5, text("and "), text("m"), text("oo")));
        assert_eq!(place("orders is"), (1, 10, text("orders is"), text(" "), text("")));
        let (line, column, before, at, after) =
            place(&format!("{} moo {}", "signed up and ".repeat(9), "x ".repeat(20)));
        assert_eq!((line, before.chars().count(), at.as_str()), (1, BEFORE + 1, "m"));
        assert!(column > 100 && before.starts_with('…') && after.ends_with('…'), "{column} {before} {after}");
    }
}
