//! Files and rejected lines of somebody who is handed what is kept of them, or forgotten.

use super::{ClaimRow, ImportFile, chunk, drop_file, end_or_move, one};
use crate::import::Search;
use crate::store::erasure::tells_by_itself;
use crate::store::sql::sql;
use crate::store::{StoreError, from_timestamp};
use diesel::Connection;
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Text, Timestamptz};
use domain::identity::Kind;
use domain::report::ImportState;
use jiff::Timestamp;
use std::collections::HashSet;

#[derive(QueryableByName)]
struct RejectedPageRow {
    #[diesel(sql_type = Timestamptz)]
    at: PgTimestamp,
    #[diesel(sql_type = BigInt)]
    line: i64,
    #[diesel(sql_type = Text)]
    reason: String,
    #[diesel(sql_type = Array<Text>)]
    cells: Vec<String>,
}

/// Number, moment, reason and cells of a rejected line.
pub(crate) type Rejected = (i64, Timestamp, String, Vec<String>);

/// Rejected lines that are looked at together.
const LINES_AT_ONCE: i64 = 1_000;

/// The kept rejected lines of a site that have one of these identifiers.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn rejected_of(
    connection: &mut PgConnection,
    site_id: i32,
    named: &HashSet<(Kind, String)>,
) -> Result<Vec<Rejected>, StoreError> {
    let files: Vec<ClaimRow> =
        sql("SELECT DISTINCT site_id, import_id FROM import_rejected WHERE site_id = $1 ORDER BY import_id")
            .bind::<Integer, _>(site_id)
            .load(connection)?;
    let mut found = Vec::new();
    for file in files {
        let Some(filed) = one(connection, site_id, file.import_id)? else { continue };
        let search = Search::new((filed.import.kind, &filed.mapping), &filed.columns, named);
        let mut after = -1;
        loop {
            let rows: Vec<RejectedPageRow> = sql("SELECT at, line, reason, cells FROM import_rejected
                 WHERE site_id = $1 AND import_id = $2 AND line > $3 ORDER BY line LIMIT $4")
            .bind::<Integer, _>(site_id)
            .bind::<BigInt, _>(file.import_id)
            .bind::<BigInt, _>(after)
            .bind::<BigInt, _>(LINES_AT_ONCE)
            .load(connection)?;
            let Some(last) = rows.last() else { break };
            after = last.line;
            let own = rows.into_iter().filter(|row| search.is_in_rejected(&filed.columns, &row.cells));
            found.extend(own.map(|row| (row.line, from_timestamp(row.at), row.reason, row.cells)));
        }
    }
    Ok(found)
}

/// Ends an import, where it is not over, because of somebody who is being forgotten, and deletes its file in any case.
fn end_forgotten(connection: &mut PgConnection, (site_id, import_id): (i32, i64)) -> Result<(), StoreError> {
    let open = ImportState::ALL.into_iter().filter(|state| !state.is_over()).collect::<Vec<_>>();
    let why = "the file named somebody who has been forgotten and was deleted; what is stored of it stays. \
               Upload it again without them to import the rest";
    end_or_move(connection, (site_id, import_id), &open, ImportState::Failed, Some(why))?;
    drop_file(connection, site_id, import_id)
}

/// Ends the imports whose files name somebody who is being forgotten, and deletes what else of them is kept here.
///
/// `identifiers` are those of the person as `kind:value`, `traces` other texts that tell who it was.
///
/// # Errors
/// [`StoreError`]; it can be done again.
pub(crate) fn forget(
    connection: &mut PgConnection,
    site_id: i32,
    identifiers: &[String],
    traces: &[String],
) -> Result<(), StoreError> {
    let named = identifiers.iter().filter_map(|text| {
        let (kind, value) = text.split_once(':')?;
        Some((Kind::from_name(kind)?, value.to_owned()))
    });
    let named: HashSet<_> = named.collect();
    let values: Vec<String> = named.iter().map(|(_, value)| value.to_lowercase()).collect();
    sql("DELETE FROM import_rejected r WHERE r.site_id = $1 AND (
            EXISTS (SELECT FROM unnest(r.cells) AS cell WHERE lower(btrim(cell)) = ANY($2))
            OR EXISTS (SELECT FROM unnest($3) AS trace
                WHERE position(trace IN lower(r.reason || ' ' || array_to_string(r.cells, ' '))) > 0))")
    .bind::<Integer, _>(site_id)
    .bind::<Array<Text>, _>(values)
    .bind::<Array<Text>, _>(traces.to_vec())
    .execute(connection)?;
    let files: Vec<ClaimRow> = sql("SELECT DISTINCT site_id, import_id FROM import_chunks WHERE site_id = $1")
        .bind::<Integer, _>(site_id)
        .load(connection)?;
    for file in files {
        let Some(filed) = one(connection, site_id, file.import_id)? else { continue };
        let fetch = |no| chunk(connection, (site_id, file.import_id), no);
        let input = Box::new(ImportFile::new(filed.import.size_bytes, fetch));
        if crate::import::names_somebody((filed.import.kind, &filed.mapping), input, &named) {
            connection.transaction(|connection| end_forgotten(connection, (site_id, file.import_id)))?;
        }
    }
    forget_headings(connection, site_id, traces)
}

/// Overwrites names of files, headings, and what owners say of headings, where they tell who somebody was. A mapping is
/// only taken from an import that does not go on.
fn forget_headings(connection: &mut PgConnection, site_id: i32, traces: &[String]) -> Result<(), StoreError> {
    // A name alone is a word of headings, too.
    let telling = traces.iter().filter(|trace| tells_by_itself(trace)).cloned();
    let traces: Vec<String> = telling.collect();
    sql("UPDATE imports i SET file_name = '(erased)'
         WHERE i.site_id = $1 AND EXISTS (SELECT FROM unnest($2) AS trace
            WHERE position(trace IN lower(i.file_name)) > 0)")
    .bind::<Integer, _>(site_id)
    .bind::<Array<Text>, _>(traces.clone())
    .execute(connection)?;
    // Of a mapping the values alone: its keys are the names of fields.
    let told: Vec<ClaimRow> = sql("SELECT i.site_id, i.import_id FROM imports i
         WHERE i.site_id = $1 AND EXISTS (SELECT FROM unnest($2) AS trace
            WHERE position(trace IN lower(array_to_string(i.columns, ' '))) > 0
               OR EXISTS (SELECT FROM jsonb_path_query(i.mapping, '$.**') AS said
                    WHERE jsonb_typeof(said) = 'string' AND position(trace IN lower(said #>> '{}')) > 0))")
    .bind::<Integer, _>(site_id)
    .bind::<Array<Text>, _>(traces)
    .load(connection)?;
    for import in told {
        connection.transaction::<_, StoreError, _>(|connection| {
            end_forgotten(connection, (site_id, import.import_id))?;
            sql("UPDATE imports SET mapping = '{}', columns = '{}' WHERE site_id = $1 AND import_id = $2")
                .bind::<Integer, _>(site_id)
                .bind::<BigInt, _>(import.import_id)
                .execute(connection)?;
            Ok(())
        })?;
    }
    Ok(())
}
