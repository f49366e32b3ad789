//! The salts of consent mode `measure`.

use super::sql::sql;
use super::{Store, StoreError};
use diesel::Connection;
use diesel::RunQueryDsl;
use diesel::prelude::QueryableByName;
use diesel::sql_types::{Binary, Text};
use jiff::ToSpan;
use jiff::civil::Date;

#[derive(QueryableByName)]
struct SaltRow {
    #[diesel(sql_type = Text)]
    day: String,
    #[diesel(sql_type = Binary)]
    salt: Vec<u8>,
}

impl Store {
    /// Makes the salts of `today` and the day after where nobody has, destroys those from before yesterday, and gives
    /// back what is there.
    pub(crate) fn turn_salts(&self, today: Date, fresh: [[u8; 32]; 2]) -> Result<Vec<(Date, [u8; 32])>, StoreError> {
        let odd = |_| StoreError::Refused("a day is out of range".into());
        let tomorrow = today.checked_add(1.day()).map_err(odd)?;
        let yesterday = today.checked_sub(1.day()).map_err(odd)?;
        self.lend()?.transaction(|connection| {
            sql("DELETE FROM salts WHERE day < $1::text::date")
                .bind::<Text, _>(yesterday.to_string())
                .execute(connection)?;
            for (day, salt) in [today, tomorrow].into_iter().zip(fresh) {
                sql("INSERT INTO salts (day, salt) VALUES ($1::text::date, $2) ON CONFLICT (day) DO NOTHING")
                    .bind::<Text, _>(day.to_string())
                    .bind::<Binary, _>(salt.to_vec())
                    .execute(connection)?;
            }
            let rows: Vec<SaltRow> = sql("SELECT day::text AS day, salt FROM salts").load(connection)?;
            rows.into_iter()
                .map(|row| {
                    let odd = || StoreError::Refused("a salt cannot be read".into());
                    Ok((row.day.parse().map_err(|_| odd())?, row.salt.try_into().map_err(|_| odd())?))
                })
                .collect()
        })
    }
}
