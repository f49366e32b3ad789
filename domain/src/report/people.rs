//! People: found, listed, and one of them with everything that is known.

use super::csv::Table;
use super::{KnownTrait, MayBe, MoveOfSegment, Period, Scored, Site, ViewMeasures};
use crate::event::{ProfileId, Trust};
use crate::money::Money;
use crate::surroundings::{EmailClass, Surroundings};
use jiff::Timestamp;

/// Who somebody is, as far as a page has to say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonName {
    /// The profile; `None` for a visitor who is only measured and has none.
    pub profile_id: Option<ProfileId>,
    /// Name, e-mail address or user id, the best that is known; `None` for an anonymous visitor.
    pub name: Option<String>,
}

/// Which part of a long list is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// 1 is the first page.
    pub page: u32,
    /// Rows of a full page.
    pub per_page: u32,
    /// Rows of the whole list.
    pub total: u64,
}

impl Paging {
    /// How many pages there are, at least 1.
    pub fn pages(&self) -> u64 {
        self.total.div_ceil(u64::from(self.per_page.max(1))).max(1)
    }

    /// How many rows come before this page.
    pub fn offset(&self) -> u64 {
        u64::from(self.page.max(1) - 1) * u64::from(self.per_page)
    }
}

/// What people did who are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// Had a session in the period.
    Visited,
    /// Were seen for the first time in the period.
    Arrived,
    /// Placed an order in the period that counts.
    Ordered,
}

impl Did {
    /// The word in a URL.
    pub fn key(self) -> &'static str {
        match self {
            Did::Visited => "visited",
            Did::Arrived => "arrived",
            Did::Ordered => "ordered",
        }
    }

    /// Reads [`Did::key`] back.
    pub fn from_key(key: &str) -> Option<Did> {
        [Did::Visited, Did::Arrived, Did::Ordered].into_iter().find(|did| did.key() == key)
    }
}

/// Which people a list shows. Everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeopleFilter {
    /// An e-mail address, user id or visitor id (whole), or a beginning of a name or address.
    pub search: Option<String>,
    /// What they did, and when.
    pub did: Option<(Did, Period)>,
    /// The key of the channel: of the visit for [`Did::Visited`], of the first touch for [`Did::Arrived`], of the order
    /// for [`Did::Ordered`].
    pub channel: Option<String>,
    /// The page (host and path) they viewed, with [`Did::Visited`].
    pub viewed: Option<String>,
}

/// A list of people, last seen first.
#[derive(Clone, Debug, PartialEq)]
pub struct People {
    /// The site.
    pub site: Site,
    /// Which people these are.
    pub filter: PeopleFilter,
    /// The rows of this page.
    pub rows: Vec<PersonRow>,
    /// Where in the list they are.
    pub paging: Paging,
}

/// One person of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonRow {
    /// The profile.
    pub profile_id: ProfileId,
    /// Name, e-mail address or user id; `None` for an anonymous visitor.
    pub name: Option<String>,
    /// Visits so far.
    pub sessions: u64,
    /// Orders that count.
    pub orders: u64,
    /// Their sum in the site's currency.
    pub revenue: Money,
    /// First event.
    pub first_seen: Timestamp,
    /// Latest event.
    pub last_seen: Timestamp,
    /// Name of the channel of the first touch.
    pub first_channel: Option<String>,
}

impl People {
    /// The rows as CSV.
    pub fn csv(&self) -> String {
        let revenue = format!("revenue_{}", self.site.currency);
        let mut table = Table::with_header(&[
            "profile_id",
            "person",
            "sessions",
            "orders",
            &revenue,
            "first_seen",
            "last_seen",
            "first_channel",
        ]);
        for row in &self.rows {
            table
                .text(&row.profile_id.0.to_string())
                .maybe_text(row.name.as_deref())
                .count(row.sessions)
                .count(row.orders)
                .money(row.revenue)
                .moment(Some(row.first_seen))
                .moment(Some(row.last_seen))
                .maybe_text(row.first_channel.as_deref())
                .end();
        }
        table.into_text()
    }
}

