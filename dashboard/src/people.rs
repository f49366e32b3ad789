//! Lists of people, and one person.

use crate::Rendered;
use crate::format::{self, Format};
use crate::shell::{Nav, Shell};
use crate::sources::{path_part, source_name};
use crate::words;
use askama::Template;
use domain::event::{ProfileId, Trust};
use domain::report::{
    Happened, Moment, OrderChange, OrderStanding, Paging, People, Profile, TimelineEntry, TimelineFilter, TimelineKind,
    TraitOrigin, Visit,
};

/// What to call somebody: the best name, or the profile's number.
pub(crate) fn person_label(name: Option<&str>, id: &ProfileId) -> String {
    match name {
        Some(name) if !name.trim().is_empty() => name.to_owned(),
        Some(_) | None => format!("Visitor {}", id.0),
    }
}

/// An event as a line of text.
pub(crate) struct What {
    /// `page`, `order`, `track` or `who`, for the dot.
    pub(crate) tone: &'static str,
    pub(crate) title: String,
    pub(crate) detail: String,
}

impl What {
    pub(crate) fn of(what: &Happened) -> What {
        let pairs = |list: &[(String, String)]| {
            list.iter().map(|(key, value)| format!("{key}: {value}")).collect::<Vec<_>>().join(" · ")
        };
        let behaviour = |engaged_ms: Option<u64>, scroll: Option<u8>, clicks: Option<u64>| {
            [
                engaged_ms.filter(|ms| *ms > 0).map(|ms| format!("{} engaged", format::duration(&ms))),
                scroll.filter(|pct| *pct > 0).map(|pct| format!("read {pct}\u{a0}%")),
                clicks.filter(|clicks| *clicks > 0).map(|clicks| format::counted(&clicks, "click", "clicks")),
            ]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
        };
        match what {
            Happened::Page { page, title, engaged_ms, max_scroll_pct, clicks, measures } => {
                let mut parts = behaviour(*engaged_ms, *max_scroll_pct, *clicks);
                parts.extend(crate::experience::told(measures));
                if let Some(title) = title {
                    parts.insert(0, title.clone());
                }
                What { tone: "page", title: page.clone(), detail: parts.join(" · ") }
            }
            Happened::Snapshot { page, engaged_ms, max_scroll_pct, clicks, measures } => {
                let mut parts = behaviour(Some(*engaged_ms), Some(*max_scroll_pct), Some(*clicks));
                parts.extend(crate::experience::told(measures));
                if let Some(page) = page {
                    parts.insert(0, page.clone());
                }
                What { tone: "same", title: "On the page so far".to_owned(), detail: parts.join(" · ") }
            }
            Happened::Track { name, page, properties } => {
                let mut parts: Vec<String> = page.iter().cloned().collect();
                if !properties.is_empty() {
                    parts.push(pairs(properties));
                }
                What { tone: "track", title: name.clone(), detail: parts.join(" · ") }
            }
            Happened::Order { order_id, total, counted, cancelled, refunded, lines } => {
                let mut parts: Vec<String> = lines.clone();
                match (cancelled, counted, refunded) {
                    (true, _, _) => parts.insert(0, "Cancelled since: it does not count".to_owned()),
                    (false, false, _) => parts.insert(0, "Unconfirmed: it does not count as revenue".to_owned()),
                    (false, true, Some(refunded)) => {
                        parts.insert(0, format!("{} of it refunded since", format::money(refunded)));
                    }
                    (false, true, None) => {}
                }
                What {
                    tone: "order",
                    title: match total {
                        Some(total) => format!("Order {order_id}, {}", format::money(total)),
                        None => format!("Order {order_id}, no amount"),
                    },
                    detail: parts.join(" · "),
                }
            }
            Happened::OrderChanged { order_id, change, standing } => What {
                tone: "order",
                title: match change {
                    OrderChange::Updated { total: Some(total) } => {
                        format!("Order {order_id} changed to {}", format::money(total))
                    }
                    OrderChange::Updated { total: None } => format!("Order {order_id} changed"),
                    OrderChange::Refunded { amount: Some(amount) } => {
                        format!("Refund of {} for order {order_id}", format::money(amount))
                    }
                    OrderChange::Refunded { amount: None } => format!("Order {order_id} refunded"),
                    OrderChange::Cancelled => format!("Order {order_id} cancelled"),
                },
                detail: match standing {
                    OrderStanding::Applies => "",
                    OrderStanding::Waits => "The order itself has not been reported yet",
                    OrderStanding::Ignored => {
                        "Changes nothing: another currency than the order’s, or a browser’s word of a shop’s order"
                    }
                }
                .to_owned(),
            },
            Happened::Identify { traits } => {
                What { tone: "who", title: "Said who they are".to_owned(), detail: pairs(traits) }
            }
            Happened::Claim { traits } => {
                What { tone: "same", title: "Claimed to be somebody, without proof".to_owned(), detail: pairs(traits) }
            }
            Happened::Group { group_id } => {
                What { tone: "who", title: format!("Joined the group {group_id}"), detail: String::new() }
            }
            Happened::Alias => {
                What { tone: "who", title: "Turned out to be known by another id".to_owned(), detail: String::new() }
            }
        }
    }
}

