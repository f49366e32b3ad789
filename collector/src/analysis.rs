//! Analysis columns: every person of a site with all they did, in memory, for questions that SQL is too slow for.
//!
//! PostgreSQL stays the truth. One thread reads each site once ([`load`]), or takes it from a file of the last run
//! ([`mod@file`]), and from then on follows the journal with a cursor of its own: whoever is named there is read again and
//! put before the columns ([`columns`]). Whoever asks takes a [`View`], one moment that stays as it is, and is never
//! waited for; questions ([`ask`], [`mod@visits`], [`compare`]) run on all cores.
//!
//! **Memory** is bounded. What does not fit leaves by whole months, the oldest first; visits and orders stay. Every view
//! says in its [`Coverage`] what it leaves out.

mod ask;
mod columns;
mod compare;
mod file;
mod keeper;
mod load;
#[cfg(test)]
mod tests;
mod visits;

pub use ask::{Among, Backtested, Distribution, Group, Memberships, Preview, Rfm, View};
pub use visits::{Cohort, Funnel, FunnelStep, MAX_FUNNEL_STEPS, Path, Period, Return, VisitorsOfDay};

pub(crate) use ask::compares;
pub(crate) use compare::PRODUCT_PROPERTIES;

use crate::store::columns::{ReadError, Selection, sizes};
use crate::store::journal::{Cursor, follow};
use crate::store::projection::journal_end;
use crate::store::sites::Site;
use crate::store::{Store, StoreError};
use columns::Columns;
use domain::event::ProfileId;
use domain::segment::rule::{Needs, visit};
use keeper::{Keeper, LOOK_AGAIN};
use std::collections::HashMap;
use std::path::{self, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the journal is waited for when columns are held against the database.
const CATCH_UP: Duration = Duration::from_secs(60);
/// Properties, and traits, that a site keeps at most.
const MAX_KEPT: usize = 64;

/// Threads of a question.
fn threads() -> usize {
    static THREADS: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *THREADS.get_or_init(|| std::thread::available_parallelism().map_or(2, usize::from))
}

/// How columns are kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes that all sites may take together, also while they are read.
    pub memory_bytes: u64,
    /// Where files for fast starts are; without it there are none.
    pub cache: Option<PathBuf>,
}

impl Settings {
    /// Memory where nothing is said.
    pub const MEMORY_MIB: u64 = 1_024;
}

/// How far reading is: people, events, visits and orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// So many are read.
    pub read: u64,
    /// Of so many that were there when reading began.
    pub of: u64,
}

/// What answers leave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Coverage {
    /// Page views and named events before this second are not looked at, only visits and orders; `None` when all are.
    pub from: Option<u32>,
    /// Everything is there.
    pub complete: bool,
    /// Some texts or properties found no room: tests on properties may miss people.
    pub crowded: bool,
    /// Something is being read: the site for the first time, or again with more properties.
    pub loading: Option<Progress>,
}

/// Whether properties and traits are kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// They are.
    Kept,
    /// The site is read again with them in the background, while views go on without them.
    Later,
    /// They find no room: a site keeps at most 64 of each.
    Never,
}

/// What is said where [`Keeping::Never`] is.
pub(crate) const NO_ROOM: &str = "the rule asks for a property or trait beyond the 64 of each that are kept in memory; rules that are not needed any \
     more give room when the server starts again";

/// Figures of all sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// People in memory.
    pub people: u64,
    /// Their events, visits and orders.
    pub events: u64,
    /// What they take.
    pub bytes: u64,
    /// What is still being read.
    pub loading: Progress,
}

/// Where columns are asked for; cheap to clone.
#[derive(Clone)]
pub struct Analysis(Arc<Shared>);

struct Shared {
    store: Store,
    settings: Settings,
    stop: AtomicBool,
    cursor: AtomicU64,
    /// Which of PostgreSQL's processes is streaming a site to this one; 0 for none.
    streams: AtomicI32,
    sites: RwLock<HashMap<i32, Arc<Kept>>>,
}