/// What happened in one event, in words and numbers that can be shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    /// A page was viewed.
    Page {
        /// Host and path, `shop.example/shoes`.
        page: String,
        /// The document's title.
        title: Option<String>,
        /// What the visitor did on it, from the highest revision of its snapshot, where one has arrived.
        engaged_ms: Option<u64>,
        /// Deepest point seen, in percent.
        max_scroll_pct: Option<u8>,
        /// Clicks.
        clicks: Option<u64>,
        /// What else was counted and timed.
        measures: ViewMeasures,
    },
    /// A snapshot by itself, as the live list shows it.
    Snapshot {
        /// Host and path.
        page: Option<String>,
        /// Time the page was visible, focused and recently used.
        engaged_ms: u64,
        /// Deepest point seen, in percent.
        max_scroll_pct: u8,
        /// Clicks.
        clicks: u64,
        /// What else was counted and timed.
        measures: ViewMeasures,
    },
    /// A named event.
    Track {
        /// The event's name.
        name: String,
        /// The page it happened on.
        page: Option<String>,
        /// Properties as text, in the order they are to be shown.
        properties: Vec<(String, String)>,
    },
    /// An order was placed.
    Order {
        /// The shop's order id.
        order_id: String,
        /// What this report says was paid.
        total: Option<Money>,
        /// Counts in reports; a browser's order does not where a trusted source reports orders.
        counted: bool,
        /// It was called off since, and counts no more.
        cancelled: bool,
        /// What was given back of it since.
        refunded: Option<Money>,
        /// What was bought, a text for each line.
        lines: Vec<String>,
    },
    /// An order that was placed changed.
    OrderChanged {
        /// The shop's order id.
        order_id: String,
        /// In what.
        change: OrderChange,
        /// What became of it.
        standing: OrderStanding,
    },
    /// Somebody said who they are.
    Identify {
        /// What they said of themselves.
        traits: Vec<(String, String)>,
    },
    /// A browser said who somebody is, without the signature that the site asks for.
    Claim {
        /// What was said, as text; it is no trait of the person.
        traits: Vec<(String, String)>,
    },
    /// The person belongs to a group.
    Group {
        /// The group's id.
        group_id: String,
    },
    /// Two ids are one person.
    Alias,
}

/// What changed in an order.
#[derive(Clone, Debug, PartialEq)]
pub enum OrderChange {
    /// Its amount or its lines.
    Updated {
        /// What is paid now.
        total: Option<Money>,
    },
    /// Money was given back.
    Refunded {
        /// How much; `None` is all of it.
        amount: Option<Money>,
    },
    /// It was called off.
    Cancelled,
}

/// What became of a change of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderStanding {
    /// The order is as it says.
    Applies,
    /// The order has not been placed yet.
    Waits,
    /// It is another currency than the order's, or a browser's word of a shop's order.
    Ignored,
}

impl Happened {
    /// The event's name in English, or the site's own name of it.
    pub fn name(&self) -> String {
        match self {
            Happened::Page { .. } => "Viewed a page".to_owned(),
            Happened::Snapshot { .. } => "Read on".to_owned(),
            Happened::Track { name, .. } => name.clone(),
            Happened::Order { .. } => "Placed an order".to_owned(),
            Happened::OrderChanged { change: OrderChange::Updated { .. }, .. } => "Order updated".to_owned(),
            Happened::OrderChanged { change: OrderChange::Refunded { .. }, .. } => "Order refunded".to_owned(),
            Happened::OrderChanged { change: OrderChange::Cancelled, .. } => "Order cancelled".to_owned(),
            Happened::Identify { .. } => "Said who they are".to_owned(),
            Happened::Claim { .. } => "Claimed to be somebody".to_owned(),
            Happened::Group { .. } => "Joined a group".to_owned(),
            Happened::Alias => "Was known by another id".to_owned(),
        }
    }

    /// Host and path of the page it happened on, where there is one.
    pub fn page(&self) -> Option<&str> {
        match self {
            Happened::Page { page, .. } => Some(page),
            Happened::Snapshot { page, .. } | Happened::Track { page, .. } => page.as_deref(),
            Happened::Order { .. }
            | Happened::OrderChanged { .. }
            | Happened::Identify { .. }
            | Happened::Claim { .. }
            | Happened::Group { .. }
            | Happened::Alias => None,
        }
    }

