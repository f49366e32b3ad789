//! Everything that is kept of one person, for the person.

use super::profiles::Happening;
use super::sites::Site;
use super::sql::sql;
use super::{Store, StoreError};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Jsonb, SmallInt, Text};
use serde_json::{Value, json};
use std::collections::HashSet;

/// Events of one answer; a robot may have more, and then the answer says so.
const EVENTS: usize = 200_000;

#[derive(QueryableByName)]
struct RowsRow {
    #[diesel(sql_type = Jsonb)]
    rows: Value,
}

#[derive(QueryableByName)]
struct NamedRow {
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Text)]
    value: String,
}

/// The lines of files that were rejected and name the person, found as an erasure finds them.
fn rejected_lines(connection: &mut PgConnection, site_id: i32, profile_id: i64) -> Result<Value, StoreError> {
    let rows: Vec<NamedRow> = sql("SELECT kind, value FROM identities WHERE site_id = $1 AND profile_id = $2")
        .bind::<Integer, _>(site_id)
        .bind::<BigInt, _>(profile_id)
        .load(connection)?;
    let named = rows.into_iter().map(|row| Ok((super::identities::kind(row.kind)?, row.value)));
    let named = named.collect::<Result<HashSet<_>, StoreError>>()?;
    let lines = super::imports::rejected_of(connection, site_id, &named)?;
    let told = lines.into_iter().map(
        |(line, at, reason, cells)| json!({ "at": at.to_string(), "line": line, "reason": reason, "cells": cells }),
    );
    Ok(told.collect())
}

impl Store {
    /// Everything that is kept of a person: identifiers, facts, events as they came, visits, orders, computed traits,
    /// segments now and before, what models say. `None` where there is no such person.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn export_person(&self, site: &Site, profile_id: i64) -> Result<Option<Value>, StoreError> {
        let Some(person) = self.person(site, profile_id, EVENTS)? else { return Ok(None) };
        let is_cut = person.events.len() >= EVENTS;
        let events: Vec<&Happening> = person.events.iter().rev().collect();
        let mut told = json!({
            "profile_id": profile_id,
            "site": site.name,
            "facts": person.facts,
            "identities": person.identities,
            "events": events,
            "events_are_cut": is_cut,
        });
        self.read(|connection| {
            for (name, statement) in [
                (
                    "visits",
                    "SELECT COALESCE(jsonb_agg(to_jsonb(s) - 'site_id' - 'profile_id' - 'page_ids' - 'entry_page_id'
                        - 'exit_page_id' ORDER BY started_at), '[]') AS rows
                     FROM sessions s WHERE site_id = $1 AND profile_id = $2",
                ),
                (
                    "orders",
                    "SELECT COALESCE(jsonb_agg(to_jsonb(o) - 'site_id' - 'profile_id' ORDER BY ordered_at), '[]') AS rows
                     FROM orders o WHERE site_id = $1 AND profile_id = $2",
                ),
                (
                    "segments",
                    "SELECT COALESCE(jsonb_agg(jsonb_build_object('key', g.key, 'name', g.name, 'since', m.entered_at)
                        ORDER BY g.key), '[]') AS rows
                     FROM segment_members m JOIN segments g USING (site_id, segment_id)
                     WHERE site_id = $1 AND profile_id = $2",
                ),
                (
                    "segment_changes",
                    "SELECT COALESCE(jsonb_agg(jsonb_build_object('key', g.key, 'at', c.at, 'entered', c.entered)
                        ORDER BY c.change_id), '[]') AS rows
                     FROM segment_changes c JOIN segments g USING (site_id, segment_id)
                     WHERE site_id = $1 AND profile_id = $2",
                ),
                (
                    "computed_traits",
                    "SELECT COALESCE(jsonb_object_agg(t.name, v.value), '{}') AS rows
                     FROM trait_values v JOIN computed_traits t USING (site_id, trait_id)
                     WHERE site_id = $1 AND profile_id = $2",
                ),
                (
                    "predictions",
                    "SELECT COALESCE(jsonb_agg(to_jsonb(s) - 'site_id' - 'profile_id'), '[]') AS rows
                     FROM segment_scores s WHERE site_id = $1 AND profile_id = $2",
                ),
                (
                    "links",
                    "SELECT COALESCE(jsonb_agg(jsonb_build_object('at', l.at, 'from', i.value, 'to',
                        CASE WHEN o.profile_id = i.profile_id THEN o.value END,
                        'outcome', l.outcome, 'reason', l.reason) ORDER BY l.link_id), '[]') AS rows
                     FROM identity_links l
                     JOIN identities i ON i.site_id = l.site_id AND i.identity_id = l.identity_id
                     JOIN identities o ON o.site_id = l.site_id AND o.identity_id = l.other_id
                     WHERE i.site_id = $1 AND i.profile_id = $2",
                ),
                // What of theirs was compared with somebody else's, and what came of it; not with whose.
                (
                    "matches",
                    "SELECT COALESCE(jsonb_agg(jsonb_build_object('identifier', i.value, 'found_at', m.found_at,
                        'state', m.state, 'probability', m.probability, 'evidence', m.evidence,
                        'decided_at', m.decided_at) ORDER BY m.match_id), '[]') AS rows
                     FROM identities i JOIN match_suggestions m
                        ON m.site_id = i.site_id AND i.identity_id IN (m.identity_id, m.other_id)
                     WHERE i.site_id = $1 AND i.profile_id = $2",
                ),
            ] {
                let row: RowsRow = sql(statement)
                    .bind::<Integer, _>(site.site_id)
                    .bind::<BigInt, _>(profile_id)
                    .get_result(connection)?;
                told[name] = row.rows;
            }
            told["rejected_lines"] = rejected_lines(connection, site.site_id, profile_id)?;
            Ok(())
        })?;
        Ok(Some(told))
    }
}
