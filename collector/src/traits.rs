//! What a definition of a computed trait would come to: one value for the page and the API.

use crate::store::projection::{ComputedOfSome, preview_computed};
use crate::store::sites::Site;
use crate::store::{Store, StoreError, instant};
use domain::event::ProfileId;
use domain::report::{Spread, TraitPreview, TraitPreviewPerson};
use domain::segment::rule::{Computed, Scalar, Taken};
use jiff::Timestamp;
use std::collections::HashMap;

/// People of a preview who are shown.
const SAMPLE: usize = 10;

/// What a definition, which must be checked, would come to now. Of many people a part is asked.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn preview(store: &Store, site: &Site, definition: &Computed) -> Result<TraitPreview, StoreError> {
    let ComputedOfSome { people, taken } = preview_computed(store, site, definition)?;
    let is_nothing = |value: &Scalar| *value == Scalar::Number(0.0) && definition.take.is_zero_of_nothing();
    let asked = taken.len() as u64;
    let known: Vec<(i64, Taken, Scalar)> = taken
        .into_iter()
        .filter_map(|(id, taken)| {
            let value = taken.value.clone().filter(|value| !is_nothing(value))?;
            Some((id, taken, value))
        })
        .collect();
    let values: Vec<Scalar> = known.iter().map(|(_, _, value)| value.clone()).collect();
    let shown: Vec<i64> = known.iter().take(SAMPLE).map(|(id, ..)| *id).collect();
    let mut names: HashMap<i64, Option<String>> =
        store.people_rows(site, &shown)?.into_iter().map(|row| (row.profile_id.0, row.name)).collect();
    let moment = |second: u32| -> Timestamp { instant(i64::from(second) * 1_000_000) };
    let person = |(id, taken, value): &(i64, Taken, Scalar)| TraitPreviewPerson {
        profile_id: ProfileId(*id),
        name: names.remove(id).flatten(),
        value: value.clone(),
        events: taken.events,
        last_at: taken.last_at.map(moment),
        changes_at: taken.changes_at.map(moment),
    };
    let sample = known.iter().take(SAMPLE).map(person).collect();
    Ok(TraitPreview { people, asked, known: known.len() as u64, spread: Spread::of(&values), sample })
}