/// A site's columns and what is to become of them.
#[derive(Default)]
struct Kept {
    columns: RwLock<Option<Arc<Columns>>>,
    /// Held by whoever makes the next moment out of the last one, so that no change is lost; readers never take it.
    change: Mutex<()>,
    /// What the columns were read with.
    selection: Mutex<Selection>,
    /// What they are to be read with.
    wanted: Mutex<Needs>,
    /// They must be read again whatever they hold.
    is_lost: AtomicBool,
    loading: AtomicBool,
    gauge: load::Gauge,
    /// The revision of the site's segments and models that has been taken over.
    learnt: AtomicI64,
    people: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    fn now(&self) -> Option<Arc<Columns>> {
        self.columns.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the next moment out of the last one, if there is one.
    fn change(&self, change: impl FnOnce(&mut Columns)) {
        let _alone = lock(&self.change);
        if let Some(now) = self.now() {
            let mut next = Columns::clone(&now);
            change(&mut next);
            self.publish(next);
        }
    }

    fn publish(&self, columns: Columns) {
        let before = self.columns.write().unwrap_or_else(PoisonError::into_inner).replace(Arc::new(columns));
        // Outside of the lock: the last of a moment takes a while to be given back.
        drop(before);
    }

    fn count(&self) {
        if let Some(columns) = self.now() {
            let (people, events) = columns.counts();
            self.people.store(people, Ordering::Relaxed);
            self.events.store(events, Ordering::Relaxed);
            self.bytes.store(columns.bytes() as u64, Ordering::Relaxed);
        }
    }

    fn progress(&self) -> Option<Progress> {
        self.loading.load(Ordering::Acquire).then(|| {
            let of = self.gauge.of.load(Ordering::Relaxed);
            Progress { read: self.gauge.done.load(Ordering::Relaxed).min(of), of }
        })
    }

    /// Has what these name kept from the next reading on; gives whether all of it finds room.
    fn want(&self, needs: &Needs) -> bool {
        let mut wanted = lock(&self.wanted);
        let mut has_room = true;
        let Needs { properties, traits, .. } = &mut *wanted;
        for (known, names) in [(properties, &needs.properties), (traits, &needs.traits)] {
            let is_given = |name: &String| visit::NAMES.contains(&name.as_str());
            let new: Vec<String> =
                names.iter().filter(|name| !known.contains(name) && !is_given(name)).cloned().collect();
            has_room &= known.len() + new.len() <= MAX_KEPT;
            known.extend(new);
            known.truncate(MAX_KEPT);
        }
        has_room
    }

    /// Whether the columns are missing, lost, or lack something that is wanted.
    fn wants_reading(&self) -> bool {
        let wanted = lock(&self.wanted);
        let selection = lock(&self.selection);
        self.is_lost.load(Ordering::Acquire)
            || self.now().is_none()
            || !wanted.properties.iter().all(|name| selection.properties.contains(name))
            || !wanted.traits.iter().all(|name| selection.traits.contains(name))
    }
}

impl Default for Selection {
    fn default() -> Selection {
        Selection { properties: visit::NAMES.map(str::to_owned).to_vec(), traits: Vec::new(), from: None }
    }
}

impl Analysis {
    fn kept(&self, site_id: i32) -> Option<Arc<Kept>> {
        self.0.sites.read().unwrap_or_else(PoisonError::into_inner).get(&site_id).cloned()
    }

    /// The site's people as they are now; `None` until they have been read for the first time.
    pub fn view(&self, site: &Site) -> Option<View> {
        let columns = self.kept(site.site_id)?.now()?;
        Some(View::new(columns, site, self.coverage(site.site_id)))
    }

    /// What a view of the site leaves out now.
    pub fn coverage(&self, site_id: i32) -> Coverage {
        let Some(kept) = self.kept(site_id) else {
            return Coverage { loading: Some(Progress::default()), ..Coverage::default() };
        };
        let columns = kept.now();
        let crowded = columns
            .as_ref()
            .is_some_and(|columns| columns.vocabulary.read().unwrap_or_else(PoisonError::into_inner).is_full());
        let from = columns.as_ref().and_then(|columns| columns.from);
        // Between two looks of the thread nothing is being read although it should be.
        let loading = kept.progress().or_else(|| columns.is_none().then(Progress::default));
        let complete = columns.is_some() && from.is_none() && !crowded;
        Coverage { from, complete, crowded, loading }
    }

    /// Sees to it that the properties and traits that a rule needs ([`Store::needs`]) are kept, and says whether they are. A view that is
    /// taken afterwards has what is said to be [`Keeping::Kept`].
    pub fn keep(&self, site_id: i32, needs: &Needs) -> Keeping {
        let Some(kept) = self.kept(site_id) else { return Keeping::Later };
        let has_room = kept.want(needs);
        let selection = lock(&kept.selection);
        let is_there = kept.now().is_some()
            && needs.properties.iter().all(|name| selection.properties.contains(name))
            && needs.traits.iter().all(|name| selection.traits.contains(name));
        match (is_there, has_room) {
            (true, _) => Keeping::Kept,
            (false, true) => Keeping::Later,
            (false, false) => Keeping::Never,
        }
    }

    /// Whether the site is in memory, with what its models said at a revision of its segments.
    pub(crate) fn knows(&self, site_id: i32, revision: i64) -> bool {
        let kept = self.kept(site_id).filter(|kept| kept.now().is_some());
        kept.is_some_and(|kept| kept.learnt.load(Ordering::Acquire) >= revision)
    }

    /// Figures of all sites, at most some seconds old.
    pub fn figures(&self) -> Figures {
        let sites = self.0.sites.read().unwrap_or_else(PoisonError::into_inner);
        sites.values().fold(Figures::default(), |mut sum, kept| {
            sum.people += kept.people.load(Ordering::Relaxed);
            sum.events += kept.events.load(Ordering::Relaxed);
            sum.bytes += kept.bytes.load(Ordering::Relaxed);
            if let Some(progress) = kept.progress() {
                sum.loading.read += progress.read;
                sum.loading.of += progress.of;
            }
            sum
        })
    }

