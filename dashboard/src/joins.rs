//! How identifiers came together: of one person, and of a site.

use crate::Rendered;
use crate::format::{self, Format};
use crate::shell::{Nav, Shell};
use askama::Template;
use domain::identity::{Call, Guard, Kind, Reason, Standing};
use domain::report::{BlockedValue, IdentityBook, JoinLink, JoinNode, Joins, KeptApart, RefusedJoins};

/// Identifiers that are drawn; more are in the table below.
const DRAWN: usize = 24;
/// Letters of an identifier in the drawing.
const LETTERS: usize = 22;
/// A box of the drawing and the room between two, in its own units.
const BOX: (usize, usize) = (212, 46);
const GAP: (usize, usize) = (84, 14);

/// What kind of identifier it is, in words.
pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Visitor => "Browser",
        Kind::UserId => "User id",
        Kind::Email => "E-mail",
        Kind::Phone => "Phone",
        Kind::External => "Id of another system",
        Kind::Order => "Order",
        Kind::Message => "Message without a sender",
        Kind::Measured => "Measured visitor",
    }
}

/// Where a source's word came from, in words.
fn source_name(key: Option<&str>) -> String {
    key.map_or("an earlier version", crate::sources::source_name).to_owned()
}

fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::SignedIn => "somebody signed in on this browser",
        Reason::TrustedLink => "your server named both for one person",
        Reason::TrustedAlias => "your server said that both are one person",
        Reason::Carried => "joined before links were kept",
        Reason::Confirmed => "somebody looked at both and said so",
        Reason::Matched => "they are more alike than your threshold asks for",
        Reason::SameBrowser => "the browser’s storage was emptied, its cookie was not",
    }
}

/// What a guard held back, and what to do about it.
fn guard(refused: &RefusedJoins) -> (String, &'static str) {
    let by = |one: &str, many: &str| format::counted(&refused.count, one, many);
    match refused.guard {
        Guard::TooMany => (
            format!("{} named it, more than one person has", by("identifier", "identifiers")),
            "It is probably shared: a default value, a support account, a till. Let your pages leave it out where \
             nobody has signed in.",
        ),
        Guard::TwoUsers => (
            format!("{} named a second user id", by("message", "messages")),
            "People share browsers, phones and orders. If both ids are one person, say so with an alias call from your \
             server.",
        ),
        Guard::AlreadyKnown => (
            format!("{} of somebody else named it", by("browser", "browsers")),
            "A browser never joins two people who are known. Two people use one device, or ids were mixed up.",
        ),
        Guard::Unverified => (
            format!("{} named it without proof", by("browser", "browsers")),
            "Anybody can type an address. Send it with the secret key to join the two.",
        ),
        Guard::Unsigned => (
            format!("{} claimed it without your signature", by("browser", "browsers")),
            "This site asks for signed identifies: sign the user id on your server, see Set up.",
        ),
        Guard::KeptApart => {
            (format!("{} would have joined them", by("message", "messages")), "You said that they are two people.")
        }
        Guard::NamesNobody => (
            format!("{} named it for a visit that belongs to nobody", by("message", "messages")),
            "Measured visits are never joined to anybody.",
        ),
    }
}

/// One identifier in the drawing.
struct BoxView {
    x: usize,
    y: usize,
    kind: &'static str,
    text: String,
    trusted: bool,
}

/// One line between two of them.
struct LineView {
    from: (usize, usize),
    to: (usize, usize),
    merged: bool,
}

struct Drawing {
    width: usize,
    height: usize,
    boxes: Vec<BoxView>,
    lines: Vec<LineView>,
    left_out: usize,
}

impl BoxView {
    fn size(&self) -> (usize, usize) {
        BOX
    }

    fn text_x(&self) -> usize {
        self.x + 12
    }

    fn first_line(&self) -> usize {
        self.y + 19
    }

    fn second_line(&self) -> usize {
        self.y + 36
    }
}

/// Browsers left, the site's ids in the middle, addresses right.
fn column(kind: Kind) -> usize {
    match kind {
        Kind::Visitor | Kind::Message | Kind::Measured => 0,
        Kind::UserId | Kind::External | Kind::Order => 1,
        Kind::Email | Kind::Phone => 2,
    }
}

