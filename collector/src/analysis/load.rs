//! From rows of the database to columns: everything at once, or some people.
//!
//! Everything is read in one pass over each table, in whatever order the disk gives it, and put into the order of people
//! and time here, shard by shard: 16 bytes an event for as long as it takes. Reading person by person would look up
//! every event through an index of every month.

use super::columns::{Base, Columns, Row, Seen, Shard, shard_of, shards_for};
use crate::store::StoreError;
use crate::store::columns::{
    Did, EventRead, OrderRead, PersonRead, ReadError, Selection, Sink, Size, VisitRead, read_all, read_some, read_texts,
};
use crate::store::journal::{Cursor, journal_bound};
use crate::store::sites::Site;
use diesel::Connection;
use diesel::PgConnection;
use domain::event::{ProfileId, TermId};
use domain::segment::rule::{PersonRow, PlacedAt, Scores, Vocabulary, What};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};

/// Bytes of an event while everything is being read, before and after it is put in order.
pub(super) const LOADING_EVENT_BYTES: u64 = size_of::<Staged>() as u64;
/// About what a person takes, with what finds them while everything is being read.
pub(super) const LOADING_PERSON_BYTES: u64 = 160;
/// What an order takes besides its event, with what finds the events of its own.
pub(super) const LOADING_ORDER_BYTES: u64 = 48;
/// People of one query when some are read.
const SOME: usize = 1_000;

/// The order of what happens within one second; the same as in `domain::segment::rule::PersonRow::add`.
const VISIT: u32 = 0;
const EVENT: u32 = 1;
const ORDER: u32 = 2;

/// Numbers as keys: one multiplication spreads them enough.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn write_i64(&mut self, number: i64) {
        self.0 = number.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }

    fn write_i32(&mut self, number: i32) {
        self.write_i64(number.into());
    }
}

type Numbers<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// An event while everything is being read.
#[derive(Clone, Copy)]
struct Staged {
    at: u32,
    /// The person's place in the shard, then what stands first within a second: kind of happening, then ms.
    whose: u32,
    what: What,
    record: u32,
}

/// Bits of what stands first within a second: 2 of the kind, 10 of the ms.
const WITHIN_BITS: u32 = 12;
const MAX_WITHIN: u32 = 999;
/// People of a shard while everything is being read.
const MAX_PEOPLE: usize = 1 << (32 - WITHIN_BITS);

impl Staged {
    fn new(person: u32, rank: u32, at: u32, within: u32, what: What, record: u32) -> Staged {
        Staged { at, whose: person << WITHIN_BITS | rank << 10 | within.min(MAX_WITHIN), what, record }
    }

    fn person(&self) -> u32 {
        self.whose >> WITHIN_BITS
    }

    /// Where it stands among all of its person.
    fn time(&self) -> (u32, u32) {
        (self.at, self.whose & ((1 << WITHIN_BITS) - 1))
    }
}

#[derive(Default)]
struct Stage {
    people: Vec<PersonRead>,
    measured: Vec<bool>,
    events: Vec<Staged>,
    /// In the order in which they came, with the person's place.
    orders: Vec<(u32, PlacedAt)>,
}

/// How far a load is; shared with whoever shows it.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    pub(super) done: AtomicU64,
    pub(super) of: AtomicU64,
}

/// Takes in everything.
struct Loader<'a> {
    words: Wording<'a>,
    stages: Vec<Stage>,
    /// Shard and place of each profile, and of each identity's profile.
    profiles: Numbers<i64, (u32, u32)>,
    identities: Numbers<i64, (u32, u32)>,
    /// Identities and profiles of which no person has come yet.
    orphans: Vec<(i64, i64)>,
    gauge: &'a Gauge,
    stop: &'a AtomicBool,
    rows: u64,
    /// There are more people than places.
    is_overrun: bool,
}

/// Turns words into numbers.
struct Wording<'a> {
    vocabulary: &'a mut Vocabulary,
    texts: Numbers<i32, Arc<str>>,
    pages: Numbers<i32, What>,
    tracks: Numbers<i32, What>,
    touches: HashMap<String, u32>,
}

