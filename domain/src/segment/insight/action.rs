//! Next best action: one suggestion for people like these, from a table, with its reason.

use crate::segment::lifecycle::{Buyers, Stage, Standing};
use serde::{Deserialize, Serialize};

/// How much people spend, among all of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// Lowest fifth.
    Low,
    /// In between, or nothing spent yet.
    Middle,
    /// Highest fifth.
    High,
}

/// Whether people still come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engagement {
    /// Visited or opened a mail in the last 30 days.
    Engaged,
    /// Did not.
    Quiet,
}

/// What is known of a person, or of a segment's typical member.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyFacts {
    /// Orders, and whether the next one is overdue.
    pub standing: Standing,
    /// Spend.
    pub value: Value,
    /// Visits.
    pub engagement: Engagement,
    /// Probability of still being a customer, in 0..=1; `None` where no model could say. NaN counts as unknown.
    pub p_alive: Option<f64>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Welcome and lead to the first order.
    Welcome,
    /// Help with what they look at and do not buy.
    HelpChoose,
    /// Lead to the second order.
    SecondOrder,
    /// Ask for a recommendation, give early access.
    Ambassador,
    /// Suggest what goes with what they have.
    Suggest,
    /// Speak to them before the next order is overdue.
    StepInEarly,
    /// Personal contact and the best offer.
    WinBackPersonally,
    /// Remind without a discount.
    Remind,
    /// Remind with a small offer.
    RemindWithOffer,
    /// One last strong offer.
    LastOffer,
    /// Ask what is missing.
    AskWhy,
    /// Stop spending on them.
    LetRest,
}

/// A suggestion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NextAction {
    /// What to do.
    pub action: Action,
    /// What to do, one sentence.
    pub sentence: &'static str,
    /// Why: the facts that decided, one sentence.
    pub because: String,
}

/// Below this chance of being still a customer, people count as lost.
pub const HARDLY_ALIVE: f64 = 0.3;

/// From this chance on, people count as customers in spite of a long pause.
pub const LIKELY_ALIVE: f64 = 0.7;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Alive {
    Hardly,
    Maybe,
    Likely,
}

/// One row of the table: what it asks for (`None`: anything), and the action.
struct Row {
    buyers: &'static [Buyers],
    stage: Option<Stage>,
    value: Option<Value>,
    engagement: Option<Engagement>,
    alive: Option<Alive>,
    action: Action,
}

const ANYBODY: Row =
    Row { buyers: &[], stage: None, value: None, engagement: None, alive: None, action: Action::LetRest };
const ENGAGED: Option<Engagement> = Some(Engagement::Engaged);
const NEW: &[Buyers] = &[Buyers::NewSignUps];
const RETURNING: &[Buyers] = &[Buyers::Repeats, Buyers::Loyals];

/// The first row that fits decides; the last one fits all.
const TABLE: &[Row] = &[
    Row { buyers: NEW, stage: Some(Stage::Active), action: Action::Welcome, ..ANYBODY },
    Row { buyers: NEW, engagement: ENGAGED, action: Action::HelpChoose, ..ANYBODY },
    Row { buyers: NEW, stage: Some(Stage::AtRisk), action: Action::RemindWithOffer, ..ANYBODY },
    Row { buyers: NEW, action: Action::LetRest, ..ANYBODY },
    // A model that sees the person's own rhythm may know of a loss before the site's limits do.
    Row {
        buyers: RETURNING,
        stage: Some(Stage::Active),
        alive: Some(Alive::Hardly),
        action: Action::StepInEarly,
        ..ANYBODY
    },
    Row {
        buyers: RETURNING,
        stage: Some(Stage::Active),
        value: Some(Value::High),
        action: Action::Ambassador,
        ..ANYBODY
    },
    Row { buyers: RETURNING, stage: Some(Stage::Active), action: Action::Suggest, ..ANYBODY },
    Row { stage: Some(Stage::Active), action: Action::SecondOrder, ..ANYBODY },
    Row { stage: Some(Stage::AtRisk), value: Some(Value::High), action: Action::WinBackPersonally, ..ANYBODY },
    // Whoever is there anyway needs no discount.
    Row { stage: Some(Stage::AtRisk), engagement: ENGAGED, action: Action::Remind, ..ANYBODY },
    Row { stage: Some(Stage::AtRisk), alive: Some(Alive::Likely), action: Action::Remind, ..ANYBODY },
    Row { stage: Some(Stage::AtRisk), action: Action::RemindWithOffer, ..ANYBODY },
    Row { engagement: ENGAGED, action: Action::AskWhy, ..ANYBODY },
    Row { value: Some(Value::High), alive: Some(Alive::Hardly), action: Action::LetRest, ..ANYBODY },
    Row { value: Some(Value::High), action: Action::LastOffer, ..ANYBODY },
    Row { alive: Some(Alive::Likely), action: Action::RemindWithOffer, ..ANYBODY },
    ANYBODY,
];