fn drawing(nodes: &[JoinNode], links: &[JoinLink]) -> Drawing {
    let mut rows = [0_usize; 3];
    let mut boxes = Vec::new();
    let mut places: Vec<(i64, usize, usize)> = Vec::new();
    for node in nodes.iter().take(DRAWN) {
        let column = column(node.identifier.kind);
        let (x, y) = (column * (BOX.0 + GAP.0), rows[column] * (BOX.1 + GAP.1));
        rows[column] += 1;
        let value = &node.identifier.value;
        let text = match value.char_indices().nth(LETTERS) {
            Some((end, _)) => format!("{}…", &value[..end]),
            None => value.clone(),
        };
        let trusted = node.trust == domain::event::Trust::Trusted;
        places.push((node.identifier.identity_id, x, y));
        boxes.push(BoxView { x, y, kind: kind_name(node.identifier.kind), text, trusted });
    }
    let place = |id: i64| places.iter().find(|place| place.0 == id).map(|place| (place.1, place.2));
    let lines = links.iter().filter_map(|link| {
        let (one, other) = (place(link.from.identity_id)?, place(link.to.identity_id)?);
        let (left, right) = if one.0 <= other.0 { (one, other) } else { (other, one) };
        // Two in one column are joined along their left edges.
        let start = if left.0 == right.0 { left.0 } else { left.0 + BOX.0 };
        let middle = BOX.1 / 2;
        Some(LineView {
            from: (start, left.1 + middle),
            to: (right.0, right.1 + middle),
            merged: link.merged.is_some(),
        })
    });
    let tallest = rows.into_iter().max().unwrap_or(1).max(1);
    Drawing {
        width: 3 * BOX.0 + 2 * GAP.0,
        height: tallest * (BOX.1 + GAP.1) - GAP.1,
        lines: lines.collect(),
        left_out: nodes.len().saturating_sub(DRAWN),
        boxes,
    }
}

/// One statement as a row.
pub(crate) struct LinkView<'a> {
    link: &'a JoinLink,
    from_kind: &'static str,
    to_kind: &'static str,
    /// Why it joined two people; `None` where they were one already.
    because: Option<&'static str>,
    how: String,
}

fn link_view(link: &JoinLink) -> LinkView<'_> {
    let call = match link.call {
        Call::Together => "named both in one message",
        Call::Alias => "said that both are one person",
        Call::Order => "reported the order",
        Call::Carried => "joined them",
        Call::Confirmed | Call::Matched => "joined them as a match",
        Call::SameBrowser => "named both for one browser",
    };
    let believed = match link.standing {
        Standing::Trusted => "",
        Standing::Browser => ", a browser’s word",
        Standing::Claimed => ", without proof",
    };
    let how = match &link.decided {
        Some((who, probability)) => {
            format!("{who} joined them as a match that is {} probable", crate::matches::chance(probability))
        }
        None => format!("{} {call}{believed}", source_name(link.source.as_deref())),
    };
    LinkView {
        link,
        from_kind: kind_name(link.from.kind),
        to_kind: kind_name(link.to.kind),
        because: link.merged.map(reason),
        how,
    }
}

struct RefusedView<'a> {
    refused: &'a RefusedJoins,
    kind: &'static str,
    what: String,
    advice: &'static str,
}

fn refused_views(refused: &[RefusedJoins]) -> Vec<RefusedView<'_>> {
    let view = |refused| {
        let (what, advice) = guard(refused);
        RefusedView { refused, kind: kind_name(refused.named.kind), what, advice }
    };
    refused.iter().map(view).collect()
}

#[derive(Template)]
#[template(path = "joins.html")]
struct JoinsPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a Joins,
    f: Format,
    label: String,
    drawing: Drawing,
    nodes: Vec<NodeView<'a>>,
    links: Vec<LinkView<'a>>,
    refused: Vec<RefusedView<'a>>,
    apart: &'a [KeptApart],
}

struct NodeView<'a> {
    node: &'a JoinNode,
    kind: &'static str,
    source: String,
}

#[derive(Template)]
#[template(path = "identities.html")]
struct BookPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a IdentityBook,
    f: Format,
    links: Vec<LinkView<'a>>,
    refused: Vec<RefusedView<'a>>,
    blocked: Vec<(&'static str, &'a BlockedValue, String)>,
    apart: &'a [KeptApart],
}

/// How one person's identifiers came together.
///
/// # Errors
/// When the page cannot be written.
pub fn joins(shell: &Shell, report: &Joins) -> Rendered {
    let node =
        |node| NodeView { node, kind: kind_name(node.identifier.kind), source: source_name(node.source.as_deref()) };
    JoinsPage {
        shell,
        nav: Nav::People,
        r: report,
        f: Format::of(&report.site, report.now),
        label: report.name.clone().unwrap_or_else(|| "Anonymous visitor".to_owned()),
        drawing: drawing(&report.nodes, &report.links),
        nodes: report.nodes.iter().map(node).collect(),
        links: report.links.iter().map(link_view).collect(),
        refused: refused_views(&report.refused),
        apart: &report.apart,
    }
    .render()
}

/// How a site's identifiers come together, and what the guards held back.
///
/// # Errors
/// When the page cannot be written.
pub fn identities(shell: &Shell, report: &IdentityBook) -> Rendered {
    BookPage {
        shell,
        nav: Nav::Identities,
        r: report,
        f: Format::of(&report.site, report.now),
        links: report.merges.iter().map(link_view).collect(),
        refused: refused_views(&report.refused),
        blocked: report.blocked.iter().map(|row| (kind_name(row.kind), row, source_name(Some(&row.source)))).collect(),
        apart: &report.apart,
    }
    .render()
}