impl<'a> Wording<'a> {
    fn new(vocabulary: &'a mut Vocabulary) -> Wording<'a> {
        Wording {
            vocabulary,
            texts: Numbers::default(),
            pages: Numbers::default(),
            tracks: Numbers::default(),
            touches: HashMap::new(),
        }
    }

    fn text(texts: &Numbers<i32, Arc<str>>, term: TermId) -> Arc<str> {
        // A term that is named is there; what is not must still be told apart from others.
        texts.get(&term.0).cloned().unwrap_or_else(|| format!("({})", term.0).into())
    }

    fn what(&mut self, did: Did) -> What {
        match did {
            Did::Page(term) => *self.pages.entry(term.0).or_insert_with(|| {
                // Its text is kept by the vocabulary from now on.
                self.vocabulary.page(term, || Wording::text(&self.texts, term))
            }),
            Did::Track(term) => {
                *self.tracks.entry(term.0).or_insert_with(|| self.vocabulary.track(&Wording::text(&self.texts, term)))
            }
            Did::Identify => What::IDENTIFY,
            Did::Group => What::GROUP,
            Did::Alias => What::ALIAS,
        }
    }

    fn record(&mut self, properties: Option<&Map<String, Value>>) -> u32 {
        properties.map_or(0, |properties| self.vocabulary.record(properties))
    }

    fn touch(&mut self, texts: &[&str]) -> u32 {
        // No text holds a control character: intake strips them.
        let key = texts.join("\u{1}");
        match self.touches.get(&key) {
            Some(known) => *known,
            None => {
                let record = self.vocabulary.touch(texts);
                self.touches.insert(key, record);
                record
            }
        }
    }

    fn visit(&mut self, visit: &VisitRead) -> u32 {
        let [channel, source, medium, campaign, referrer] = &visit.touch;
        self.touch(&[channel, source, medium, campaign, referrer])
    }

    fn order(&mut self, order: &OrderRead) -> PlacedAt {
        let [channel, source, campaign] = &order.touch;
        // The medium of an order is not stored.
        let record = self.touch(&[channel, source, "", campaign]);
        PlacedAt { at: second(order.at_us), record, minor: order.minor }
    }

    fn traits(&mut self, known: Option<&Map<String, Value>>) -> Vec<u32> {
        let Some(known) = known else { return Vec::new() };
        let names = self.vocabulary.traits().to_vec();
        names.iter().map(|name| known.get(&**name).map_or(0, |value| self.vocabulary.value(value))).collect()
    }
}

fn second(at_us: i64) -> u32 {
    u32::try_from(at_us.div_euclid(1_000_000)).unwrap_or(if at_us < 0 { 0 } else { u32::MAX })
}

fn ms(at_us: i64) -> u32 {
    u32::try_from(at_us.rem_euclid(1_000_000) / 1_000).unwrap_or(0)
}

impl Sink for Loader<'_> {
    fn text(&mut self, term: TermId, text: &str) {
        self.words.texts.insert(term.0, text.into());
    }

    fn person(&mut self, person: PersonRead) {
        self.add(person, false);
        self.rows += 1;
    }

    fn identity(&mut self, identity_id: i64, profile_id: i64, measured: bool) {
        if measured && !self.profiles.contains_key(&profile_id) {
            let nobody = PersonRead {
                profile_id,
                signed_up: false,
                first_seen_us: i64::MAX,
                last_seen_us: i64::MIN,
                traits: None,
            };
            self.add(nobody, true);
            self.rows += 1;
        }
        match self.profiles.get(&profile_id) {
            Some(place) => {
                self.identities.insert(identity_id, *place);
            }
            None => self.orphans.push((identity_id, profile_id)),
        }
    }

    fn event(&mut self, event: EventRead) {
        self.rows += 1;
        // A measured visitor's order may come before the visitor. One whose person could not be projected is nobody's.
        for (identity_id, profile_id) in std::mem::take(&mut self.orphans) {
            if let Some(place) = self.profiles.get(&profile_id) {
                self.identities.insert(identity_id, *place);
            }
        }
        let Some((shard, person)) = self.identities.get(&event.who).copied() else { return };
        let what = self.words.what(event.did);
        let record = self.words.record(event.properties.as_ref());
        let staged = Staged::new(person, EVENT, second(event.at_us), ms(event.at_us), what, record);
        self.stages[shard as usize].events.push(staged);
    }

