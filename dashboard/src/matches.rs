//! Who is probably the same person: pairs side by side, with what speaks for and against each.

use crate::Rendered;
use crate::format::{self, Format};
use crate::joins::kind_name;
use crate::people::{Pager, person_label};
use crate::shell::{Nav, Shell};
use askama::Template;
use domain::event::Trust;
use domain::matching::{Comparison, Evidence, Level};
use domain::report::{MATCH_THRESHOLDS, Match, MatchBook, MatchEvidence, MatchLook, MatchPerson, MatchState};

/// From so many bits on a comparison speaks for or against, and from so many strongly.
const SPEAKS: f64 = 2.0;
const SPEAKS_STRONGLY: f64 = 6.0;

/// A probability near 1, never rounded up to more than it is: `97 %`, `99.4 %`, `more than 99.9 %`.
pub(crate) fn chance(probability: &f64) -> String {
    // What is exactly on a step must not fall below it by the last bit.
    let thousandths = (probability * 1_000.0 + 1e-9).floor();
    match thousandths {
        all if all >= 999.0 => "more than 99.9\u{a0}%".to_owned(),
        some if some >= 980.0 => format!("{:.1}\u{a0}%", some / 10.0),
        some => format!("{:.0}\u{a0}%", (some / 10.0).floor()),
    }
}

fn comparison_name(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::GivenName => "First name",
        Comparison::Surname => "Surname",
        Comparison::Email => "E-mail",
        Comparison::Phone => "Phone",
        Comparison::Address => "Address",
        Comparison::Place => "Place",
        Comparison::BirthDate => "Date of birth",
        Comparison::OtherId => "Customer number",
    }
}

fn level(comparison: Comparison, level: Level) -> &'static str {
    match (comparison, level) {
        (_, Level::Different) => "different",
        (Comparison::GivenName, Level::Related) => "a short form, an initial or the same sound",
        (Comparison::Surname, Level::Related) => "the same sound, or a part of the other",
        (Comparison::Email, Level::Related) => "the same before the @",
        (Comparison::Phone, Level::Related) => "the same last digits",
        (Comparison::BirthDate, Level::Related) => "two of day, month and year",
        (_, Level::Related) => "related",
        (_, Level::Near) => "a typing error apart",
        (_, Level::Same) => "the same",
        (_, Level::Swapped) => "swapped with the surname",
        (_, Level::Region) => "the same state or country only",
        (_, Level::PartOfPlace) => "the same town or postcode only",
        (_, Level::Place) => "the same town",
        (_, Level::Street) => "the same street, in another town",
        (_, Level::StreetInPlace) => "the same street",
        (_, Level::Door) => "the same house",
    }
}

/// How much it says, and the tone of its mark.
fn weight(bits: f64) -> (&'static str, &'static str) {
    match bits {
        bits if bits >= SPEAKS_STRONGLY => ("speaks strongly for it", "up"),
        bits if bits >= SPEAKS => ("speaks for it", "up"),
        bits if bits <= -SPEAKS_STRONGLY => ("speaks strongly against it", "dn"),
        bits if bits <= -SPEAKS => ("speaks against it", "dn"),
        _ => ("says little", "same"),
    }
}

struct EvidenceView<'a> {
    what: &'static str,
    agreement: String,
    weight: &'static str,
    tone: &'static str,
    sides: [ValueView<'a>; 2],
}

/// A value, where it is still known, and whether a browser alone sent it.
struct ValueView<'a> {
    text: Option<&'a str>,
    is_typed: bool,
}

fn value(value: Option<&(String, Trust)>) -> ValueView<'_> {
    ValueView {
        text: value.map(|(text, _)| text.as_str()),
        is_typed: value.is_some_and(|(_, trust)| *trust == Trust::Browser),
    }
}

fn evidence(of: &MatchEvidence) -> EvidenceView<'_> {
    let Evidence { comparison, level: reached, bits, rarity_bits } = of.evidence;
    let rarity = match rarity_bits {
        rare if rare >= 1.0 => ", and rare here",
        common if common <= -1.0 => ", but common here",
        _ => "",
    };
    let (weight, tone) = weight(bits);
    EvidenceView {
        what: comparison_name(comparison),
        agreement: format!("{}{rarity}", level(comparison, reached)),
        weight,
        tone,
        sides: [value(of.one.as_ref()), value(of.other.as_ref())],
    }
}

