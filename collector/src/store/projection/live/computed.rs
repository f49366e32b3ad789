//! What a definition of a computed trait that is not kept would come to.

use super::{now, read_asked};
use crate::store::membership::LiveSite;
use crate::store::people::Texts;
use crate::store::sites::Site;
use crate::store::sql::sql;
use crate::store::{Store, StoreError};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer};
use domain::segment::rule::{Computed, Taken};

/// People whom a preview asks at most.
const ASKED: i64 = 1_000;
/// People of a preview whose events are in memory at a time.
const ASKED_AT_ONCE: usize = 250;

#[derive(QueryableByName)]
struct ChosenRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = BigInt)]
    people: i64,
}

/// What some people would have.
pub(crate) struct ComputedOfSome {
    /// Everybody with a profile.
    pub(crate) people: u64,
    /// Those who were asked, in an order that is random and always the same.
    pub(crate) taken: Vec<(i64, Taken)>,
}

/// Asks a definition about everybody, or where there are many about a thousand of them.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn preview_computed(
    store: &Store,
    site: &Site,
    definition: &Computed,
) -> Result<ComputedOfSome, StoreError> {
    store.read(|connection| {
        // The same people for every definition, so that two previews differ by what was written alone.
        let chosen: Vec<ChosenRow> =
            sql("SELECT profile_id, count(*) OVER () AS people FROM profiles WHERE site_id = $1
             ORDER BY hashint8extended(profile_id, 20261126), profile_id LIMIT $2")
            .bind::<Integer, _>(site.site_id)
            .bind::<BigInt, _>(ASKED)
            .load(connection)?;
        let people = chosen.first().map_or(0, |row| row.people);
        let profile_ids: Vec<i64> = chosen.into_iter().map(|row| row.profile_id).collect();
        let taken = take(connection, site, definition, &profile_ids)?;
        Ok(ComputedOfSome { people: u64::try_from(people).unwrap_or(0), taken })
    })
}

/// What a definition comes to for one person now; `None` for somebody who is unknown or only measured.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn computed_of(
    store: &Store,
    site: &Site,
    definition: &Computed,
    profile_id: i64,
) -> Result<Option<Taken>, StoreError> {
    store.read(|connection| Ok(take(connection, site, definition, &[profile_id])?.pop().map(|(_, taken)| taken)))
}

fn take(
    connection: &mut PgConnection,
    site: &Site,
    definition: &Computed,
    profile_ids: &[i64],
) -> Result<Vec<(i64, Taken)>, StoreError> {
    let mut texts = Texts::default();
    let mut live = LiveSite::computing(connection, site, definition)?;
    let mut all = Vec::with_capacity(profile_ids.len());
    for some in profile_ids.chunks(ASKED_AT_ONCE) {
        let rows = read_asked(&mut texts, &mut live, connection, site, some)?;
        all.extend(rows.iter().filter_map(|row| Some((row.profile_id.0, live.taken(row, now())?))));
    }
    let place = |id: i64| profile_ids.iter().position(|known| *known == id);
    all.sort_by_key(|(id, _)| place(*id));
    Ok(all)
}