    fn visit(&mut self, visit: VisitRead) {
        self.rows += 1;
        let Some((shard, person)) = self.profiles.get(&visit.profile_id).copied() else { return };
        let record = self.words.visit(&visit);
        let stage = &mut self.stages[shard as usize];
        if stage.measured[person as usize] {
            let known = &mut stage.people[person as usize];
            known.first_seen_us = known.first_seen_us.min(visit.at_us);
            known.last_seen_us = known.last_seen_us.max(visit.end_us);
        }
        stage.events.push(Staged::new(person, VISIT, second(visit.at_us), ms(visit.at_us), What::VISIT, record));
    }

    fn order(&mut self, order: OrderRead) {
        self.rows += 1;
        let Some((shard, person)) = self.profiles.get(&order.profile_id).copied() else { return };
        let placed = self.words.order(&order);
        self.stages[shard as usize].orders.push((person, placed));
    }

    fn goes_on(&mut self) -> bool {
        if self.rows.is_multiple_of(4_096) {
            self.gauge.done.store(self.rows, Ordering::Relaxed);
            return !self.stop.load(Ordering::Relaxed);
        }
        true
    }
}

impl Loader<'_> {
    fn add(&mut self, person: PersonRead, measured: bool) {
        let shard = shard_of(person.profile_id, self.stages.len());
        let stage = &mut self.stages[shard];
        if stage.people.len() >= MAX_PEOPLE {
            // Far more people than were counted a moment ago: counted again, they are spread over more shards.
            self.is_overrun = true;
            return;
        }
        // As many shards and people of one as are held in memory fit.
        let place = (shard as u32, stage.people.len() as u32);
        self.profiles.insert(person.profile_id, place);
        stage.people.push(person);
        stage.measured.push(measured);
    }
}

/// What a load came to.
pub(super) struct Loaded {
    pub(super) columns: Columns,
    /// What the columns hold: everything below this place of the journal.
    pub(super) cursor: Cursor,
}

/// Reads everything of a site. `size` is about how much there is; words get their numbers from `vocabulary`, which
/// already keeps what `selection` names.
///
/// # Errors
/// [`ReadError`]
pub(super) fn load(
    connection: &mut PgConnection,
    site: &Site,
    size: &Size,
    selection: &Selection,
    mut vocabulary: Vocabulary,
    gauge: &Gauge,
    stop: &AtomicBool,
) -> Result<Loaded, ReadError> {
    connection.build_transaction().repeatable_read().read_only().run(|connection| {
        let cursor = journal_bound(connection)?;
        let shards = shards_for(usize::try_from(size.people).unwrap_or(0));
        // Room at once, with a tenth to spare: growing by doubling would take up to twice the memory. Orders are added
        // when everything is put in order.
        let each = |rows: u64| usize::try_from(rows + rows / 10).unwrap_or(0) / shards;
        let stage = || Stage {
            people: Vec::with_capacity(each(size.people)),
            measured: Vec::with_capacity(each(size.people)),
            events: Vec::with_capacity(each(size.events_since(selection.from) + size.visits + size.orders)),
            orders: Vec::with_capacity(each(size.orders)),
        };
        let mut loader = Loader {
            words: Wording::new(&mut vocabulary),
            stages: (0..shards).map(|_| stage()).collect(),
            profiles: Numbers::default(),
            identities: Numbers::default(),
            orphans: Vec::new(),
            gauge,
            stop,
            rows: 0,
            is_overrun: false,
        };
        read_all(connection, site, selection, &mut loader)?;
        if loader.is_overrun {
            return Err(StoreError::Contended("the site has grown while it was read".to_owned()).into());
        }
        let Loader { mut words, stages, profiles, identities, .. } = loader;
        drop((profiles, identities));
        let (bases, unclear) = order(stages, &mut words, selection.traits.len());
        drop(words);
        let mut columns = Columns {
            shards: bases.into_iter().map(|base| Arc::new(Shard::of(base))).collect(),
            vocabulary: Arc::new(RwLock::new(vocabulary)),
            from: selection.from,
        };
        let rows = rows(connection, site, selection, &columns.vocabulary, &unclear)?;
        columns.put(rows);
        Ok(Loaded { columns, cursor })
    })
}

/// A shard in order, and the people of whom the order is not clear.
type Ordered = (Base, Vec<i64>);

