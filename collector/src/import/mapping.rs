//! Which column of a file holds which field.

use super::days;
use super::fields::{Field, Fields, Kind, plain};
use super::format::{Cell, Line};
use domain::money::Currency;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The headings of an order's fields in the first version, compared without regard to case.
///
/// What it could read keeps the ids it was given then: where these headings are enough for a file, they alone say which
/// column tells its orders apart.
const FIRST_HEADINGS: [(&str, &[&str]); 5] = [
    ("customer_id", &["customer_id", "user_id", "customer", "master_id"]),
    ("ordered_at", &["ordered_at", "order_date", "created_at", "date", "timestamp"]),
    ("total", &["total", "amount", "revenue", "value"]),
    ("order_id", &["order_id", "order", "id"]),
    ("currency", &["currency"]),
];

/// What an owner says of a file: columns by their headings. It is stored with an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Mapping {
    /// Heading by field; an empty one means that the file has no such column, whatever its headings say.
    pub(crate) fields: BTreeMap<String, String>,
    /// Heading by trait, of customers: columns that are kept under names of the owner's.
    pub(crate) traits: BTreeMap<String, String>,
    /// What the whole file of a newsletter tells, where no column does.
    pub(crate) event: Option<String>,
    /// Who counted what a file by day tells: a tool, or the `utm_source` of its advertising.
    pub(crate) from: Option<String>,
}

/// Why a mapping does not fit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MappingError {
    #[error("--map {0}: write field=column")]
    Written(String),
    #[error("--map {field}: the fields are {fields}")]
    UnknownField { field: String, fields: String },
    #[error("--map {field}={column}: the file has the columns {columns}")]
    UnknownColumn { field: String, column: String, columns: String },
    #[error("no column for {0}; name it with --map {1}=COLUMN")]
    Missing(String, String),
    #[error("say what happened: a column with --map event=COLUMN, or for the whole file with --event opened")]
    NoEvent,
    #[error(
        "{0:?} is nothing that happens to a newsletter; write sent, delivered, opened, clicked, bounced, spam, unsubscribed or subscribed"
    )]
    UnknownEvent(String),
    #[error(
        "no column says where the advertisements stood; name it with --map source=COLUMN, or for the whole file with --from google"
    )]
    NoSource,
    #[error("the headings do not show which tool counted; say so with --from plausible, ga4, umami or matomo")]
    NoTool,
    #[error("{0:?} is no tool that is known; write plausible, ga4, umami or matomo")]
    UnknownTool(String),
    #[error(
        "no column for date: the file is the total of a period and cannot be told by day. Take Dates.csv of the same export, or export queries or pages together with their date (by the API, BigQuery or Looker Studio); a connected search console brings both by itself"
    )]
    NoDays,
    #[error(
        "the lines are about {0} and {1} at once, which are counted apart; leave one of them out, for example with --map {1}="
    )]
    TwoCuts(String, String),
    #[error(
        "each line is one event of one visitor (Umami's website_event) and no count of a day; export counts by day: date, visitors, visits, views"
    )]
    Events,
}

impl MappingError {
    /// In words for whoever is not on the command line.
    pub(crate) fn told(&self) -> String {
        match self {
            MappingError::Missing(fields, _) => format!("no column for {fields}"),
            MappingError::NoEvent => "no column says what happened, and nothing is said of the whole file".to_owned(),
            MappingError::UnknownColumn { field, column, .. } => format!("{field}: there is no column {column}"),
            MappingError::NoSource => {
                "no column says where the advertisements stood, and nothing is said of the whole file".to_owned()
            }
            MappingError::NoTool => "the headings do not show which tool counted; say so below".to_owned(),
            MappingError::TwoCuts(one, other) => {
                format!("the lines are about {one} and {other} at once, which are counted apart; leave one of them out")
            }
            MappingError::NoDays | MappingError::Events | MappingError::UnknownTool(_) => self.to_string(),
            MappingError::Written(_) | MappingError::UnknownField { .. } | MappingError::UnknownEvent(_) => {
                self.to_string()
            }
        }
    }
}