    /// Everything else, as one text: `engaged_ms=5200 max_scroll_pct=80`, `size=42`.
    pub fn detail(&self) -> String {
        let pairs = |list: &[(String, String)]| {
            list.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
        };
        let sum = |name: &str, sum: &Option<Money>| {
            sum.map_or_else(String::new, |sum| format!(" {name}={} {}", sum.decimal(), sum.currency))
        };
        match self {
            Happened::Page { engaged_ms, max_scroll_pct, clicks, measures, .. } => [
                engaged_ms.map(|ms| format!("engaged_ms={ms}")),
                max_scroll_pct.map(|pct| format!("max_scroll_pct={pct}")),
                clicks.map(|count| format!("clicks={count}")),
            ]
            .into_iter()
            .flatten()
            .chain(measured(measures))
            .collect::<Vec<_>>()
            .join(" "),
            Happened::Snapshot { engaged_ms, max_scroll_pct, clicks, measures, .. } => {
                std::iter::once(format!("engaged_ms={engaged_ms} max_scroll_pct={max_scroll_pct} clicks={clicks}"))
                    .chain(measured(measures))
                    .collect::<Vec<_>>()
                    .join(" ")
            }
            Happened::Track { properties, .. } => pairs(properties),
            Happened::Order { order_id, total, counted, cancelled, refunded, lines: _ } => format!(
                "order_id={order_id}{}{}{}",
                sum("total", total),
                sum("refunded", refunded),
                match (cancelled, counted) {
                    (true, _) => " (cancelled)",
                    (false, false) => " (unconfirmed)",
                    (false, true) => "",
                }
            ),
            Happened::OrderChanged { order_id, change, standing } => format!(
                "order_id={order_id}{}{}",
                match change {
                    OrderChange::Updated { total } => sum("total", total),
                    OrderChange::Refunded { amount } => sum("amount", amount),
                    OrderChange::Cancelled => String::new(),
                },
                match standing {
                    OrderStanding::Applies => "",
                    OrderStanding::Waits => " (waits for the order)",
                    OrderStanding::Ignored => " (ignored)",
                }
            ),
            Happened::Identify { traits } | Happened::Claim { traits } => pairs(traits),
            Happened::Group { group_id } => format!("group_id={group_id}"),
            Happened::Alias => String::new(),
        }
    }
}

fn measured(measures: &ViewMeasures) -> impl Iterator<Item = String> {
    measures.known().into_iter().map(|(name, value)| format!("{name}={value}"))
}

/// One event of a timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub what: Happened,
    /// Who vouches for it.
    pub trust: Trust,
    /// The key of the source that brought it; `None` for what an older version stored.
    pub source: Option<String>,
}

/// A kind of things that happen, as a timeline is filtered by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimelineKind {
    /// Page views and screens.
    Pages,
    /// Orders and what became of them.
    Orders,
    /// All other named events.
    Events,
    /// Who somebody said they are.
    Identity,
}

impl TimelineKind {
    /// All, in the order in which they are offered.
    pub const ALL: [TimelineKind; 4] =
        [TimelineKind::Pages, TimelineKind::Orders, TimelineKind::Events, TimelineKind::Identity];

    /// The word in addresses.
    pub fn key(self) -> &'static str {
        match self {
            TimelineKind::Pages => "pages",
            TimelineKind::Orders => "orders",
            TimelineKind::Events => "events",
            TimelineKind::Identity => "identity",
        }
    }

    /// Reads [`TimelineKind::key`] back.
    pub fn from_key(key: &str) -> Option<TimelineKind> {
        TimelineKind::ALL.into_iter().find(|kind| kind.key() == key)
    }
}

/// Which entries of a timeline are shown; nothing said is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimelineFilter {
    /// Of this source alone, by its key.
    pub source: Option<String>,
    /// Of this kind alone.
    pub kind: Option<TimelineKind>,
}

impl TimelineFilter {
    /// Whether everything is shown.
    pub fn is_empty(&self) -> bool {
        self.source.is_none() && self.kind.is_none()
    }
}

/// One visit with what happened in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    /// First event.
    pub started_at: Timestamp,
    /// Last event.
    pub ended_at: Timestamp,
    /// Name of the channel that brought it.
    pub channel: String,
    /// Where exactly it came from: the referrer or `utm_source`; empty when unknown.
    pub source: String,
    /// The campaign; empty when none.
    pub campaign: String,
    /// Page views.
    pub views: u64,
    /// Engaged time of all its pages.
    pub engaged_ms: u64,
    /// What happened, oldest first.
    pub moments: Vec<Moment>,
}

/// One entry of a timeline.
#[derive(Clone, Debug, PartialEq)]
pub enum TimelineEntry {
    /// A visit.
    Visit(Visit),
    /// Something outside of any visit: a server's call, an import.
    Event(Moment),
}

/// One identifier of a person.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentityRow {
    /// What kind, in words: `Visitor id`, `User id`, `E-mail`.
    pub kind: String,
    /// The identifier.
    pub value: String,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// Who vouches for it.
    pub trust: Trust,
}

