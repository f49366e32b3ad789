//! The projector's thread: woken by commits of this process, and looking by itself for those of others.

use crate::store::projection::{self, Projector};
use crate::store::{Store, StoreError};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use diesel::PgConnection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long another process's commit may wait for this one to look.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How long projecting goes on before others have their turn.
const FIRST: Duration = Duration::from_millis(200);
/// How often it is told how much is projected.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Pause after a failed step.
const PAUSE: Duration = Duration::from_millis(500);

/// Wakes the projector; cheap to clone and to call.
#[derive(Clone)]
pub(crate) struct Wake(Sender<()>);

impl Wake {
    /// Something was committed.
    pub(crate) fn wake(&self) {
        // Full means that it is awake already.
        let _ = self.0.try_send(());
    }
}

/// The running projector; dropping it lets the step under way end.
pub(crate) struct Running {
    stop: Arc<AtomicBool>,
    wake: Wake,
    thread: Option<JoinHandle<()>>,
    /// Events projected since the start.
    pub(crate) events: Arc<AtomicU64>,
}

impl Running {
    /// A way to wake it.
    pub(crate) fn waker(&self) -> Wake {
        self.wake.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.wake.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the projector ended by a panic");
        }
    }
}

/// Starts the projector.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn start(store: Store) -> std::io::Result<Running> {
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let stop = Arc::new(AtomicBool::new(false));
    let events = Arc::new(AtomicU64::new(0));
    let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&events));
    let thread = std::thread::Builder::new()
        .name("projector".to_owned())
        .spawn(move || run(&store, &receiver, &stopped, &counter))?;
    Ok(Running { stop, wake: Wake(sender), thread: Some(thread), events })
}

fn run(store: &Store, wake: &Receiver<()>, stop: &AtomicBool, events: &AtomicU64) {
    let mut projector = Projector::default();
    let mut connection: Option<PgConnection> = None;
    while !stop.load(Ordering::Acquire) {
        match step(store, &mut projector, &mut connection) {
            Ok(Done { projected: 0, asked: 0 }) => match wake.recv_timeout(LOOK_AGAIN) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            },
            Ok(done) => {
                events.fetch_add(done.projected, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::warn!(%error, "projecting is tried again");
                connection = None;
                std::thread::park_timeout(PAUSE);
            }
        }
    }
}

/// One step of everything; gives how much was projected and whether anything was done at all.
fn step(store: &Store, projector: &mut Projector, connection: &mut Option<PgConnection>) -> Result<Done, StoreError> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(store.connect()?),
    };
    let mut step = projector.step(connection)?;
    // What people do comes first: asking everybody anew goes on when nothing much is left, or now and then.
    let begun = Instant::now();
    while step.is_full && begun.elapsed() < FIRST {
        let more = projector.step(connection)?;
        (step.rows, step.events, step.is_full) = (step.rows + more.rows, step.events + more.events, more.is_full);
    }
    let due = projector.settle_due(connection)?;
    let swept = projector.sweep(connection)?;
    // A row may hold no event, only a changed identity.
    Ok(Done { projected: (step.events + step.rows) as u64, asked: due + swept })
}

/// What one step did.
struct Done {
    /// Events and journal rows.
    projected: u64,
    /// People whose deadline had come, or who were asked because a segment or a model changed.
    asked: usize,
}

/// Projects everything that waits now, on the caller's thread, and asks the segments about everybody who is due; what
/// another process has under way is waited for.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn drain(store: &Store) -> Result<(), StoreError> {
    drain_telling(store, |_, _| ())
}

/// As [`drain`]; `tell` is called after each step with the events that are projected and all that there were to project.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn drain_telling(store: &Store, mut tell: impl FnMut(u64, u64)) -> Result<(), StoreError> {
    let mut projector = Projector::default();
    let mut connection = None;
    let end = projection::journal_end(&mut *store.lend()?)?;
    let all = projection::waiting_events(&mut *store.lend()?, None)?;
    let mut told = Instant::now();
    loop {
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            // Others may project at the same time, and more may come in meanwhile.
            tell(all.saturating_sub(projection::waiting_events(&mut *store.lend()?, None)?), all);
        }
        match step(store, &mut projector, &mut connection) {
            Ok(Done { projected: 0, asked: 0 }) => {
                let other = &mut *store.lend()?;
                if !projection::waits_before(other, &end)? && !projection::sweeps_wait(other)? {
                    return Ok(());
                }
                // Nothing to claim: somebody else is at it.
                std::thread::park_timeout(LOOK_AGAIN / 4);
            }
            Ok(_) | Err(StoreError::Contended(_)) => {}
            Err(error) => return Err(error),
        }
    }
}
