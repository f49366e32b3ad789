//! Group commit: handlers put screened batches on a bounded channel; a writer drains what is there, commits once,
//! then answers everybody who was in the group.

use crate::store::events::{NewEvent, Term};
use crate::store::ingest::{Ingest, Receipt, Rejection, SiteBatch};
use crate::store::orders::refuse_foreign_refunds;
use crate::store::{Store, StoreError};
use crossbeam_channel::{Receiver, Sender, TrySendError};
use diesel::PgConnection;
use domain::event::ORDER_REFUNDED;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Writers of one process. While one waits for the disk, the other fills the next transaction with what has come in
/// meanwhile; more would only share the same rows among smaller transactions.
const WRITERS: usize = 2;
/// Requests that may wait.
const QUEUED_REQUESTS: usize = 4_096;
/// Bytes of bodies that may wait: what a slow disk may cost in memory.
const QUEUED_BYTES: usize = 64 << 20;
/// Events of one transaction: COPY gains nothing beyond, and a larger group keeps the first waiting.
const GROUP_EVENTS: usize = 5_000;
/// How often a transaction is tried again that another one interrupted.
const TRIES: u32 = 5;

/// Why a batch could not be stored now; the client may send the same again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unavailable {
    /// More is waiting than the writers can take.
    #[error("more is waiting than can be stored at once")]
    Busy,
    /// The database is away.
    #[error("the database is away")]
    Away,
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

struct Job {
    batch: SiteBatch,
    bytes: usize,
    answer: oneshot::Sender<Result<Receipt, Unavailable>>,
}

/// The writers' front.
pub(crate) struct Writer {
    jobs: Sender<Job>,
    gauge: Arc<Gauge>,
}

/// What the writers tell of themselves.
#[derive(Default)]
pub(crate) struct Gauge {
    /// Bytes of bodies that wait.
    queued_bytes: AtomicUsize,
    /// The last transaction failed because the database was away or its disk full.
    away: AtomicBool,
    /// Events stored since the start.
    pub(crate) stored: AtomicU64,
    /// Duplicates stepped over since the start.
    pub(crate) duplicate: AtomicU64,
    /// Events rejected since the start.
    pub(crate) rejected: AtomicU64,
    /// Transactions committed since the start.
    pub(crate) commits: AtomicU64,
}

impl Gauge {
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Relaxed)
    }
}

impl Writer {
    /// Starts the writers; they end when the front is dropped and what was accepted is answered. `stored` is called
    /// after each commit.
    pub(crate) fn start(
        store: &Store,
        stored: Arc<dyn Fn() + Send + Sync>,
    ) -> std::io::Result<(Writer, Vec<JoinHandle<()>>)> {
        let (jobs, queue) = crossbeam_channel::bounded(QUEUED_REQUESTS);
        let gauge = Arc::new(Gauge::default());
        let pen = Arc::new(Mutex::new(()));
        let mut threads = Vec::new();
        for n in 0..WRITERS {
            let thread = WriterThread {
                store: store.clone(),
                queue: queue.clone(),
                gauge: Arc::clone(&gauge),
                stored: Arc::clone(&stored),
                pen: Arc::clone(&pen),
                connection: None,
                tried_at: None,
                ingest: Ingest::new(),
            };
            threads.push(std::thread::Builder::new().name(format!("writer-{n}")).spawn(move || thread.run())?);
        }
        Ok((Writer { jobs, gauge }, threads))
    }

    pub(crate) fn gauge(&self) -> &Arc<Gauge> {
        &self.gauge
    }

    /// Whether the last transaction could not be stored.
    pub(crate) fn is_away(&self) -> bool {
        self.gauge.away.load(Ordering::Relaxed)
    }

    /// Stores a batch; when this returns a receipt, it is committed. `bytes` is the body's decoded size.
    ///
    /// # Errors
    /// [`Unavailable`]
    pub(crate) async fn store(&self, batch: SiteBatch, bytes: usize) -> Result<Receipt, Unavailable> {
        self.queue(batch, bytes)?.await.unwrap_or(Err(Unavailable::Stopping))
    }

