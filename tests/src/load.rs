//! Clients that never give up and remember what was acknowledged: what a crash test compares the store with.

use crate::cluster::Database;
use crate::shop::Keys;
use crate::speech::{self, now_ms};
use crate::web::Web;
use crate::{SOON, until};
use serde_json::json;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use wire::{Event, Id, Who};

/// Events that a sender adds between two tries.
const NEW_EVENTS: usize = 10;
/// A sender that is refused gathers no more than this.
const MOST_PENDING: usize = 200;
/// Between two requests of a sender: the load is steady, not a flood that the projector of a debug build never ends.
const PACE: Duration = Duration::from_millis(4);

/// What was answered with 200.
#[derive(Debug, Default)]
pub struct Acknowledged {
    /// Ids of events of the wire format.
    event_ids: Vec<Id>,
    /// Segment messages, by their property `n`.
    numbers: Vec<i64>,
}

/// Senders under way.
pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Acknowledged>>,
    count: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts `senders` threads that send to the servers in turn: what is not acknowledged goes out again with the next
    /// events, so in another grouping, and where there are several servers, to another one.
    pub fn start(origins: &[String], keys: &Keys, senders: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
        let count = Arc::new(AtomicUsize::new(0));
        let threads = (0..senders)
            .map(|sender| {
                let mut sender = Sender {
                    sender,
                    webs: origins.iter().map(|origin| Web::new(origin)).collect(),
                    keys: keys.clone(),
                    tries: sender,
                    made: 0,
                    stop: Arc::clone(&stop),
                    acknowledged: Arc::clone(&acknowledged),
                    count: Arc::clone(&count),
                };
                std::thread::spawn(move || sender.run())
            })
            .collect();
        Load { stop, acknowledged, count, threads }
    }

    /// Events acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits until that many more are acknowledged.
    #[track_caller]
    pub fn goes_on(&self, more: usize) {
        let goal = self.acknowledged() + more;
        until("more to be acknowledged", 3 * SOON, || {
            assert!(!self.threads.iter().any(JoinHandle::is_finished), "a sender has ended");
            (self.acknowledged() >= goal).then_some(())
        });
    }

    /// Lets every sender send what it has, and gives back what was acknowledged: everything that was ever sent.
    pub fn finish(self) -> Acknowledged {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a sender");
        }
        let mut acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut acknowledged)
    }
}

struct Sender {
    sender: usize,
    webs: Vec<Web>,
    keys: Keys,
    tries: usize,
    made: usize,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Acknowledged>>,
    count: Arc<AtomicUsize>,
}

impl Sender {
    fn run(&mut self) {
        let mut visitor = 0;
        while !self.stop.load(Ordering::Relaxed) {
            visitor += 1;
            if visitor % 4 == 0 {
                self.messages();
            } else {
                self.events(&format!("s{}v{}", self.sender, visitor % 40));
            }
        }
    }

    /// The server of the next try. Trying again at once would only measure how fast one is refused.
    fn web(&mut self) -> &Web {
        std::thread::park_timeout(PACE);
        self.tries += 1;
        &self.webs[self.tries % self.webs.len()]
    }

    fn number(&mut self) -> i64 {
        self.made += 1;
        (self.sender * 10_000_000 + self.made) as i64
    }

    /// A visitor's events, over and over until they are acknowledged.
    fn events(&mut self, visitor: &str) {
        let who = Who::Visitor(speech::visitor_id(visitor));
        let mut pending: Vec<Event<'static>> = Vec::new();
        loop {
            for n in 0..NEW_EVENTS.min(MOST_PENDING - pending.len()) {
                let now = now_ms();
                let made = self.number();
                pending.push(match n {
                    0 => speech::page(now, &format!("https://shop.example/{}", made % 50)),
                    1 if made % 90 < 10 => speech::identify(now, &format!("u-{visitor}"), json!({ "plan": made % 3 })),
                    2 if made % 50 < 10 => {
                        let order = json!({ "order_id": format!("B{made}"), "total": 12.5, "currency": "EUR" });
                        speech::track(now, "Order Completed", order)
                    }
                    _ => speech::track(now, "Seen", json!({ "n": made })),
                });
            }
            let body = speech::batch(&self.keys.write_key, who, &pending);
            if self.web().post("/v1/events", &body).status == 200 {
                let mut acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                acknowledged.event_ids.extend(pending.iter().map(|event| event.id));
                self.count.fetch_add(pending.len(), Ordering::Relaxed);
                return;
            }
        }
    }

    /// Messages of the shop's own server, which knows people by their user ids.
    fn messages(&mut self) {
        let mut pending: Vec<(i64, serde_json::Value)> = Vec::new();
        loop {
            for _ in 0..NEW_EVENTS.min(MOST_PENDING - pending.len()) {
                let n = self.number();
                let user = format!("u-s{}v{}", self.sender, n % 40);
                let message = json!({
                    "type": "track", "event": "Server Seen", "userId": user, "messageId": format!("m{n}"),
                    "properties": { "n": n }, "context": { "traits": { "email": format!("{user}@mail.example") } },
                });
                pending.push((n, message));
            }
            let messages: Vec<_> = pending.iter().map(|(_, message)| message).collect();
            let body = json!({ "writeKey": self.keys.secret_key, "batch": messages });
            if self.web().post_json("/v1/batch", &body).status == 200 {
                let mut acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                acknowledged.numbers.extend(pending.iter().map(|(n, _)| *n));
                self.count.fetch_add(pending.len(), Ordering::Relaxed);
                return;
            }
        }
    }
}

impl Acknowledged {
    /// How many.
    pub fn count(&self) -> usize {
        self.event_ids.len() + self.numbers.len()
    }

    /// Every acknowledged event is stored, each once, and nothing else is.
    #[track_caller]
    pub fn is_stored_exactly_once(&self, database: &Database) {
        let own = database.rows("SELECT event_id FROM events WHERE flags & 1 = 0");
        let own: Vec<Id> = own
            .iter()
            .map(|row| {
                *row["event_id"].as_str().and_then(|id| id.parse::<uuid::Uuid>().ok()).expect("an id").as_bytes()
            })
            .collect();
        let numbers = database.rows("SELECT (properties ->> 'n')::bigint AS n FROM events WHERE flags & 1 = 1");
        let numbers: Vec<i64> = numbers.iter().map(|row| row["n"].as_i64().expect("a number")).collect();
        compare("events", &self.event_ids, &own);
        compare("messages", &self.numbers, &numbers);
    }
}

#[track_caller]
fn compare<T: std::hash::Hash + Eq + std::fmt::Debug>(what: &str, acknowledged: &[T], stored: &[T]) {
    let there: HashSet<&T> = stored.iter().collect();
    let missing: Vec<&T> = acknowledged.iter().filter(|one| !there.contains(one)).collect();
    assert!(missing.is_empty(), "{} acknowledged {what} missing of {}", missing.len(), acknowledged.len());
    assert_eq!(stored.len(), there.len(), "{what} are stored twice");
    let told: HashSet<&T> = acknowledged.iter().collect();
    assert_eq!(there.len(), told.len(), "{what} that nobody was told of");
}