/// Puts what was read in order, on all cores. Gives back the people of whom it cannot tell what came first: those with
/// different events of one ms, whose exact times and ids are in the database.
fn order(stages: Vec<Stage>, words: &mut Wording<'_>, traits_each: usize) -> (Vec<Base>, BTreeSet<i64>) {
    let traits: Vec<Vec<Vec<u32>>> = stages
        .iter()
        .map(|stage| match traits_each {
            0 => Vec::new(),
            _ => stage.people.iter().map(|person| words.traits(person.traits.as_ref())).collect(),
        })
        .collect();
    let count = stages.len();
    let stages: Vec<Mutex<Option<Stage>>> = stages.into_iter().map(|stage| Mutex::new(Some(stage))).collect();
    let done: Vec<Mutex<Option<Ordered>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..super::threads().min(count) {
            scope.spawn(|| {
                loop {
                    let shard = next.fetch_add(1, Ordering::Relaxed);
                    let Some(stage) = stages.get(shard) else { break };
                    let taken = stage.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
                    let ordered = taken.map(|stage| order_stage(stage, &traits[shard], traits_each));
                    *done[shard].lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = ordered;
                }
            });
        }
    });
    let mut bases = Vec::with_capacity(count);
    let mut unclear = BTreeSet::new();
    for done in done {
        let done = done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (base, people) = done.unwrap_or_else(|| (Base::with_room(0, 0, 0, traits_each), Vec::new()));
        bases.push(base);
        unclear.extend(people);
    }
    (bases, unclear)
}

fn order_stage(stage: Stage, traits: &[Vec<u32>], traits_each: usize) -> Ordered {
    let Stage { people, measured, mut events, mut orders } = stage;
    let mut places: Vec<u32> = (0..).take(people.len()).collect();
    places.sort_unstable_by_key(|place| people[*place as usize].profile_id);
    let mut rank_of = vec![0_u32; people.len()];
    for (rank, place) in (0..).zip(&places) {
        rank_of[*place as usize] = rank;
    }
    for order in &mut orders {
        order.0 = rank_of[order.0 as usize];
    }
    orders.sort_unstable_by_key(|(rank, order)| (*rank, order.at, order.minor, order.record));
    for event in &mut events {
        let rank = rank_of[event.person() as usize];
        event.whose = rank << WITHIN_BITS | event.time().1;
    }
    let mut number = 0;
    for (place, (person, order)) in orders.iter().enumerate() {
        // Orders of one second keep their order.
        let before = place.checked_sub(1).map(|before| (orders[before].0, orders[before].1.at));
        number = if before == Some((*person, order.at)) { number + 1 } else { 0 };
        events.push(Staged::new(*person, ORDER, order.at, number, What::ORDER, order.record));
    }
    events.sort_unstable_by_key(|event| (event.person(), event.time()));
    let mut base = Base::with_room(people.len(), events.len(), orders.len(), traits_each);
    let mut unclear = Vec::new();
    let (mut events, mut orders) = (events.as_slice(), orders.as_slice());
    for (rank, place) in (0..).zip(places) {
        let person = &people[place as usize];
        let (own, rest) = events.split_at(events.partition_point(|event| event.person() <= rank));
        events = rest;
        let (placed, rest) = orders.split_at(orders.partition_point(|order| order.0 <= rank));
        orders = rest;
        let is_measured = measured[place as usize];
        if is_measured && own.is_empty() {
            continue;
        }
        let clash = |pair: &[Staged]| {
            pair[0].time() == pair[1].time() && (pair[0].what, pair[0].record) != (pair[1].what, pair[1].record)
        };
        if own.windows(2).any(clash) {
            unclear.push(person.profile_id);
        }
        base.at.extend(own.iter().map(|event| event.at));
        base.what.extend(own.iter().map(|event| event.what));
        base.record.extend(own.iter().map(|event| event.record));
        base.orders.extend(placed.iter().map(|(_, order)| *order));
        let seen = if is_measured {
            seen_by(own.iter().map(|event| event.at), second(person.last_seen_us))
        } else {
            Seen { is_profile: true, first: second(person.first_seen_us), last: second(person.last_seen_us) }
        };
        let traits = traits.get(place as usize).map_or(&[][..], Vec::as_slice);
        base.close(person.profile_id, person.signed_up, seen, Scores::NONE, traits);
    }
    (base, unclear)
}