/// Where a trait came from, in a line.
pub(crate) fn origin_text(origin: &TraitOrigin, f: &Format) -> String {
    match origin {
        TraitOrigin::Computed(Some(says)) => format!("computed: {says}"),
        TraitOrigin::Computed(None) => "computed by a newer version".to_owned(),
        TraitOrigin::Sent { at, trust, source, is_hidden } => {
            let source = match (source, trust) {
                (Some(source), _) => source_name(source).to_owned(),
                (None, Trust::Trusted) => "your server".to_owned(),
                (None, Trust::Browser) => "a browser".to_owned(),
            };
            let hidden = if *is_hidden { "; rules read the computed one of this name" } else { "" };
            format!("said by {source} on {}{hidden}", f.day_of(at))
        }
        TraitOrigin::Unknown => String::new(),
    }
}

/// Links through a long list.
pub(crate) struct Pager {
    /// `1–50 of 1,204`
    pub(crate) shown: String,
    pub(crate) page: u32,
    pub(crate) pages: u64,
    /// Path and query up to the page's number.
    pub(crate) base: String,
}

impl Pager {
    pub(crate) fn of(paging: &Paging, rows: usize, base: String) -> Pager {
        let first = paging.offset() + 1;
        let last = paging.offset() + rows as u64;
        let total = format::count(&paging.total);
        let shown = match rows {
            0 => format!("0 of {total}"),
            _ => format!("{}–{} of {total}", format::count(&first), format::count(&last)),
        };
        Pager { shown, page: paging.page.max(1), pages: paging.pages(), base }
    }

    pub(crate) fn before(&self) -> Option<u32> {
        (self.page > 1).then(|| self.page - 1)
    }

    pub(crate) fn after(&self) -> Option<u32> {
        (u64::from(self.page) < self.pages).then(|| self.page + 1)
    }
}

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a People,
    f: Format,
    who: Option<String>,
    query: String,
    pager: Pager,
}

#[derive(Template)]
#[template(path = "profile.html")]
struct ProfilePage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a Profile,
    f: Format,
    label: String,
    entries: Vec<EntryView<'a>>,
    pager: Pager,
    sources: Vec<Choice<'a>>,
    kinds: Vec<Choice<'a>>,
    /// The timeline's filter.
    query: String,
}

enum EntryView<'a> {
    Visit { visit: &'a Visit, title: String, detail: String, lines: Vec<LineView<'a>> },
    Event(LineView<'a>),
}

struct LineView<'a> {
    moment: &'a Moment,
    what: What,
    trusted: bool,
    /// What brought it, where that is worth saying.
    source: Option<&'a str>,
}