    /// The same for a caller that is no task; it must not be called from one.
    ///
    /// # Errors
    /// [`Unavailable`]
    pub(crate) fn store_and_wait(&self, batch: SiteBatch) -> Result<Receipt, Unavailable> {
        self.queue(batch, 0)?.blocking_recv().unwrap_or(Err(Unavailable::Stopping))
    }

    fn queue(
        &self,
        batch: SiteBatch,
        bytes: usize,
    ) -> Result<oneshot::Receiver<Result<Receipt, Unavailable>>, Unavailable> {
        if self.gauge.queued_bytes.load(Ordering::Relaxed) > QUEUED_BYTES {
            return Err(Unavailable::Busy);
        }
        let (answer, answered) = oneshot::channel();
        self.gauge.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let sent = self.jobs.try_send(Job { batch, bytes, answer });
        if let Err(error) = sent {
            self.gauge.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(match error {
                TrySendError::Full(_) => Unavailable::Busy,
                TrySendError::Disconnected(_) => Unavailable::Stopping,
            });
        }
        Ok(answered)
    }
}

/// Whether PostgreSQL's words are about the data that it was given, so that sending the same again cannot help.
fn blames_data(message: &str) -> bool {
    [
        "out of range",
        "overflows",
        "invalid byte sequence",
        "invalid input",
        "unsupported Unicode",
        "too long",
        "exceeds",
    ]
    .iter()
    .any(|words| message.contains(words))
}

struct WriterThread {
    store: Store,
    queue: Receiver<Job>,
    gauge: Arc<Gauge>,
    stored: Arc<dyn Fn() + Send + Sync>,
    /// Held from the first request of a group until all but the commit is done.
    pen: Arc<Mutex<()>>,
    connection: Option<PgConnection>,
    tried_at: Option<Instant>,
    ingest: Ingest,
}

impl WriterThread {
    fn run(mut self) {
        let pen = Arc::clone(&self.pen);
        loop {
            let mut holds = Some(pen.lock().unwrap_or_else(PoisonError::into_inner));
            let Ok(first) = self.queue.recv() else { return };
            let mut events = first.batch.events.len();
            let mut jobs = vec![first];
            while events < GROUP_EVENTS {
                let Ok(job) = self.queue.try_recv() else { break };
                events += job.batch.events.len();
                jobs.push(job);
            }
            let mut batches = Vec::with_capacity(jobs.len());
            let mut answers = Vec::with_capacity(jobs.len());
            let mut bytes = 0;
            for job in jobs {
                batches.push(job.batch);
                answers.push(job.answer);
                bytes += job.bytes;
            }
            self.screen(&mut batches);
            let settled = self.settle(batches, &mut || drop(holds.take()));
            drop(holds);
            self.gauge.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            let away = settled.iter().any(|result| matches!(result, Err(Unavailable::Away | Unavailable::Full)));
            self.gauge.away.store(away, Ordering::Relaxed);
            for (answer, result) in answers.into_iter().zip(settled) {
                if let Ok(receipt) = &result {
                    self.gauge.stored.fetch_add(receipt.stored.into(), Ordering::Relaxed);
                    self.gauge.duplicate.fetch_add(receipt.duplicate.into(), Ordering::Relaxed);
                    self.gauge.rejected.fetch_add(receipt.rejected.into(), Ordering::Relaxed);
                }
                // A client that has gone does not change what is stored.
                let _ = answer.send(result);
            }
        }
    }

    /// Looks at what only the database can tell of an event; what it cannot be asked now is left to the store, which
    /// meets the same database.
    fn screen(&mut self, batches: &mut [SiteBatch]) {
        let is_refund = |event: &NewEvent| event.text(Term::Name).is_some_and(|name| **name == *ORDER_REFUNDED);
        if !batches.iter().any(|batch| batch.events.iter().any(is_refund)) {
            return;
        }
        let screened = self.connection().and_then(|mut connection| {
            refuse_foreign_refunds(&mut connection, batches, super::Reason::BadOrder.name())?;
            self.connection = Some(connection);
            Ok(())
        });
        if let Err(error) = screened {
            tracing::warn!(%error, "refunds could not be compared with their orders");
        }
    }