impl Mapping {
    /// Reads `field=column,trait:plan=column`.
    ///
    /// # Errors
    /// [`MappingError::Written`], [`MappingError::UnknownField`]
    pub(crate) fn parse(kind: Kind, text: &str) -> Result<Mapping, MappingError> {
        let mut mapping = Mapping::default();
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            let (field, column) = pair.split_once('=').ok_or_else(|| MappingError::Written(pair.to_owned()))?;
            let (field, column) = (field.trim(), column.trim().to_owned());
            match field.strip_prefix("trait:").filter(|_| kind == Kind::Customers) {
                Some(name) => mapping.traits.insert(name.to_owned(), column),
                None if kind.field(field).is_some() => mapping.fields.insert(field.to_owned(), column),
                None => {
                    let names: Vec<&str> = kind.fields().iter().map(|field| field.name).collect();
                    let more = if kind == Kind::Customers { ", and trait:NAME for any other column" } else { "" };
                    let fields = format!("{}{more}", names.join(", "));
                    return Err(MappingError::UnknownField { field: pair.to_owned(), fields });
                }
            };
        }
        Ok(mapping)
    }
}

/// Where each field stands in a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    at: BTreeMap<&'static str, usize>,
    /// Traits of the owner's.
    pub(crate) traits: Vec<(String, usize)>,
    /// Who counted what a file by day tells.
    pub(crate) from: Option<String>,
    /// The currency that the heading of the costs names.
    pub(crate) currency: Option<Currency>,
    /// Its lines are single events where counts of days are wanted.
    pub(crate) tells_events: bool,
}

impl Layout {
    /// Finds the columns of all fields: those that the mapping names, then by their headings.
    ///
    /// # Errors
    /// [`MappingError::UnknownColumn`]
    pub(crate) fn find(kind: Kind, columns: &[String], mapping: &Mapping) -> Result<Layout, MappingError> {
        let mut layout = Layout::default();
        for (field, column) in mapping.fields.iter().filter(|(_, column)| !column.is_empty()) {
            let Some(field) = kind.field(field) else { continue };
            layout.at.insert(field.name, position(columns, field.name, column)?);
        }
        for (name, column) in &mapping.traits {
            layout.traits.push((name.clone(), position(columns, &format!("trait:{name}"), column)?));
        }
        let is_open = |field: &Field| !mapping.fields.contains_key(field.name);
        let first = (kind == Kind::Orders).then(|| layout.as_at_first(columns, &is_open)).flatten();
        let plain: Vec<String> = columns.iter().map(|column| plain(column)).collect();
        if let Some(first) = &first {
            layout.at.extend(first);
        }
        for field in kind.fields().iter().filter(|field| is_open(field)) {
            if layout.at.contains_key(field.name) {
                continue;
            }
            let is_settled = first.is_some() && FIRST_HEADINGS.iter().any(|(name, _)| *name == field.name);
            if is_settled || (field.name == "order_id" && is_no_export_of_orders(&plain)) {
                continue;
            }
            let is_free =
                |at: &usize| !layout.at.values().chain(layout.traits.iter().map(|(_, at)| at)).any(|own| own == at);
            let found =
                field.synonyms.iter().find_map(|synonym| plain.iter().position(|own| own == synonym).filter(is_free));
            if let Some(at) = found {
                layout.at.insert(field.name, at);
            }
        }
        layout.from = days::from(kind, mapping.from.as_deref(), &plain);
        layout.currency = layout.column("cost").and_then(|at| days::currency_of(columns.get(at)?));
        layout.tells_events = kind == Kind::WebHistory && days::tells_events(&plain);
        Ok(layout)
    }

