//! Computed traits.

use super::fixtures::{HOSTILE, ago, now, site};
use domain::event::ProfileId;
use domain::report::{
    ComputedTraitRow, ComputedTraits, Progress, Spread, TraitPreview, TraitPreviewPerson, TriedTrait,
};
use domain::segment::rule::{Computed, Scalar};

fn row(name: &str, says: &str, people: u64, spread: Option<Spread>) -> ComputedTraitRow {
    ComputedTraitRow {
        name: name.into(),
        description: String::new(),
        says: Some(says.into()),
        json: Some("{}".into()),
        is_zero_of_nothing: says.starts_with("number"),
        revision: 1,
        updated_at: ago(600),
        people,
        spread,
        progress: None,
        asked_by: Vec::new(),
    }
}

pub(crate) fn traits() -> ComputedTraits {
    let values = Spread::Values(vec![("shoes".into(), 8_211), ("hats".into(), 1_204), ("bags".into(), 77)]);
    ComputedTraits {
        site: site(),
        now: now(),
        people: 48_112,
        rows: vec![
            ComputedTraitRow {
                description: "What to show first in a letter.".into(),
                ..row("favourite_category", r#"most frequent "category" of "Product Viewed""#, 9_612, Some(values))
            },
            ComputedTraitRow {
                asked_by: vec![("keen-on-pricing".into(), "Keen on pricing".into()), ("vips".into(), "VIPs".into())],
                ..row(
                    "orders_90_days",
                    "number of orders within 90 days",
                    3_104,
                    Some(Spread::Numbers([1.0, 1.0, 2.0, 3.0, 41.0])),
                )
            },
            row("same_for_all", r#"first "channel" of visits"#, 12, Some(Spread::Numbers([2.5; 5]))),
        ],
        most: 50,
    }
}

pub(crate) fn traits_empty() -> ComputedTraits {
    ComputedTraits { rows: Vec::new(), people: 0, ..traits() }
}

pub(crate) fn traits_computed() -> ComputedTraits {
    let mut report = traits();
    report.rows[1].progress = Some(Progress { asked: 12_500, people: 48_112 });
    report.rows[2] = ComputedTraitRow { says: None, json: None, spread: None, people: 0, ..report.rows[2].clone() };
    report
}

pub(crate) fn traits_hostile() -> ComputedTraits {
    let mut report = traits();
    for row in &mut report.rows {
        row.description = HOSTILE.into();
        row.says = Some(HOSTILE.into());
        row.spread = Some(Spread::Values(vec![(HOSTILE.into(), 3)]));
        row.asked_by = vec![("keen-on-pricing".into(), HOSTILE.into())];
    }
    report
}

pub(crate) fn preview(text: &str) -> TriedTrait {
    let person = |id, name: Option<&str>, value: Scalar, events| TraitPreviewPerson {
        profile_id: ProfileId(id),
        name: name.map(str::to_owned),
        value,
        events,
        last_at: Some(ago(90)),
        changes_at: (id == 41).then(|| ago(-600)),
    };
    TriedTrait::Made {
        says: r#"most frequent "category" of "Product Viewed" within 30 days"#.into(),
        preview: TraitPreview {
            people: 48_112,
            asked: 1_000,
            known: 214,
            spread: Some(Spread::Values(vec![(text.into(), 120), ("hats".into(), 94)])),
            sample: vec![
                person(41, Some(text), Scalar::Text(text.into()), 12),
                person(42, None, Scalar::Number(1_234.5), 1),
                person(43, None, Scalar::Bool(true), 2),
            ],
        },
    }
}

pub(crate) fn nobody() -> TriedTrait {
    let preview = TraitPreview { people: 12, asked: 12, known: 0, spread: None, sample: Vec::new() };
    TriedTrait::Made { says: "number of orders".into(), preview }
}

pub(crate) fn faulty(says: &str) -> TriedTrait {
    TriedTrait::Unreadable(says.parse::<Computed>().expect_err("no definition"))
}