/// When a measured visitor was there: nobody has written it down for them.
fn seen_by(times: impl Iterator<Item = u32> + Clone, visits_end: u32) -> Seen {
    let (first, last) = (times.clone().min().unwrap_or(0), times.max().unwrap_or(0));
    Seen { is_profile: false, first, last: last.max(visits_end) }
}

/// Reads some people as they are now; those who are gone come as `None`.
///
/// # Errors
/// [`StoreError`]
pub(super) fn rows(
    connection: &mut PgConnection,
    site: &Site,
    selection: &Selection,
    vocabulary: &RwLock<Vocabulary>,
    profile_ids: &BTreeSet<i64>,
) -> Result<Vec<(i64, Option<Row>)>, StoreError> {
    let mut rows = Vec::with_capacity(profile_ids.len());
    let ids: Vec<i64> = profile_ids.iter().copied().collect();
    for ids in ids.chunks(SOME) {
        // One moment for all that is asked of a person: between two a merge could take their events away.
        let some = if is_in_transaction(connection) {
            read_some(connection, site, selection, ids)?
        } else {
            connection
                .build_transaction()
                .repeatable_read()
                .read_only()
                .run(|connection| read_some(connection, site, selection, ids))?
        };
        let terms: HashSet<TermId> = some
            .events
            .iter()
            .filter_map(|event| match event.did {
                Did::Page(term) | Did::Track(term) => Some(term),
                Did::Identify | Did::Group | Did::Alias => None,
            })
            .collect();
        let texts = read_texts(connection, site.site_id, terms.into_iter())?;
        let mut vocabulary = vocabulary.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut words = Wording::new(&mut vocabulary);
        words.texts = texts.into_iter().map(|(term, text)| (term.0, text.into())).collect();
        let mut events = some.events.into_iter().peekable();
        let mut visits = some.visits.into_iter().peekable();
        let mut orders = some.orders.into_iter().peekable();
        let mut people: Numbers<i64, PersonRead> =
            some.people.into_iter().map(|person| (person.profile_id, person)).collect();
        for id in ids {
            let person = people.remove(id);
            let is_measured = person.is_none() && some.measured.contains(id);
            let mut entries: Vec<(u32, u32, What, u32)> = Vec::new();
            let mut visits_end = 0;
            while let Some(event) = events.next_if(|event| event.who == *id) {
                let (what, record) = (words.what(event.did), words.record(event.properties.as_ref()));
                entries.push((second(event.at_us), EVENT, what, record));
            }
            while let Some(visit) = visits.next_if(|visit| visit.profile_id == *id) {
                visits_end = visits_end.max(second(visit.end_us));
                entries.push((second(visit.at_us), VISIT, What::VISIT, words.visit(&visit)));
            }
            let mut placed = Vec::new();
            while let Some(order) = orders.next_if(|order| order.profile_id == *id) {
                placed.push(words.order(&order));
            }
            placed.sort_unstable_by_key(|order| (order.at, order.minor, order.record));
            entries.extend(placed.iter().map(|order| (order.at, ORDER, What::ORDER, order.record)));
            // Stable: events of one second stay in their own order.
            entries.sort_by_key(|(at, rank, ..)| (*at, *rank));
            if person.is_none() && (!is_measured || entries.is_empty()) {
                rows.push((*id, None));
                continue;
            }
            let seen = match &person {
                Some(person) => {
                    Seen { is_profile: true, first: second(person.first_seen_us), last: second(person.last_seen_us) }
                }
                None => seen_by(entries.iter().map(|entry| entry.0), visits_end),
            };
            let mut row = PersonRow::new(ProfileId(*id), person.as_ref().is_some_and(|person| person.signed_up));
            row.at = entries.iter().map(|entry| entry.0).collect();
            row.what = entries.iter().map(|entry| entry.2).collect();
            row.record = entries.iter().map(|entry| entry.3).collect();
            row.orders = placed;
            row.traits = words.traits(person.as_ref().and_then(|person| person.traits.as_ref()));
            row.traits.resize(selection.traits.len(), 0);
            rows.push((*id, Some(Row { row, seen })));
        }
    }
    Ok(rows)
}

fn is_in_transaction(connection: &mut PgConnection) -> bool {
    use diesel::connection::TransactionManager;
    let depth = <PgConnection as Connection>::TransactionManager::transaction_manager_status_mut(connection)
        .transaction_depth();
    matches!(depth, Ok(Some(_)))
}