struct MatchView<'a> {
    m: &'a Match,
    one: String,
    other: String,
    chance: String,
    evidence: Vec<EvidenceView<'a>>,
    may_be_a_home: bool,
    is_typed: bool,
}

/// The name, else by what they are known.
fn label(person: &MatchPerson) -> String {
    match &person.name {
        Some(name) => person_label(Some(name), &person.identifier.profile_id),
        None => person.identifier.value.clone(),
    }
}

fn view(m: &Match) -> MatchView<'_> {
    MatchView {
        one: label(&m.one),
        other: label(&m.other),
        chance: chance(&m.probability),
        evidence: m.evidence.iter().map(evidence).collect(),
        // Where everything else makes up for it, the doubt would only confuse.
        may_be_a_home: m.household_bits <= -1.0 && m.probability < 0.99,
        is_typed: m.rests_on == Trust::Browser,
        m,
    }
}

impl MatchView<'_> {
    /// Both, each with the label and what kind of identifier the match knows the person by.
    fn people(&self) -> [(&MatchPerson, &str, &'static str); 2] {
        let sides = [(&self.m.one, self.one.as_str()), (&self.m.other, self.other.as_str())];
        sides.map(|(person, label)| (person, label, kind_name(person.identifier.kind)))
    }

    /// What was decided, in words.
    fn decision(&self) -> &'static str {
        match self.m.state {
            MatchState::Confirmed => "joined",
            MatchState::Applied => "joined without asking",
            MatchState::Refused => "kept apart",
            MatchState::Open => "waiting",
            MatchState::Outdated => "no longer alike, or one for another reason",
        }
    }

    fn joins(&self) -> bool {
        matches!(self.m.state, MatchState::Confirmed | MatchState::Applied)
    }
}

/// One threshold that can be chosen.
struct ChoiceView {
    value: String,
    is_chosen: bool,
    name: String,
    would: String,
}

fn choices(look: &MatchLook) -> Vec<ChoiceView> {
    MATCH_THRESHOLDS
        .iter()
        .zip(look.would_join)
        .map(|(threshold, would)| ChoiceView {
            value: threshold.to_string(),
            is_chosen: look.threshold.is_some_and(|own| (own - threshold).abs() < 1e-9),
            name: format!("{:.1}\u{a0}%", threshold * 100.0),
            would: match would {
                0 => "no pair would be joined now".to_owned(),
                _ => format!("{} would be joined now", format::counted(&would, "pair", "pairs")),
            },
        })
        .collect()
}

#[derive(Template)]
#[template(path = "matches.html")]
struct MatchesPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a MatchBook,
    f: Format,
    open: Vec<MatchView<'a>>,
    decided: Vec<MatchView<'a>>,
    asked: Option<MatchView<'a>>,
    just: Option<MatchView<'a>>,
    choices: Vec<ChoiceView>,
    /// Percent of a comparison under way.
    progress: Option<u64>,
    pager: Pager,
}

/// The matches of a site that wait for somebody, and what was decided.
///
/// # Errors
/// When the page cannot be written.
pub fn matches(shell: &Shell, report: &MatchBook) -> Rendered {
    let base = format!("/s/{}/matches?page=", report.site.id);
    MatchesPage {
        shell,
        nav: Nav::Identities,
        r: report,
        f: Format::of(&report.site, report.now),
        open: report.open.iter().map(view).collect(),
        decided: report.decided.iter().map(view).collect(),
        asked: report.asked.as_ref().map(view),
        just: report.just.as_ref().map(view),
        choices: choices(&report.look),
        progress: report.look.progress.map(|(done, total)| done.min(total) * 100 / total.max(1)),
        pager: Pager::of(&report.paging, report.open.len(), base),
    }
    .render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chance_is_never_shown_as_more_than_it_is() {
        let shown = [0.5, 0.979, 0.98, 0.9949, 0.995, 0.9989, 0.999, 1.0].map(|one| chance(&one));
        let expected = ["50 %", "97 %", "98.0 %", "99.4 %", "99.5 %", "99.8 %", "more than 99.9 %", "more than 99.9 %"];
        assert_eq!(shown.map(|text| text.replace('\u{a0}', " ")), expected);
    }
}