/// `tells_source`: the person is known from several, of which our own tracker goes without saying.
fn line(moment: &Moment, tells_source: bool) -> LineView<'_> {
    let source = moment.source.as_deref().filter(|key| tells_source && *key != "tracker").map(source_name);
    LineView { moment, what: What::of(&moment.what), trusted: moment.trust == Trust::Trusted, source }
}

fn kind_name(kind: TimelineKind) -> &'static str {
    match kind {
        TimelineKind::Pages => "Pages",
        TimelineKind::Orders => "Orders",
        TimelineKind::Events => "Other events",
        TimelineKind::Identity => "Who they said they are",
    }
}

/// One choice of a filter.
struct Choice<'a> {
    key: &'a str,
    name: &'a str,
    chosen: bool,
}

/// A filter's query, without `?`; empty for everything.
fn timeline_query(filter: &TimelineFilter) -> String {
    let source = filter.source.as_deref().map(|key| format!("source={}", path_part(key)));
    let kind = filter.kind.map(|kind| format!("kind={}", kind.key()));
    source.into_iter().chain(kind).collect::<Vec<_>>().join("&")
}

fn visit(visit: &Visit, tells_source: bool) -> EntryView<'_> {
    let engaged = match visit.engaged_ms {
        0 => String::new(),
        ms => format!(", {}", format::duration(&ms)),
    };
    let pages = match visit.views {
        0 => "Was active".to_owned(),
        views => format!("Visited {}", format::counted(&views, "page", "pages")),
    };
    let mut from = vec![visit.channel.clone()];
    from.extend([&visit.source, &visit.campaign].into_iter().filter(|text| !text.is_empty()).cloned());
    EntryView::Visit {
        visit,
        title: format!("{pages}{engaged}"),
        detail: from.join(" · "),
        // Newest first like the timeline itself.
        lines: visit.moments.iter().rev().map(|moment| line(moment, tells_source)).collect(),
    }
}

/// A list of people; `now` is the moment it was made for.
///
/// `channel` is the name of the filter's channel, where it has one.
///
/// # Errors
/// When the page cannot be written.
pub fn people(shell: &Shell, report: &People, channel: Option<&str>, now: jiff::Timestamp) -> Rendered {
    let query = format::people_query(&report.filter);
    let separator = if query.is_empty() { "" } else { "&" };
    PeoplePage {
        shell,
        nav: Nav::People,
        r: report,
        f: Format::of(&report.site, now),
        who: words::filter_sentence(&report.filter, channel),
        pager: Pager::of(&report.paging, report.rows.len(), format!("?{query}{separator}page=")),
        query,
    }
    .render()
}

/// One person with everything that is known.
///
/// # Errors
/// When the page cannot be written.
pub fn profile(shell: &Shell, report: &Profile) -> Rendered {
    let tells_source = report.sources.len() > 1;
    let entries = report
        .timeline
        .iter()
        .map(|entry| match entry {
            TimelineEntry::Visit(one) => visit(one, tells_source),
            TimelineEntry::Event(moment) => EntryView::Event(line(moment, tells_source)),
        })
        .collect();
    let query = timeline_query(&report.filter);
    let separator = if query.is_empty() { "" } else { "&" };
    let source = |key: &'_ String| report.filter.source.as_ref() == Some(key);
    ProfilePage {
        shell,
        nav: Nav::People,
        r: report,
        sources: report.sources.iter().map(|key| Choice { key, name: source_name(key), chosen: source(key) }).collect(),
        kinds: TimelineKind::ALL
            .map(|kind| Choice { key: kind.key(), name: kind_name(kind), chosen: report.filter.kind == Some(kind) })
            .into(),
        f: Format::of(&report.site, report.now),
        label: match report.best_name() {
            Some(name) => name.to_owned(),
            None => "Anonymous visitor".to_owned(),
        },
        entries,
        pager: Pager::of(&report.paging, report.timeline.len(), format!("?{query}{separator}page=")),
        query,
    }
    .render()
}