    /// The columns as the first version found them; `None` where it could not have read the file.
    fn as_at_first(
        &self,
        columns: &[String],
        is_open: &dyn Fn(&Field) -> bool,
    ) -> Option<BTreeMap<&'static str, usize>> {
        let mut found = BTreeMap::new();
        for (name, headings) in FIRST_HEADINGS {
            if !Kind::Orders.field(name).is_some_and(is_open) {
                continue;
            }
            let same = |heading: &&str| columns.iter().position(|column| column.trim().eq_ignore_ascii_case(heading));
            if let Some(at) = headings.iter().find_map(same) {
                found.insert(name, at);
            }
        }
        let has = |name: &str| self.at.contains_key(name) || found.contains_key(name);
        ["customer_id", "ordered_at", "total"].into_iter().all(has).then_some(found)
    }

    /// What a file must have and has not.
    pub(crate) fn missing(&self, kind: Kind, mapping: &Mapping) -> Vec<MappingError> {
        let mut missing = Vec::new();
        let people = kind.names_people_by();
        if let Some(first) = people.first().filter(|_| !people.iter().any(|name| self.at.contains_key(name))) {
            missing.push(MappingError::Missing(people.join(" or "), (*first).to_owned()));
        }
        let own = days::missing(kind, self, mapping);
        // A file that is no such file at all is not asked for its columns.
        let is_told = |field: &Field| field.name == "date" && own.contains(&MappingError::NoDays);
        for field in kind.fields().iter().filter(|field| field.needed && !people.contains(&field.name)) {
            if !self.at.contains_key(field.name) && !self.tells_events && !is_told(field) {
                missing.push(MappingError::Missing(field.name.to_owned(), field.name.to_owned()));
            }
        }
        if kind == Kind::Newsletter && mapping.event.is_none() && !self.at.contains_key("event") {
            missing.push(MappingError::NoEvent);
        }
        if let Some(event) = mapping.event.as_ref().filter(|event| super::newsletter::happening(event).is_none()) {
            missing.push(MappingError::UnknownEvent(event.clone()));
        }
        missing.extend(own);
        missing
    }

    /// The column of a field.
    pub(crate) fn column(&self, field: &str) -> Option<usize> {
        self.at.get(field).copied()
    }

    /// Whether any field or trait is read from a column.
    pub(crate) fn uses(&self, column: usize) -> bool {
        self.at.values().chain(self.traits.iter().map(|(_, at)| at)).any(|at| *at == column)
    }

    /// What a line says in a field; `None` where it says nothing.
    pub(crate) fn cell<'l>(&self, line: &'l Line, field: &str) -> Option<&'l Cell> {
        let cell = line.cells.get(self.column(field)?)?;
        (*cell != Cell::Empty).then_some(cell)
    }

    /// Whether a short line ends before a field that the file has.
    pub(crate) fn ends_before(&self, line: &Line, field: &str) -> bool {
        self.column(field).is_some_and(|at| at >= line.cells.len())
    }
}

/// `Name` is Shopify's word for an order's number, and anybody's for a person's name.
fn is_no_export_of_orders(plain: &[String]) -> bool {
    let has = |heading: &str| plain.iter().any(|own| own == heading);
    let is_named_otherwise = Kind::Orders
        .field("order_id")
        .is_some_and(|field| field.synonyms.iter().filter(|synonym| **synonym != "name").any(|synonym| has(synonym)));
    !(is_named_otherwise || has("financial_status") || has("lineitem_name"))
}