    /// Stores batches together; when PostgreSQL refuses the whole, halves it until the one event is found that it
    /// refuses, and rejects that one.
    fn settle(&mut self, batches: Vec<SiteBatch>, written: &mut dyn FnMut()) -> Vec<Result<Receipt, Unavailable>> {
        match self.store(&batches, written) {
            Ok(receipts) => receipts.into_iter().map(Ok).collect(),
            Err(StoreError::Refused(message)) => self.settle_parts(batches, &message),
            Err(error) => {
                let unavailable = match error {
                    StoreError::Full(_) => Unavailable::Full,
                    StoreError::Contended(_) | StoreError::AlreadyThere => Unavailable::Busy,
                    StoreError::Away(_) | StoreError::Refused(_) => Unavailable::Away,
                };
                tracing::warn!(%error, requests = batches.len(), "a group could not be stored");
                batches.iter().map(|_| Err(unavailable)).collect()
            }
        }
    }

    fn settle_parts(&mut self, mut batches: Vec<SiteBatch>, message: &str) -> Vec<Result<Receipt, Unavailable>> {
        if batches.len() > 1 {
            let second = batches.split_off(batches.len() / 2);
            let mut results = self.settle(batches, &mut || ());
            results.extend(self.settle(second, &mut || ()));
            return results;
        }
        let Some(mut batch) = batches.pop() else { return Vec::new() };
        if batch.events.len() > 1 {
            let events = batch.events.split_off(batch.events.len() / 2);
            let second = SiteBatch {
                site: Arc::clone(&batch.site),
                source: Arc::clone(&batch.source),
                events,
                rejections: Vec::new(),
            };
            let sum =
                self.settle(vec![batch, second], &mut || ()).into_iter().try_fold(Receipt::default(), |sum, part| {
                    part.map(|part| Receipt {
                        stored: sum.stored + part.stored,
                        duplicate: sum.duplicate + part.duplicate,
                        rejected: sum.rejected + part.rejected,
                    })
                });
            return vec![sum];
        }
        let Some(event) = batch.events.pop() else {
            // Not an event but our own bookkeeping is refused: a fault of this server, and nothing is lost by waiting.
            tracing::error!(message, "PostgreSQL refuses a transaction without events");
            return vec![Err(Unavailable::Away)];
        };
        if !blames_data(message) {
            tracing::error!(message, "PostgreSQL fails for another reason than the event; it is to be sent again");
            return vec![Err(Unavailable::Away)];
        }
        tracing::error!(message, site = batch.site.site_id, kind = event.kind.label(), "an event is refused");
        batch.rejections.push(Rejection {
            reason: super::Reason::StorageRefused.name(),
            detail: "PostgreSQL refuses this event".into(),
            sample: event.properties.map(|json| super::screen::sample(&json)),
        });
        self.settle(vec![batch], &mut || ())
    }

    fn store(&mut self, batches: &[SiteBatch], written: &mut dyn FnMut()) -> Result<Vec<Receipt>, StoreError> {
        let mut tries = 0;
        loop {
            let mut connection = self.connection()?;
            let result = self.ingest.store(&mut connection, batches, super::clock::now_us(), &mut *written);
            tries += 1;
            match result {
                Ok(receipts) => {
                    self.connection = Some(connection);
                    self.gauge.commits.fetch_add(1, Ordering::Relaxed);
                    (self.stored)();
                    return Ok(receipts);
                }
                Err(StoreError::Contended(message)) if tries < TRIES => {
                    tracing::info!(message, "a group is tried again");
                    self.connection = Some(connection);
                }
                // The connection is dropped: whatever state it was in, the next try starts on a fresh one.
                Err(error) => return Err(error),
            }
        }
    }

    /// The writer's connection; a lost one is made again, at most five times a second.
    fn connection(&mut self) -> Result<PgConnection, StoreError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        if self.tried_at.is_some_and(|at| at.elapsed() < Duration::from_millis(200)) {
            return Err(StoreError::Away("it was away a moment ago".into()));
        }
        match self.store.connect() {
            Ok(connection) => {
                self.tried_at = None;
                self.ingest.reconnected();
                Ok(connection)
            }
            Err(error) => {
                self.tried_at = Some(Instant::now());
                Err(error)
            }
        }
    }
}