    /// The age in seconds of the oldest journal row that is not in the columns yet.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn lag_seconds(&self) -> Result<f64, StoreError> {
        self.0.store.cursor_lag(self.0.cursor.load(Ordering::Relaxed))
    }
}

/// What comes of holding a site's file of columns against the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// There is no file: whoever starts reads the database.
    NoFile,
    /// The file cannot be read, or the journal does not reach back to it any more; the next start leaves it aside. Says
    /// why.
    LeftAside(String),
    /// So many people are what the database says.
    Same(u64),
    /// These are not, although nothing in the journal named them since; now it does, so that they are read again.
    Different(Vec<ProfileId>),
}

/// Holds a site's file of columns against the database: reads everybody anew and compares, but for those whom the journal
/// names since the file was written, who are read again at the next start anyway.
///
/// # Errors
/// [`StoreError`]
pub fn hold(store: &Store, folder: &path::Path, site: &Site) -> Result<Held, StoreError> {
    let (about, columns) = match file::read(folder, site.site_id) {
        Ok(read) => read,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Held::NoFile),
        Err(error) => return Ok(Held::LeftAside(error.to_string())),
    };
    if about.currency != site.currency.code() {
        return Ok(Held::LeftAside(format!("it is in {}", about.currency)));
    }
    let mut connection = store.connect()?;
    let (people, _) = columns.counts();
    let size = sizes(&mut connection)?.remove(&site.site_id).unwrap_or_default();
    // The same words, so that the same numbers mean the same.
    let words = columns.vocabulary.read().unwrap_or_else(PoisonError::into_inner).clone();
    let (gauge, stop) = (load::Gauge::default(), AtomicBool::new(false));
    let anew = match load::load(&mut connection, site, &size, &about.selection, words, &gauge, &stop) {
        Ok(loaded) => loaded,
        Err(ReadError::Store(error)) => return Err(error),
        Err(ReadError::Stopped) => return Ok(Held::LeftAside("the reading was stopped".to_owned())),
    };
    // Everything that was committed when everybody was read has a transaction before this one.
    let end = journal_end(&mut connection)?.parse::<Cursor>().unwrap_or(Cursor::MAX);
    let view = |columns: Columns| View::new(Arc::new(columns), site, Coverage::default());
    let mut different = view(columns).differences(&view(anew.columns));
    let mut cursor = about.cursor;
    let begun = Instant::now();
    // What was projected out of turn while everybody was read is named when the journal has come so far.
    while cursor < anew.cursor || (cursor < end && !different.is_empty()) {
        let (next, named) = follow(&mut connection, cursor)?;
        let touched = named.get(&site.site_id);
        different.retain(|id| touched.is_none_or(|touched| !touched.contains(id)));
        if next == cursor {
            if begun.elapsed() > CATCH_UP {
                return Ok(Held::LeftAside("the journal does not come on: something else holds it up".to_owned()));
            }
            std::thread::park_timeout(LOOK_AGAIN);
        }
        cursor = next;
    }
    // Asked last: what was read of the journal until now was whole.
    if !store.knows_reader(&about.reader, about.cursor)? {
        return Ok(Held::LeftAside("the journal does not reach back to it".to_owned()));
    }
    different.sort_unstable();
    if different.is_empty() {
        return Ok(Held::Same(people));
    }
    // Whoever keeps columns reads them again, those of a running server too.
    crate::store::journal::ask_again(&mut connection, site.site_id, &different)?;
    Ok(Held::Different(different.into_iter().map(ProfileId).collect()))
}

/// The thread that keeps columns; dropping it ends what it reads, writes the files and waits for that.
pub struct Running {
    analysis: Analysis,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Where to ask.
    pub fn analysis(&self) -> Analysis {
        self.analysis.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.analysis.0.stop.store(true, Ordering::Release);
        // What is left of a stream would have to be read to its end.
        let pid = self.analysis.0.streams.load(Ordering::Acquire);
        if pid != 0
            && let Err(error) = self.analysis.0.store.cancel(pid)
        {
            tracing::warn!(%error, "the reading of a site is not cut short");
        }
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("analysis ended by a panic");
            }
        }
    }
}

/// Starts to read all sites in the background, and to keep them as they are.
///
/// # Errors
/// When no thread can be started.
pub fn start(store: Store, settings: Settings) -> std::io::Result<Running> {
    let shared = Arc::new(Shared {
        store,
        settings,
        stop: AtomicBool::new(false),
        cursor: AtomicU64::new(0),
        streams: AtomicI32::new(0),
        sites: RwLock::default(),
    });
    let keeper_of = Arc::clone(&shared);
    let thread = std::thread::Builder::new().name("analysis".to_owned()).spawn(move || {
        Keeper::new(&keeper_of).run();
    })?;
    Ok(Running { analysis: Analysis(shared), thread: Some(thread) })
}
