//! The thread that keeps everybody in memory: it reads each site once, follows the journal, and stays inside the memory
//! that it may have.

use super::{Kept, Shared, file, load, lock};
use crate::secrets;
use crate::store::columns::{ReadError, Selection, Size, sizes};
use crate::store::journal::{Cursor, backend_pid, follow};
use crate::store::membership::read_all_scores;
use crate::store::segments;
use crate::store::sites::Site;
use crate::store::{StoreError, traits::read_computed};
use diesel::PgConnection;
use domain::segment::rule::{Vocabulary, visit};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// How often the journal is looked at.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How often the list of sites is.
const LOOK_FOR_SITES: Duration = Duration::from_secs(2);
/// How often the cursor is noted, memory counted and what grew too large cut.
const NOTE: Duration = Duration::from_secs(10);
/// How often changed columns are written to disk. The journal is kept from the last file on, so that a crash loses none.
const SAVE: Duration = Duration::from_secs(15 * 60);
/// The journal is kept for a file no longer than this: one that cannot be written must not fill the database.
const SAVE_OVERDUE: Duration = Duration::from_secs(45 * 60);
/// Pause after something failed.
const PAUSE: Duration = Duration::from_millis(500);

/// What the thread knows.
pub(super) struct Keeper<'a> {
    shared: &'a Shared,
    /// Its name among the journal's readers.
    reader: String,
    cursor: Cursor,
    connection: Option<PgConnection>,
    sites: Vec<Site>,
    /// Which place of the journal each site's file has.
    saved: HashMap<i32, Cursor>,
    /// Sites that are not as in their file.
    changed: BTreeSet<i32>,
    last_save: Instant,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(shared: &'a Shared) -> Keeper<'a> {
        Keeper {
            shared,
            reader: secrets::token("analysis_"),
            cursor: 0,
            connection: None,
            sites: Vec::new(),
            saved: HashMap::new(),
            changed: BTreeSet::new(),
            last_save: Instant::now(),
        }
    }

    fn stops(&self) -> bool {
        self.shared.stop.load(Ordering::Acquire)
    }

    pub(super) fn run(&mut self) {
        let mut is_placed = false;
        let mut looked: Option<Instant> = None;
        let mut noted = Instant::now();
        while !self.stops() {
            let done = self.turn(&mut is_placed, &mut looked, &mut noted);
            match done {
                Ok(true) => {}
                Ok(false) => std::thread::park_timeout(LOOK_AGAIN),
                Err(ReadError::Stopped) => {}
                Err(ReadError::Store(_)) if self.stops() => {}
                Err(ReadError::Store(error)) => {
                    tracing::warn!(%error, "analysis is tried again");
                    self.connection = None;
                    std::thread::park_timeout(PAUSE);
                }
            }
        }
        if is_placed {
            self.save_all();
            self.note();
        }
    }

    /// Does what is due; gives whether there may be more at once.
    fn turn(
        &mut self,
        is_placed: &mut bool,
        looked: &mut Option<Instant>,
        noted: &mut Instant,
    ) -> Result<bool, ReadError> {
        if self.connection.is_none() {
            self.connection = Some(self.shared.store.connect()?);
        }
        if looked.is_none_or(|at| at.elapsed() > LOOK_FOR_SITES) {
            self.look_for_sites()?;
            *looked = Some(Instant::now());
        }
        if !*is_placed {
            self.take_place()?;
            *is_placed = true;
        }
        // First, so that a site is read once with all that its rules ask for.
        self.learn()?;
        let loaded = self.load_one()?;
        let followed = self.follow()?;
        if loaded || noted.elapsed() > NOTE {
            *noted = Instant::now();
            self.trim();
            if self.last_save.elapsed() > SAVE {
                self.save_all();
            } else if loaded {
                self.save();
            }
            if !self.note() {
                // Silent for too long: what was touched since may be gone from the journal.
                tracing::warn!("the journal has gone on without this reader; all sites are read again");
                self.cursor = self.shared.store.new_cursor(&self.reader)?;
                for kept in self.shared.sites.read().unwrap_or_else(PoisonError::into_inner).values() {
                    kept.is_lost.store(true, Ordering::Release);
                }
            }
        }
        Ok(loaded || followed)
    }

    fn look_for_sites(&mut self) -> Result<(), StoreError> {
        self.sites = self.shared.store.sites()?;
        let mut kept = self.shared.sites.write().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|site_id, _| self.sites.iter().any(|site| site.site_id == *site_id));
        self.saved.retain(|site_id, _| kept.contains_key(site_id));
        for site in &self.sites {
            kept.entry(site.site_id).or_default();
        }
        Ok(())
    }

    fn kept(&self, site_id: i32) -> Option<Arc<Kept>> {
        self.shared.sites.read().unwrap_or_else(PoisonError::into_inner).get(&site_id).cloned()
    }

    /// Takes the files of the last run as far as the journal still knows their place, else begins at its end.
    fn take_place(&mut self) -> Result<(), StoreError> {
        let mut place: Option<Cursor> = None;
        for site in self.sites.clone() {
            let Some((folder, kept)) = self.shared.settings.cache.as_ref().zip(self.kept(site.site_id)) else {
                continue;
            };
            let begun = Instant::now();
            let (about, columns) = match file::read(folder, site.site_id) {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    tracing::warn!(site = site.site_id, %error, "the file of columns is left aside");
                    continue;
                }
            };
            let is_same = about.currency == site.currency.code();
            if !is_same || !self.shared.store.take_cursor(&about.reader, about.cursor, &self.reader)? {
                tracing::info!(site = site.site_id, "the file of columns is too old, the site is read anew");
                continue;
            }
            place = Some(place.map_or(about.cursor, |place| place.min(about.cursor)));
            self.saved.insert(site.site_id, about.cursor);
            {
                let mut wanted = lock(&kept.wanted);
                let kept_of = |names: &[String]| -> Vec<String> {
                    names.iter().filter(|name| !visit::NAMES.contains(&name.as_str())).cloned().collect()
                };
                wanted.properties.extend(kept_of(&about.selection.properties));
                wanted.traits.extend(about.selection.traits.clone());
            }
            *lock(&kept.selection) = about.selection;
            kept.publish(columns);
            kept.count();
            tracing::info!(site = site.site_id, ms = begun.elapsed().as_millis() as u64, "columns are taken from disk");
        }
        self.cursor = match place {
            Some(place) => place,
            None => self.shared.store.new_cursor(&self.reader)?,
        };
        self.shared.cursor.store(self.cursor, Ordering::Relaxed);
        Ok(())
    }

    /// Reads one site that has to be; gives whether there was one.
    fn load_one(&mut self) -> Result<bool, ReadError> {
        let next = self.sites.iter().find_map(|site| {
            let kept = self.kept(site.site_id)?;
            kept.wants_reading().then(|| (site.clone(), kept))
        });
        let Some((site, kept)) = next else { return Ok(false) };
        let Some(connection) = &mut self.connection else { return Ok(false) };
        kept.loading.store(true, Ordering::Release);
        let begun = Instant::now();
        let read = (|| {
            let sizes = sizes(connection)?;
            let size = sizes.get(&site.site_id).cloned().unwrap_or_default();
            let mut selection = Selection::default();
            {
                let wanted = lock(&kept.wanted);
                selection.properties.extend(wanted.properties.iter().cloned());
                selection.traits.extend(wanted.traits.iter().cloned());
            }
            selection.from = fitting(&size, share(&sizes, site.site_id, self.shared.settings.memory_bytes));
            let rows = size.people + size.visits + size.orders + size.events_since(selection.from);
            kept.gauge.done.store(0, Ordering::Relaxed);
            kept.gauge.of.store(rows, Ordering::Relaxed);
            let mut words = Vocabulary::new();
            selection.properties.iter().for_each(|name| _ = words.keep_property(name));
            selection.traits.iter().for_each(|name| _ = words.keep_trait(name));
            let stop = &self.shared.stop;
            self.shared.streams.store(backend_pid(connection)?, Ordering::Release);
            let loaded = load::load(connection, &site, &size, &selection, words, &kept.gauge, stop)?;
            {
                let _alone = lock(&kept.change);
                let mut columns = loaded.columns;
                if let Some(before) = kept.now() {
                    columns.score(&before.scores());
                }
                kept.publish(columns);
            }
            // Last: whoever is told that something is kept finds it in the view that they take afterwards.
            *lock(&kept.selection) = selection;
            kept.is_lost.store(false, Ordering::Release);
            kept.count();
            let ms = begun.elapsed().as_millis() as u64;
            tracing::info!(site = site.site_id, cursor = loaded.cursor, rows, ms, "columns are read");
            Ok(())
        })();
        self.shared.streams.store(0, Ordering::Release);
        kept.loading.store(false, Ordering::Release);
        self.changed.insert(site.site_id);
        read.map(|()| true)
    }

    /// Takes over what has changed of the sites' segments and models: what the rules ask for is kept, and people have the
    /// scores that the models gave them.
    fn learn(&mut self) -> Result<(), StoreError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        for (site_id, revision) in segments::read_all_revisions(connection)? {
            let kept = self.shared.sites.read().unwrap_or_else(PoisonError::into_inner).get(&site_id).cloned();
            let Some(kept) = kept.filter(|kept| kept.learnt.load(Ordering::Acquire) < revision) else { continue };
            let computed = read_computed(connection, site_id)?;
            for rule in segments::read_segments(connection, site_id)?.iter().filter_map(|segment| segment.rule()) {
                kept.want(&rule.needs().behind(&computed));
            }
            // Not before the site is read: the scores would be lost.
            if kept.now().is_some() {
                let scores = read_all_scores(connection, site_id)?;
                kept.change(|columns| columns.score(&scores));
                kept.learnt.store(revision, Ordering::Release);
            }
        }
        Ok(())
    }

    /// Reads again whom the journal names; gives whether it named anybody.
    fn follow(&mut self) -> Result<bool, ReadError> {
        let Some(connection) = &mut self.connection else { return Ok(false) };
        let (cursor, touched) = follow(connection, self.cursor)?;
        let touched: BTreeMap<i32, BTreeSet<i64>> =
            touched.into_iter().filter(|(_, people)| !people.is_empty()).collect();
        if !touched.is_empty() {
            // A change of a site's settings that came before must be seen with it.
            self.look_for_sites()?;
        }
        for (site_id, people) in &touched {
            let site = self.sites.iter().find(|site| site.site_id == *site_id);
            let Some((site, kept)) = site.zip(self.kept(*site_id)) else { continue };
            let Some(connection) = &mut self.connection else { return Ok(false) };
            // A site that is still to be read will be with them.
            let Some(columns) = kept.now() else { continue };
            let selection = lock(&kept.selection).clone();
            let rows = load::rows(connection, site, &selection, &columns.vocabulary, people)?;
            kept.change(|columns| columns.put(rows));
            self.changed.insert(*site_id);
        }
        self.cursor = cursor;
        self.shared.cursor.store(cursor, Ordering::Relaxed);
        Ok(!touched.is_empty())
    }

    /// Counts, and cuts the oldest month of the largest site's detail until everything fits again.
    fn trim(&mut self) {
        let sites: Vec<(i32, Arc<Kept>)> = {
            let sites = self.shared.sites.read().unwrap_or_else(PoisonError::into_inner);
            sites.iter().map(|(site_id, kept)| (*site_id, Arc::clone(kept))).collect()
        };
        for (_, kept) in &sites {
            kept.count();
        }
        loop {
            let bytes = |kept: &Kept| kept.bytes.load(Ordering::Relaxed);
            if sites.iter().map(|(_, kept)| bytes(kept)).sum::<u64>() <= self.shared.settings.memory_bytes {
                return;
            }
            let largest = sites.iter().max_by_key(|(_, kept)| bytes(kept));
            let Some(((site_id, kept), columns)) = largest.and_then(|largest| Some((largest, largest.1.now()?))) else {
                return;
            };
            let before = bytes(kept);
            let Some(from) = columns.next_month() else { return };
            lock(&kept.selection).from = Some(from);
            kept.change(|columns| columns.forget_before(from));
            kept.count();
            self.changed.insert(*site_id);
            tracing::info!(site = site_id, from, "a month of detail has left memory");
            if bytes(kept) >= before {
                return;
            }
        }
    }

    /// Writes the files of sites that changed.
    fn save(&mut self) {
        let Some(folder) = &self.shared.settings.cache else { return };
        for site_id in std::mem::take(&mut self.changed) {
            let site = self.sites.iter().find(|site| site.site_id == site_id);
            let Some((site, kept)) = site.zip(self.kept(site_id)) else { continue };
            let Some(columns) = kept.now() else { continue };
            let about = file::About {
                site_id,
                currency: site.currency.code().to_owned(),
                selection: lock(&kept.selection).clone(),
                reader: self.reader.clone(),
                cursor: self.cursor,
            };
            match file::save(folder, &about, &columns) {
                Ok(()) => {
                    self.saved.insert(site_id, self.cursor);
                }
                Err(error) => {
                    tracing::warn!(site = site_id, %error, "columns are not written to disk");
                    self.changed.insert(site_id);
                }
            }
        }
    }

    /// Writes every file again, so that the journal need not be kept from where the oldest of them stands.
    fn save_all(&mut self) {
        self.changed.extend(self.saved.iter().filter(|(_, saved)| **saved < self.cursor).map(|(site_id, _)| *site_id));
        self.last_save = Instant::now();
        self.save();
    }

    /// Notes how far the journal is read: where there are files, how far they are. Gives whether it knew the reader.
    fn note(&self) -> bool {
        let overdue = self.last_save.elapsed() > SAVE_OVERDUE;
        let oldest = self.saved.values().min().filter(|_| !overdue && self.shared.settings.cache.is_some());
        let place = oldest.map_or(self.cursor, |saved| self.cursor.min(*saved));
        match self.shared.store.note_cursor(&self.reader, place) {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(%error, "the place in the journal is noted later");
                true
            }
        }
    }
}

