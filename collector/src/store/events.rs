//! The events table: what one row holds, how rows are written by COPY, and how a person's are read back.

use super::StoreError;
use super::schema::{events, events_stage};
use super::sites::Site;
use crate::intake::enrich::Address;
use diesel::PgConnection;
use diesel::pg::CopyFormat;
use diesel::prelude::ExecuteCopyFromDsl;
use domain::event::Trust;
use domain::identity::Kind as IdentityKind;
use domain::surroundings::EmailClass;
use std::sync::Arc;
use uuid::Uuid;

/// What kind of event a row is; the numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub(crate) enum Kind {
    Page = 1,
    Snapshot = 2,
    Track = 3,
    Identify = 4,
    Group = 5,
    Alias = 6,
    Screen = 7,
}

impl Kind {
    pub(crate) fn from_code(code: i16) -> Option<Kind> {
        use Kind::*;
        [Page, Snapshot, Track, Identify, Group, Alias, Screen].into_iter().find(|kind| *kind as i16 == code)
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Kind::Page => "page",
            Kind::Snapshot => "snapshot",
            Kind::Track => "track",
            Kind::Identify => "identify",
            Kind::Group => "group",
            Kind::Alias => "alias",
            Kind::Screen => "screen",
        }
    }
}

/// Bits of `events.flags`.
pub(crate) mod flags {
    /// Brought by the secret key or an import.
    pub(crate) const TRUSTED: i16 = 1;
    /// Consent mode `measure`: the identity is a day's visitor, not a person.
    pub(crate) const MEASURED: i16 = 2;
    /// `occurred_at` is more than 48 h from the event id's time. The migration's partial index tests this bit.
    pub(crate) const SKEWED: i16 = 4;
    /// Global Privacy Control was on.
    pub(crate) const GPC: i16 = 8;
    /// Do Not Track was on.
    pub(crate) const DNT: i16 = 16;
    /// From a file.
    pub(crate) const IMPORTED: i16 = 32;
    /// An identify or alias of a browser without the signature that the site asks for: it tells nothing of anybody.
    pub(crate) const CLAIMED: i16 = 64;
}

/// Texts of an event that are kept in the dictionary, in the order of their columns; the numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i16)]
pub(crate) enum Term {
    Name = 1,
    Page = 2,
    Title = 3,
    Referrer = 4,
    Campaign = 5,
    Agent = 6,
    Device = 7,
    /// The key of the source that brought it: `tracker`, `segment`, …
    Source = 8,
    /// The country's code, `AT`.
    Place = 9,
    /// Device, browser, version and system as [`domain::surroundings::Software`] writes them.
    Software = 10,
}

impl Term {
    pub(crate) const COUNT: usize = 10;
    pub(crate) const ALL: [Term; Term::COUNT] = [
        Term::Name,
        Term::Page,
        Term::Title,
        Term::Referrer,
        Term::Campaign,
        Term::Agent,
        Term::Device,
        Term::Source,
        Term::Place,
        Term::Software,
    ];
    /// The first of those whose columns came later than the others and stand behind them.
    const LATER: usize = Term::Source as usize - 1;
}

/// An event's texts, indexed by [`Term`] from `Name` on.
pub(crate) type Texts = [Option<Arc<str>>; Term::COUNT];
/// Their numbers in the dictionary.
pub(crate) type TextIds = [Option<i32>; Term::COUNT];

/// How an event is known again when it is sent a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKey {
    /// Its own id, a uuid v7 that is the same on every try.
    Own(Uuid),
    /// A foreign message id: known by its hash, stored under the id that was minted here.
    Foreign { message_hash: Uuid, minted: Uuid },
    /// The source has no ids: stored as it arrives, under the id that was minted here.
    Unnamed { minted: Uuid },
}

impl EventKey {
    pub(crate) fn event_id(&self) -> Uuid {
        match *self {
            EventKey::Own(id) | EventKey::Foreign { minted: id, .. } | EventKey::Unnamed { minted: id } => id,
        }
    }
}

/// An event that has passed the screen, before its texts and identities have numbers.
#[derive(Clone, Debug)]
pub(crate) struct NewEvent {
    pub(crate) key: EventKey,
    pub(crate) who: super::identities::Who,
    /// Other identities the message ties to `who`.
    pub(crate) links: Vec<super::identities::NewLink>,
    /// Identifiers of the message that name nobody.
    pub(crate) blocked: Vec<(IdentityKind, Arc<str>)>,
    /// The shop's id of the order that this event reports.
    pub(crate) order_id: Option<Arc<str>>,
    pub(crate) kind: Kind,
    pub(crate) flags: i16,
    /// In microseconds since 1970-01-01 UTC.
    pub(crate) occurred_at_us: i64,
    pub(crate) view_id: Option<Uuid>,
    pub(crate) terms: Texts,
    pub(crate) snapshot: Option<SnapshotValues>,
    /// Checked JSON text.
    pub(crate) properties: Option<Box<str>>,
    /// Where the person was whom a trusted sender's event is about, if the message says; gone once
    /// [`crate::intake::enrich`] has looked at it.
    pub(crate) address: Option<Address>,
    /// 0 to 100, from [`crate::intake::enrich`].
    pub(crate) bot_score: u8,
    /// From [`crate::intake::enrich`].
    pub(crate) email_class: Option<EmailClass>,
}

