//! What some people have in common that others have not, and what they have ordered.

use super::ask::View;
use domain::event::ProfileId;
use domain::segment::insight::rate::Share;
use domain::segment::insight::traits::{MIN_WITH, TraitCount};
use domain::segment::rule::{Happened, Matcher, Person, Vocabulary, What, visit};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// Values of one dimension that are compared, the commonest.
const VALUES: usize = 500;
/// Events of the public e-commerce vocabulary whose properties are a product's begin so.
const OF_PRODUCTS: &str = "Product ";

/// The properties that a product's events are told apart by.
pub(crate) const PRODUCT_PROPERTIES: [&str; 2] = ["name", "category"];

/// What people are compared in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
enum Dimension {
    Channel,
    Source,
    Campaign,
    Referrer,
    Page,
    Event,
    Product,
    Category,
}

impl Dimension {
    const ALL: [Dimension; 8] = [
        Dimension::Channel,
        Dimension::Source,
        Dimension::Campaign,
        Dimension::Referrer,
        Dimension::Page,
        Dimension::Event,
        Dimension::Product,
        Dimension::Category,
    ];

    fn name(self) -> &'static str {
        match self {
            Dimension::Channel => "channel",
            Dimension::Source => "source",
            Dimension::Campaign => "campaign",
            Dimension::Referrer => "referrer",
            Dimension::Page => "page",
            Dimension::Event => "event",
            Dimension::Product => "product",
            Dimension::Category => "category",
        }
    }
}

/// How many inside and outside have something.
type Counts = HashMap<(Dimension, u32), [u64; 2], BuildHasherDefault<std::hash::DefaultHasher>>;

/// What people have, counted.
pub(crate) struct Common {
    /// The commonest values of each dimension.
    pub(crate) counts: Vec<TraitCount>,
    /// Some event is one of a product, but of which is not kept.
    pub(crate) lacks_products: bool,
}

/// Orders of some people within a period, and everybody's revenue in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ordered {
    pub(crate) orders: u64,
    pub(crate) minor: i64,
    pub(crate) everybody_minor: i64,
}

/// Which properties of an event say what.
struct Places {
    touches: Vec<(u16, Dimension)>,
    products: Vec<(u16, Dimension)>,
}

impl Places {
    fn of(words: &Vocabulary) -> Places {
        let place = |name: &str, dimension| words.property(name).map(|place| (place, dimension));
        let touch = |index: usize, dimension| place(visit::NAMES[index], dimension);
        let [name, category] = PRODUCT_PROPERTIES;
        Places {
            touches: [
                touch(visit::CHANNEL, Dimension::Channel),
                touch(visit::SOURCE, Dimension::Source),
                touch(visit::CAMPAIGN, Dimension::Campaign),
                touch(visit::REFERRER, Dimension::Referrer),
            ]
            .into_iter()
            .flatten()
            .collect(),
            products: [place(name, Dimension::Product), place(category, Dimension::Category)]
                .into_iter()
                .flatten()
                .collect(),
        }
    }
}

/// Whether something that happened is about a product.
fn is_of_product(words: &Vocabulary, what: What) -> bool {
    matches!(words.happened(what), Some(Happened::Track(name)) if name.starts_with(OF_PRODUCTS))
}