/// A segment that a person is in, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belonging {
    /// The segment's key as URLs have it, `rfm-champions`.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Why this person is in it: a sentence or two.
    pub because: String,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// Everything known of one person.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The site.
    pub site: Site,
    /// The moment of this report.
    pub now: Timestamp,
    /// The profile.
    pub profile_id: ProfileId,
    /// The person's name, where a trait gives one.
    pub name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// The site's own id of the person.
    pub user_id: Option<String>,
    /// First event.
    pub first_seen: Timestamp,
    /// Latest event.
    pub last_seen: Timestamp,
    /// Visits.
    pub sessions: u64,
    /// Page views.
    pub views: u64,
    /// Engaged time on all pages.
    pub engaged_ms: u64,
    /// Orders that count.
    pub orders: u64,
    /// Their sum in the site's currency.
    pub revenue: Money,
    /// Sums of orders in other currencies.
    pub other_currencies: Vec<Money>,
    /// First order that counts.
    pub first_order_at: Option<Timestamp>,
    /// Latest order that counts.
    pub last_order_at: Option<Timestamp>,
    /// Name of the channel of the first touch.
    pub first_channel: Option<String>,
    /// Name of the channel of the latest visit.
    pub last_channel: Option<String>,
    /// Where and with what the person was last.
    pub surroundings: Surroundings,
    /// Who may be the same person, the most probable first.
    pub may_be: Vec<MayBe>,
    /// The kind of the person's mail address.
    pub email_class: Option<EmailClass>,
    /// The currency of the latest order.
    pub currency: Option<String>,
    /// Traits as text, each with where it came from; the computed ones first.
    pub traits: Vec<KnownTrait>,
    /// Identifiers, oldest first.
    pub identities: Vec<IdentityRow>,
    /// The segments that the person is in now.
    pub segments: Vec<Belonging>,
    /// The latest entries and exits on the person's own account.
    pub moves: Vec<MoveOfSegment>,
    /// What the models say; `None` of somebody they know nothing of.
    pub scored: Option<Scored>,
    /// The keys of the sources that told of this person, in alphabetical order.
    pub sources: Vec<String>,
    /// What of the timeline is shown.
    pub filter: TimelineFilter,
    /// Newest first.
    pub timeline: Vec<TimelineEntry>,
    /// Where in the timeline these entries are.
    pub paging: Paging,
}

/// A table of the profile page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileTable {
    /// What happened, one line per event.
    Timeline,
    /// The identifiers.
    Identities,
}

impl ProfileTable {
    /// The word in the file's name, `timeline.csv`.
    pub fn key(self) -> &'static str {
        match self {
            ProfileTable::Timeline => "timeline",
            ProfileTable::Identities => "identities",
        }
    }

    /// Reads [`ProfileTable::key`] back.
    pub fn from_key(key: &str) -> Option<ProfileTable> {
        [ProfileTable::Timeline, ProfileTable::Identities].into_iter().find(|table| table.key() == key)
    }
}

impl Profile {
    /// The best name there is; `None` for an anonymous visitor.
    pub fn best_name(&self) -> Option<&str> {
        [&self.name, &self.email, &self.user_id].into_iter().find_map(|known| known.as_deref())
    }

    /// A table as CSV. The timeline is what this value carries: all of it, or one page.
    pub fn csv(&self, table: ProfileTable) -> String {
        match table {
            ProfileTable::Timeline => self.timeline_csv(),
            ProfileTable::Identities => self.identities_csv(),
        }
    }

    fn timeline_csv(&self) -> String {
        let mut table = Table::with_header(&[
            "happened_at",
            "event",
            "page",
            "detail",
            "trusted",
            "brought_by",
            "visit_started_at",
            "channel",
            "source",
            "campaign",
        ]);
        let mut line = |moment: &Moment, visit: Option<&Visit>| {
            table
                .moment(Some(moment.at))
                .text(&moment.what.name())
                .maybe_text(moment.what.page())
                .text(&moment.what.detail())
                .text(match moment.trust {
                    Trust::Browser => "no",
                    Trust::Trusted => "yes",
                })
                .maybe_text(moment.source.as_deref())
                .moment(visit.map(|visit| visit.started_at))
                .maybe_text(visit.map(|visit| visit.channel.as_str()))
                .maybe_text(visit.map(|visit| visit.source.as_str()))
                .maybe_text(visit.map(|visit| visit.campaign.as_str()))
                .end();
        };
        for entry in &self.timeline {
            match entry {
                TimelineEntry::Visit(visit) => visit.moments.iter().rev().for_each(|moment| line(moment, Some(visit))),
                TimelineEntry::Event(moment) => line(moment, None),
            }
        }
        table.into_text()
    }

    fn identities_csv(&self) -> String {
        let mut table = Table::with_header(&["kind", "value", "first_seen", "trusted"]);
        for row in &self.identities {
            table
                .text(&row.kind)
                .text(&row.value)
                .moment(Some(row.first_seen))
                .text(match row.trust {
                    Trust::Browser => "no",
                    Trust::Trusted => "yes",
                })
                .end();
        }
        table.into_text()
    }
}