fn position(columns: &[String], field: &str, column: &str) -> Result<usize, MappingError> {
    let same = |own: &String| own.trim().eq_ignore_ascii_case(column.trim());
    let alike = || columns.iter().position(|own| !column.is_empty() && plain(own) == plain(column));
    columns.iter().position(same).or_else(alike).ok_or_else(|| MappingError::UnknownColumn {
        field: field.to_owned(),
        column: column.to_owned(),
        columns: columns.join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(header: &str) -> Vec<String> {
        header.split(',').map(str::to_owned).collect()
    }

    fn found(kind: Kind, header: &str, map: &str) -> Layout {
        Layout::find(kind, &columns(header), &Mapping::parse(kind, map).unwrap()).unwrap()
    }

    #[track_caller]
    fn reads(kind: Kind, header: &str, expected: &[(&str, &str)]) {
        let (layout, columns) = (found(kind, header, ""), columns(header));
        for (field, heading) in expected {
            let at = layout.column(field).map(|at| columns[at].as_str());
            assert_eq!(at, Some(*heading), "{field} of {header}");
        }
        assert_eq!(layout.missing(kind, &Mapping { event: Some("sent".into()), ..Mapping::default() }), []);
    }

    #[test]
    fn exports_of_the_usual_systems_are_read_as_they_are() {
        reads(
            Kind::Orders,
            "Name,Email,Financial Status,Paid at,Fulfillment Status,Currency,Subtotal,Shipping,Taxes,Total,Discount Code,\
             Discount Amount,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Cancelled at,\
             Refunded Amount,Vendor,Id,Phone",
            &[
                ("order_id", "Id"),
                ("email", "Email"),
                ("total", "Total"),
                ("ordered_at", "Created at"),
                ("item_name", "Lineitem name"),
                ("item_price", "Lineitem price"),
                ("refunded", "Refunded Amount"),
                ("status", "Financial Status"),
                ("cancelled_at", "Cancelled at"),
                ("discount", "Discount Amount"),
            ],
        );
        reads(
            Kind::Orders,
            "Order Number,Order Status,Order Date,Customer Note,Email (Billing),Order Total Amount,Order Refund Amount,\
             Item Name,Item Cost,Quantity,SKU",
            &[
                ("order_id", "Order Number"),
                ("status", "Order Status"),
                ("total", "Order Total Amount"),
                ("item_price", "Item Cost"),
                ("email", "Email (Billing)"),
            ],
        );
        reads(
            Kind::Orders,
            "id,Created date (UTC),Amount,Amount Refunded,Currency,Status,Customer ID,Customer Email",
            &[("order_id", "id"), ("refunded", "Amount Refunded"), ("customer_id", "Customer ID")],
        );
        reads(
            Kind::Customers,
            "Email Address,First Name,Last Name,Address,Birthday,MEMBER_RATING,OPTIN_TIME,LAST_CHANGED,LEID,CC",
            &[("email", "Email Address"), ("created_at", "OPTIN_TIME"), ("customer_id", "LEID"), ("country", "CC")],
        );
        reads(
            Kind::Customers,
            "Customer ID,First Name,Email,Accepts Email Marketing,Default Address City,Phone,Tags",
            &[("accepts_marketing", "Accepts Email Marketing"), ("city", "Default Address City")],
        );
        reads(
            Kind::Newsletter,
            "Email,Metric,Timestamp,Campaign Name,Subject,URL",
            &[("event", "Metric"), ("campaign", "Campaign Name"), ("happened_at", "Timestamp")],
        );
    }

    #[test]
    fn a_file_of_the_first_version_is_told_apart_as_it_was_then() {
        let old = found(Kind::Orders, "customer_id,date,total,Order Number,Currency code", "");
        assert_eq!((old.column("order_id"), old.column("currency")), (None, None));
        let mapped = found(Kind::Orders, "who,when,much,Order Number", "customer_id=who,ordered_at=when,total=much");
        assert_eq!(mapped.column("order_id"), None);
        let named = found(Kind::Orders, "customer_id,date,total,Order Number", "order_id=order number");
        assert_eq!(named.column("order_id"), Some(3), "unless its owner says so");
        assert_eq!(found(Kind::Orders, "Email,date,total,Order Number", "").column("order_id"), Some(3));
        assert_eq!(found(Kind::Orders, "Email,date,total,name", "").column("order_id"), None, "a person's");
    }

    #[test]
    fn what_does_not_fit_is_told_with_what_there_is() {
        let error = Mapping::parse(Kind::Orders, "colour=who").unwrap_err().to_string();
        assert!(error.contains("colour") && error.contains("customer_id"), "{error}");
        let mapping = Mapping::parse(Kind::Orders, "total=much").unwrap();
        let error = Layout::find(Kind::Orders, &columns("a,how much"), &mapping).unwrap_err().to_string();
        assert!(error.contains("much") && error.contains("a, how much"), "{error}");
        let told = |kind, header: &str| {
            let missing = found(kind, header, "").missing(kind, &Mapping::default());
            missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        assert!(
            told(Kind::Orders, "who,total").contains("customer_id or email"),
            "{}",
            told(Kind::Orders, "who,total")
        );
        assert!(told(Kind::Orders, "email,total").contains("--map ordered_at=COLUMN"));
        assert!(told(Kind::Newsletter, "email,time").contains("--event"));
    }

    #[test]
    fn an_owner_may_leave_a_column_out_and_keep_others_as_traits() {
        let layout = found(Kind::Customers, "email,phone,plan", "phone=,trait:plan=Plan");
        assert_eq!((layout.column("phone"), layout.uses(2)), (None, true));
    }
}