/// A site's share of the memory, by what it would take.
fn share(sizes: &BTreeMap<i32, Size>, site_id: i32, memory: u64) -> u64 {
    let whole: u64 = sizes.values().map(|size| fixed(size) + size.events_since(None) * load::LOADING_EVENT_BYTES).sum();
    let own = sizes.get(&site_id).map_or(0, |size| fixed(size) + size.events_since(None) * load::LOADING_EVENT_BYTES);
    u64::try_from(u128::from(memory) * u128::from(own) / u128::from(whole.max(1))).unwrap_or(memory)
}

/// What people, visits and orders take, which never leave.
pub(super) fn fixed(size: &Size) -> u64 {
    // An order is also an event.
    size.people * load::LOADING_PERSON_BYTES
        + size.visits * load::LOADING_EVENT_BYTES
        + size.orders * (load::LOADING_EVENT_BYTES + load::LOADING_ORDER_BYTES)
}

/// The second from which on events fit into so many bytes; `None` when all do.
pub(super) fn fitting(size: &Size, bytes: u64) -> Option<u32> {
    let mut left = bytes.saturating_sub(fixed(size)) / load::LOADING_EVENT_BYTES;
    if size.events_since(None) <= left {
        return None;
    }
    // Behind the newest month, where not even that fits: no month has more days.
    let mut from = size.months.keys().next_back().map_or(0, |newest| newest.saturating_add(31 * 86_400));
    for (month, events) in size.months.iter().rev() {
        match left.checked_sub(*events) {
            Some(rest) => (left, from) = (rest, *month),
            None => break,
        }
    }
    Some(from)
}
