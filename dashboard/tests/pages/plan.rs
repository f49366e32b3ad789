//! The tracking plan.

use super::fixtures::{HOSTILE, ago, now, site};
use domain::plan::{Breach, ValueKind};
use domain::report::{BreachRow, Plan, PlanEvent, PlanEventRow, SeenProperty};

fn row(name: &str, count: u64, is_pinned: bool, breaches: u64) -> PlanEventRow {
    let last_at = (count > 0).then(|| ago(30));
    PlanEventRow { name: name.into(), count, last_at, properties: 4, is_pinned, breaches }
}

pub(crate) fn plan() -> Plan {
    Plan {
        site: site(),
        now: now(),
        days: 30,
        block: false,
        blocked: 0,
        events: vec![
            row("Product Viewed", 48_210, true, 1_204),
            row("Product Added", 9_120, false, 0),
            row("Plan Chosen", 0, true, 0),
        ],
        other: 0,
    }
}

pub(crate) fn plan_empty() -> Plan {
    Plan { events: Vec::new(), ..plan() }
}

pub(crate) fn plan_hostile() -> Plan {
    Plan { events: vec![row(HOSTILE, 3, true, 2)], block: true, blocked: 12, other: 4_000, ..plan() }
}

fn seen(name: &str, kinds: &[(ValueKind, u64)], expected: Option<&str>) -> SeenProperty {
    SeenProperty { name: name.into(), kinds: kinds.to_vec(), expected: expected.map(str::to_owned) }
}

fn breach(property: &str, breach: Breach, source: &str, sample: &str) -> BreachRow {
    BreachRow {
        property: property.into(),
        breach,
        source: source.into(),
        count: 1_100,
        last_at: ago(5),
        sample: sample.into(),
    }
}

pub(crate) fn event() -> PlanEvent {
    PlanEvent {
        site: site(),
        now: now(),
        days: 30,
        block: false,
        name: "Product Viewed".into(),
        count: 48_210,
        properties: vec![
            seen("category", &[(ValueKind::Text, 48_210)], Some("text, required")),
            seen("price", &[(ValueKind::Number, 48_000), (ValueKind::Text, 104)], Some("number, required")),
            seen("coupon", &[(ValueKind::Text, 12)], None),
            seen("size", &[], Some("any")),
        ],
        plan: Some("category: text, required\nprice: number, required\nsize: any".into()),
        suggested: "category: text, required".into(),
        breaches: vec![
            breach("price", Breach::WrongKind, "tracker", "\"n/a\""),
            breach("price", Breach::Missing, "", ""),
            breach("category", Breach::OtherValue, "shopify:main", "\"bags\""),
        ],
    }
}

pub(crate) fn event_unpinned() -> PlanEvent {
    let properties = event().properties.into_iter().map(|seen| SeenProperty { expected: None, ..seen }).collect();
    PlanEvent { plan: None, breaches: Vec::new(), properties, ..event() }
}

pub(crate) fn event_bare() -> PlanEvent {
    PlanEvent { properties: Vec::new(), breaches: Vec::new(), plan: Some(String::new()), block: true, ..event() }
}

pub(crate) fn event_hostile() -> PlanEvent {
    let mut report = event();
    report.name = HOSTILE.into();
    report.plan = Some(HOSTILE.into());
    report.suggested = HOSTILE.into();
    for seen in &mut report.properties {
        (seen.name, seen.expected) = (HOSTILE.into(), Some(HOSTILE.into()));
    }
    for row in &mut report.breaches {
        (row.property, row.source, row.sample) = (HOSTILE.into(), HOSTILE.into(), HOSTILE.into());
    }
    report
}