impl NewEvent {
    /// An event of which nothing is known but whose it is, when it happened and which source brought it.
    pub(crate) fn new(
        source: &Arc<str>,
        kind: Kind,
        key: EventKey,
        who: super::identities::Who,
        (occurred_at_us, flags): (i64, i16),
    ) -> NewEvent {
        let mut new = NewEvent {
            key,
            who,
            links: Vec::new(),
            blocked: Vec::new(),
            order_id: None,
            kind,
            flags,
            occurred_at_us,
            view_id: None,
            terms: Texts::default(),
            snapshot: None,
            properties: None,
            address: None,
            bot_score: 0,
            email_class: None,
        };
        new.set(Term::Source, Some(Arc::clone(source)));
        new
    }

    /// Sets one of its texts.
    pub(crate) fn set(&mut self, term: Term, text: Option<Arc<str>>) {
        self.terms[term as usize - 1] = text;
    }

    /// One of its texts.
    pub(crate) fn text(&self, term: Term) -> Option<&Arc<str>> {
        self.terms[term as usize - 1].as_ref()
    }

    pub(crate) fn trust(&self) -> Trust {
        if self.flags & flags::TRUSTED != 0 { Trust::Trusted } else { Trust::Browser }
    }

    /// The identities that the event ties to its own: those of its message, and its order.
    pub(crate) fn ties(&self) -> impl Iterator<Item = (IdentityKind, &Arc<str>)> {
        let links = self.links.iter().map(|link| (link.kind, &link.value));
        links.chain(self.order_id.as_ref().map(|order_id| (IdentityKind::Order, order_id)))
    }
}

/// The columns of a page snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnapshotValues {
    pub(crate) revision: i32,
    pub(crate) engaged_ms: i32,
    pub(crate) clicks: i32,
    pub(crate) max_scroll_pct: i16,
}

/// An event with all its numbers, ready to be written.
pub(crate) struct Row<'a> {
    pub(crate) site: &'a Arc<Site>,
    pub(crate) identity_id: i64,
    pub(crate) event: &'a NewEvent,
    pub(crate) terms: TextIds,
    /// Index of the request it came with.
    pub(crate) request: usize,
    /// Where it stood among all events of the transaction.
    pub(crate) place: usize,
}

const COLUMNS: i16 = 24;
/// From 1970-01-01 to 2000-01-01, PostgreSQL's epoch.
pub(crate) const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// Writes rows in PostgreSQL's binary COPY format.
pub(crate) fn encode(rows: &[Row<'_>], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
    out.extend_from_slice(&[0; 8]);
    for row in rows {
        let event = row.event;
        out.extend_from_slice(&COLUMNS.to_be_bytes());
        field(out, &row.identity_id.to_be_bytes());
        field(out, &(event.occurred_at_us - POSTGRES_EPOCH_US).to_be_bytes());
        field(out, &row.site.site_id.to_be_bytes());
        field(out, &(event.kind as i16).to_be_bytes());
        field(out, &event.flags.to_be_bytes());
        field(out, event.key.event_id().as_bytes());
        nullable(out, event.view_id.as_ref().map(|id| id.as_bytes()));
        let (texts, later) = row.terms.split_at(Term::LATER);
        for text in texts {
            nullable(out, text.map(i32::to_be_bytes).as_ref());
        }
        let snapshot = event.snapshot.as_ref();
        nullable(out, snapshot.map(|s| s.revision.to_be_bytes()).as_ref());
        nullable(out, snapshot.map(|s| s.engaged_ms.to_be_bytes()).as_ref());
        nullable(out, snapshot.map(|s| s.clicks.to_be_bytes()).as_ref());
        nullable(out, snapshot.map(|s| s.max_scroll_pct.to_be_bytes()).as_ref());
        match &event.properties {
            Some(json) => {
                // jsonb's binary form: a version byte before the text.
                out.extend_from_slice(&(json.len() as i32 + 1).to_be_bytes());
                out.push(1);
                out.extend_from_slice(json.as_bytes());
            }
            None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
        }
        for text in later {
            nullable(out, text.map(i32::to_be_bytes).as_ref());
        }
        let score = Some(i16::from(event.bot_score)).filter(|score| *score > 0);
        nullable(out, score.map(i16::to_be_bytes).as_ref());
        nullable(out, event.email_class.map(|class| class.code().to_be_bytes()).as_ref());
    }
    out.extend_from_slice(&(-1_i16).to_be_bytes());
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn nullable<const N: usize>(out: &mut Vec<u8>, bytes: Option<&[u8; N]>) {
    match bytes {
        Some(bytes) => field(out, bytes),
        None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
    }
}

/// Copies encoded rows into `events`.
///
/// # Errors
/// [`StoreError::AlreadyThere`] when one of them is stored already; the transaction is then over.
pub(crate) fn copy(connection: &mut PgConnection, encoded: &[u8]) -> Result<(), StoreError> {
    diesel::copy_from(events::table)
        .from_raw_data(events::table, |copy| copy.write_all(encoded).map_err(sink))
        .with_format(CopyFormat::Binary)
        .execute(connection)?;
    Ok(())
}

/// Copies encoded rows into the connection's stage, from where they are moved with duplicates stepped over.
pub(crate) fn copy_to_stage(connection: &mut PgConnection, encoded: &[u8]) -> Result<(), StoreError> {
    diesel::copy_from(events_stage::table)
        .from_raw_data(events_stage::table, |copy| copy.write_all(encoded).map_err(sink))
        .with_format(CopyFormat::Binary)
        .execute(connection)?;
    Ok(())
}

fn sink(error: std::io::Error) -> diesel::result::Error {
    diesel::result::Error::SerializationError(Box::new(error))
}
