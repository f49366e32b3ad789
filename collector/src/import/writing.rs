//! Storing batches of a file, each in one transaction.

use super::{Batch, RejectedLine};
use crate::intake::enrich::MailDomains;
use crate::intake::screen::Fault;
use crate::intake::{Reason, clock};
use crate::store::erasure::Forgotten;
use crate::store::events::NewEvent;
use crate::store::ingest::{Ingest, Receipt, Rejection, SiteBatch};
use crate::store::sites::Site;
use crate::store::{Store, StoreError};
use diesel::PgConnection;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How often a transaction that met another one is tried again.
const TRIES: u32 = 5;

/// What becomes of a batch, in its transaction.
pub(crate) struct Outcome<'a> {
    pub(crate) receipt: Receipt,
    /// Lines of which nothing is stored.
    pub(crate) rejected: &'a [RejectedLine],
    /// People of whom nothing may be kept.
    pub(crate) forgotten: &'a Forgotten,
}

/// What else happens in a batch's transaction.
pub(crate) type Also<'a> = dyn FnMut(&mut PgConnection, Outcome<'_>) -> Result<(), StoreError> + 'a;

/// A writer of one site's files.
pub(crate) struct Writing {
    store: Store,
    site: Arc<Site>,
    source: Arc<str>,
    connection: PgConnection,
    ingest: Ingest,
    months: BTreeSet<Date>,
    mail: MailDomains,
}

impl Writing {
    /// A writer with a connection of its own.
    ///
    /// # Errors
    /// [`StoreError::Away`]
    pub(crate) fn new(store: &Store, site: &Arc<Site>) -> Result<Writing, StoreError> {
        Ok(Writing {
            store: store.clone(),
            site: Arc::clone(site),
            source: super::source(),
            connection: store.connect()?,
            ingest: Ingest::new(),
            months: BTreeSet::new(),
            mail: MailDomains::built_in(),
        })
    }

    /// Stores a batch; gives what became of it and the lines of which nothing is stored. An event that PostgreSQL refuses becomes a rejected line; its neighbours are stored.
    ///
    /// # Errors
    /// [`StoreError`]; what was committed until then stays, and the same batch can be stored again.
    pub(crate) fn store(
        &mut self,
        batch: Batch,
        also: &mut Also<'_>,
    ) -> Result<(Receipt, Vec<RejectedLine>), StoreError> {
        self.ensure_months(&batch.events)?;
        if !batch.days.is_empty() {
            return self.put_days(batch, also);
        }
        let mut rejected = batch.rejected;
        let (lines, mut events): (Vec<u64>, Vec<NewEvent>) = batch.events.into_iter().unzip();
        for event in &mut events {
            event.email_class = self.mail.email_class(event);
        }
        match self.commit(&events, &rejected, Receipt::default(), also) {
            Err(StoreError::Refused(_)) if !events.is_empty() => {
                let mut told = Receipt::default();
                self.halve(&lines, &events, &mut told, &mut rejected)?;
                let last = self.commit(&[], &rejected, told, also)?;
                Ok((sum(told, last), rejected))
            }
            result => Ok((result?, rejected)),
        }
    }

    /// Puts the sums of a file by day, and the lines of its last batch that are rejected.
    fn put_days(&mut self, batch: Batch, also: &mut Also<'_>) -> Result<(Receipt, Vec<RejectedLine>), StoreError> {
        let told = batch.days.put(&mut self.connection, self.site.site_id)?;
        let rejected = self.commit(&[], &batch.rejected, told, also)?;
        Ok((sum(told, rejected), batch.rejected))
    }

    /// Stores each half by itself, down to the events that are refused.
    fn halve(
        &mut self,
        lines: &[u64],
        events: &[NewEvent],
        told: &mut Receipt,
        rejected: &mut Vec<RejectedLine>,
    ) -> Result<(), StoreError> {
        let (lines, events) = (lines.split_at(lines.len() / 2), events.split_at(events.len() / 2));
        for (lines, events) in [(lines.0, events.0), (lines.1, events.1)] {
            match self.commit(events, &[], Receipt::default(), &mut |_, _| Ok(())) {
                Ok(receipt) => *told = sum(*told, receipt),
                Err(StoreError::Refused(_)) if events.len() > 1 => self.halve(lines, events, told, rejected)?,
                Err(StoreError::Refused(why)) => {
                    tracing::warn!(site = self.site.site_id, line = lines.first(), why, "a line is refused");
                    rejected.extend(lines.first().map(|line| RejectedLine {
                        line: *line,
                        kind: Reason::StorageRefused,
                        reason: "the database refuses what the line says".to_owned(),
                        told: Vec::new(),
                    }));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// One transaction; `before` is what became of other events of the same batch.
    fn commit(
        &mut self,
        events: &[NewEvent],
        rejected: &[RejectedLine],
        before: Receipt,
        also: &mut Also<'_>,
    ) -> Result<Receipt, StoreError> {
        let group = [SiteBatch {
            site: Arc::clone(&self.site),
            source: Arc::clone(&self.source),
            events: events.to_vec(),
            rejections: rejected.iter().map(rejection).collect(),
        }];
        let mut tries = 0;
        loop {
            let stored = self.ingest.store_and(
                &mut self.connection,
                &group,
                clock::now_us(),
                &mut |connection, receipts, forgotten| {
                    let own = receipts.first().copied().unwrap_or_default();
                    also(connection, Outcome { receipt: sum(before, own), rejected, forgotten })
                },
            );
            match stored {
                Ok(receipts) => return Ok(receipts.first().copied().unwrap_or_default()),
                Err(StoreError::Contended(_)) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes the months of these events before the first of them is stored.
    fn ensure_months(&mut self, events: &[(u64, NewEvent)]) -> Result<(), StoreError> {
        let month = |event: &NewEvent| {
            crate::store::instant(event.occurred_at_us).to_zoned_datetime(TimeZone::UTC).date().first_of_month()
        };
        let new: BTreeSet<Date> =
            events.iter().map(|(_, event)| month(event)).filter(|month| !self.months.contains(month)).collect();
        if !new.is_empty() {
            self.store.ensure_months(crate::serve::today(), new.iter().copied())?;
            self.months.extend(new);
        }
        Ok(())
    }
}

fn rejection(rejected: &RejectedLine) -> Rejection {
    Fault::new(rejected.kind, rejected.reason.clone()).at_line(rejected.line).rejection(None)
}

fn sum(one: Receipt, other: Receipt) -> Receipt {
    Receipt {
        stored: one.stored + other.stored,
        duplicate: one.duplicate + other.duplicate,
        rejected: one.rejected + other.rejected,
    }
}