impl Row {
    fn fits(&self, facts: &KeyFacts) -> bool {
        (self.buyers.is_empty() || self.buyers.contains(&facts.standing.buyers))
            && self.stage.is_none_or(|stage| stage == facts.standing.stage)
            && self.value.is_none_or(|value| value == facts.value)
            && self.engagement.is_none_or(|engagement| engagement == facts.engagement)
            && self.alive.is_none_or(|alive| Some(alive) == alive_by(facts))
    }
}

fn alive_by(facts: &KeyFacts) -> Option<Alive> {
    let p_alive = facts.p_alive.filter(|p_alive| !p_alive.is_nan())?;
    Some(match p_alive {
        ..HARDLY_ALIVE => Alive::Hardly,
        LIKELY_ALIVE.. => Alive::Likely,
        _ => Alive::Maybe,
    })
}

/// The suggestion for people of whom this is known. The same facts give the same suggestion.
pub fn next_action(facts: &KeyFacts) -> NextAction {
    let row = TABLE.iter().find(|row| row.fits(facts)).unwrap_or(&ANYBODY);
    let mut because = vec![
        facts.standing.buyers.description().trim_end_matches('.').to_lowercase(),
        facts.standing.stage.description().trim_end_matches('.').to_lowercase(),
    ];
    if row.value.is_some() && facts.value == Value::High {
        because.push("spend is in the highest fifth".to_owned());
    }
    if row.engagement.is_some() {
        because.push(
            match facts.engagement {
                Engagement::Engaged => "still visits",
                Engagement::Quiet => "did not visit for 30 days",
            }
            .to_owned(),
        );
    }
    if let (Some(_), Some(p_alive)) = (row.alive, facts.p_alive) {
        because.push(format!("{:.0} % likely to be still a customer", 100.0 * p_alive.clamp(0.0, 1.0)));
    }
    let because = because.join("; ");
    let mut letters = because.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    let because = first.into_iter().chain(letters).chain(['.']).collect();
    NextAction { action: row.action, sentence: row.action.sentence(), because }
}

impl Action {
    /// What to do, one sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Action::Welcome => "Welcome them with two or three mails that lead to the first order.",
            Action::HelpChoose => "Show what they looked at again, with reviews and help to choose.",
            Action::SecondOrder => "Suggest what goes with the first order, while it is fresh.",
            Action::Ambassador => "Thank them: early access and a request to recommend; no discount is needed.",
            Action::Suggest => "Suggest what goes with their last orders, at their own rhythm.",
            Action::StepInEarly => "Get in touch now: by their own rhythm the next order should have come already.",
            Action::WinBackPersonally => "Write personally and make the best offer that pays: they are worth it.",
            Action::Remind => "Remind them of what they like; no discount is needed yet.",
            Action::RemindWithOffer => "Remind them, with a small offer that ends soon.",
            Action::LastOffer => "Make one strong offer, once; let them rest if they do not take it.",
            Action::AskWhy => "Ask what is missing: they look and do not buy any more.",
            Action::LetRest => "Leave them out of paid campaigns and ask once whether they still want mail.",
        }
    }
}