impl View {
    /// How many of some people, and how many of the other profiles, came from each source, viewed each page, and so on.
    /// `members` are sorted. Somebody has a value who had it once, as far as what they did is in memory.
    pub(crate) fn common(&self, members: &[ProfileId]) -> Common {
        let places = Places::of(&self.words());
        struct Sum {
            people: [u64; 2],
            counts: Counts,
            lacks_products: bool,
            /// Of the person at hand: what happened with which record, then what they have.
            happened: Vec<(What, u32)>,
            has: Vec<(Dimension, u32)>,
            of_product: HashMap<What, bool>,
        }
        let make = || Sum {
            people: [0; 2],
            counts: Counts::default(),
            lacks_products: false,
            happened: Vec::new(),
            has: Vec::new(),
            of_product: HashMap::new(),
        };
        let sum = self.fold(
            None,
            make,
            |sum, person, seen| {
                if !seen.is_profile {
                    return;
                }
                let side = usize::from(members.binary_search(&person.profile_id).is_err());
                sum.people[side] += 1;
                sum.happened.clear();
                sum.happened.extend(person.what.iter().copied().zip(person.record.iter().copied()));
                sum.happened.sort_unstable();
                sum.happened.dedup();
                sum.has.clear();
                // For one person only: who puts new words in would wait for the whole pass, and every reader for that.
                let words = self.words();
                for (what, record) in &sum.happened {
                    let named = match *what {
                        What::VISIT => &places.touches,
                        what if what.is_page() => {
                            sum.has.push((Dimension::Page, what.0));
                            continue;
                        }
                        what if what.is_track() => {
                            sum.has.push((Dimension::Event, what.0));
                            let of_product = *sum.of_product.entry(what).or_insert_with(|| is_of_product(&words, what));
                            if !of_product {
                                continue;
                            }
                            sum.lacks_products |= places.products.len() < PRODUCT_PROPERTIES.len();
                            &places.products
                        }
                        _ => continue,
                    };
                    for (place, value) in words.values_of(*record) {
                        let dimension = named.iter().find(|(known, _)| known == place).map(|(_, dimension)| *dimension);
                        sum.has.extend(dimension.map(|dimension| (dimension, *value)));
                    }
                }
                sum.has.sort_unstable();
                sum.has.dedup();
                for has in &sum.has {
                    sum.counts.entry(*has).or_default()[side] += 1;
                }
            },
            |mut one, other| {
                for (has, more) in other.counts {
                    let sum = one.counts.entry(has).or_default();
                    (sum[0], sum[1]) = (sum[0] + more[0], sum[1] + more[1]);
                }
                one.people = [one.people[0] + other.people[0], one.people[1] + other.people[1]];
                one.lacks_products |= other.lacks_products;
                one
            },
        );
        let words = self.words();
        let text = |dimension: Dimension, number: u32| match dimension {
            Dimension::Page | Dimension::Event => match words.happened(What(number))? {
                Happened::Page(text) | Happened::Track(text) => Some(text.to_string()),
                Happened::Visit | Happened::Order | Happened::Identify | Happened::Group | Happened::Alias => None,
            },
            Dimension::Channel => {
                words.scalar_of(number).map(|key| crate::store::reports::channel_name(&key.to_string()))
            }
            Dimension::Source
            | Dimension::Campaign
            | Dimension::Referrer
            | Dimension::Product
            | Dimension::Category => words.scalar_of(number).map(ToString::to_string),
        };
        let [inside, outside] = sum.people;
        let mut counts = Vec::new();
        for dimension in Dimension::ALL {
            let of = sum.counts.iter().filter(|((of, _), both)| *of == dimension && both[0] + both[1] >= MIN_WITH);
            let mut of: Vec<(u32, [u64; 2])> = of.map(|((_, number), both)| (*number, *both)).collect();
            of.sort_unstable_by_key(|(number, both)| (std::cmp::Reverse(both[0] + both[1]), *number));
            // By both sides together, so that what is left out says nothing about the difference.
            of.truncate(VALUES);
            counts.extend(of.into_iter().filter_map(|(number, [with, others_with])| {
                Some(TraitCount {
                    dimension: dimension.name().to_owned(),
                    value: text(dimension, number)?,
                    inside: Share::new(with, inside).ok()?,
                    outside: Share::new(others_with, outside).ok()?,
                })
            }));
        }
        Common { counts, lacks_products: sum.lacks_products }
    }

    /// What some people (sorted) ordered between each second and the next one.
    pub(crate) fn ordered(&self, members: &[ProfileId], starts: &[u32]) -> Vec<Ordered> {
        let periods = starts.len().saturating_sub(1);
        self.fold(
            None,
            || vec![Ordered::default(); periods],
            |sums, person, seen| {
                if !seen.is_profile || person.orders.is_empty() {
                    return;
                }
                let is_member = members.binary_search(&person.profile_id).is_ok();
                for order in person.orders {
                    let place = starts.partition_point(|start| *start <= order.at);
                    let Some(sum) = place.checked_sub(1).and_then(|place| sums.get_mut(place)) else { continue };
                    sum.everybody_minor = sum.everybody_minor.saturating_add(order.minor);
                    if is_member {
                        sum.orders += 1;
                        sum.minor = sum.minor.saturating_add(order.minor);
                    }
                }
            },
            |mut one, other| {
                for (sum, more) in one.iter_mut().zip(other) {
                    sum.orders += more.orders;
                    sum.minor = sum.minor.saturating_add(more.minor);
                    sum.everybody_minor = sum.everybody_minor.saturating_add(more.everybody_minor);
                }
                one
            },
        )
    }

    /// What a person did within a second: of several things the last that one of `asked` matches, else an order, else the
    /// last one that is not the beginning of a visit, which comes with whatever is done first.
    pub(crate) fn did_at(&self, profile_id: ProfileId, second: u32, asked: &[Matcher]) -> Option<Happened> {
        let what = self.person(profile_id, |person: &Person<'_>| {
            let from = person.at.partition_point(|at| *at < second);
            let to = person.at.partition_point(|at| *at <= second);
            let did = || person.what[from..to].iter().copied().zip(&person.record[from..to]).rev();
            let is_asked = |what: What, record: u32| asked.iter().any(|asked| asked.matches(what, || record));
            did()
                .find(|(what, record)| is_asked(*what, **record))
                .or_else(|| did().find(|(what, _)| *what == What::ORDER))
                .or_else(|| did().find(|(what, _)| *what != What::VISIT))
                .or_else(|| did().next())
                .map(|(what, _)| what)
        })??;
        self.words().happened(what)
    }
}
