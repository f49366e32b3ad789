//! Events that are not yet acknowledged, and what each answer of the collector means for them.
//!
//! An event leaves the queue in one of three ways: a fetch that carried it was answered, it was finally refused, or
//! it fell over a limit. The last two are counted. A beacon is no answer, so what it carried stays.

use wire::{Id, Who};

/// Most events kept; the oldest fall out first.
pub const MAX_EVENTS: usize = 1_000;
/// Most bytes of events kept; with it the stored queue stays far below what a browser grants a site.
pub const MAX_BYTES: usize = 64 * 1024;
/// Largest event the collector takes.
pub const MAX_EVENT_BYTES: usize = 32 * 1024;
/// Most bytes of events in one post: browsers refuse to keep more than 64 KB alive behind a page that closes.
pub const MAX_BATCH_BYTES: usize = 48 * 1024;
/// Oldest event worth storing or sending, in ms: the collector takes none whose id is older than eight days.
pub const MAX_AGE_MS: i64 = 7 * DAY_MS;

const HOUR_MS: i64 = 60 * 60 * 1000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The first byte of a stored queue; another one is of another release, and not read.
const STORED_VERSION: u8 = 2;
const LONGEST_WAIT_MS: f64 = 300_000.0;

struct Entry {
    who: Who,
    record: Vec<u8>,
    beaconed: bool,
    /// Is in the browser's storage too.
    stored: bool,
    /// Has been given a new id by the server's clock once; it does not get another.
    minted_anew: bool,
}

/// The collector's answer to a post.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// HTTP status; 0 when there was no answer.
    pub status: u32,
    /// `Retry-After` in seconds; 0 without one.
    pub retry_after_s: f64,
    /// The server's clock in ms, where the answer says that event ids were refused for their time.
    pub clock_ms: Option<i64>,
}

/// Events in the order they happened.
#[derive(Default)]
pub struct Queue {
    entries: Vec<Entry>,
    /// So many of the first entries are on their way in a fetch.
    in_flight: usize,
    /// A fetch is out; it may be of entries that are no longer here.
    waiting: bool,
    failures: u32,
    dropped: u32,
    /// What to add to the times inside ids, because this browser's clock is wrong.
    skew_ms: i64,
}

impl Queue {
    /// Adds an encoded event; one over the limits is counted as dropped.
    pub fn push(&mut self, who: Who, mut record: Vec<u8>) {
        if record.len() > MAX_EVENT_BYTES {
            self.count_dropped(1);
            return;
        }
        if self.skew_ms != 0 {
            wire::shift_ids(&mut record, self.skew_ms);
        }
        self.entries.push(Entry { who, record, beaconed: false, stored: false, minted_anew: self.skew_ms != 0 });
        self.keep_limits();
    }

    /// Number of events that are not acknowledged.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether everything is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether what is due next has not left with a beacon or an earlier page.
    pub fn is_fresh(&self) -> bool {
        self.entries.first().is_some_and(|entry| !entry.beaconed)
    }

    /// Events lost so far.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Forgets everything, as consent `off` asks for.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.in_flight = 0;
    }

    /// The next post: whose it is and its records. `None` while one is out or nothing is left. The caller answers
    /// with [`answered`](Self::answered).
    pub fn next_batch(&mut self) -> Option<(Who, Vec<u8>)> {
        if self.waiting {
            return None;
        }
        let (who, records, count) = run(self.entries.iter())?;
        self.in_flight = count;
        self.waiting = true;
        Some((who, records))
    }

    /// The next batch for a beacon of a page that goes away: whose it is, its records and how many, of what neither a
    /// fetch nor a beacon carries yet. Where a beacon takes it, the caller says so with [`beaconed`](Self::beaconed).
    pub fn next_beacon(&self) -> Option<(Who, Vec<u8>, usize)> {
        run(self.entries.iter().skip(self.in_flight).filter(|entry| !entry.beaconed))
    }

    /// A beacon carries the first `count` events that none has carried. They stay queued, since nobody hears whether it
    /// arrived.
    pub fn beaconed(&mut self, count: usize) {
        let left = self.entries.iter_mut().skip(self.in_flight).filter(|entry| !entry.beaconed);
        left.take(count).for_each(|entry| entry.beaconed = true);
    }

    /// Takes the answer to the batch that is out, and says after how many ms the next post is due; `chance` is a
    /// random number in 0..1.
    pub fn answered(&mut self, answer: Answer, now_ms: i64, chance: f64) -> f64 {
        let sent = std::mem::take(&mut self.in_flight).min(self.entries.len());
        self.waiting = false;
        match answer.status {
            200..=299 => {
                self.failures = 0;
                match answer.clock_ms {
                    Some(server_ms) => self.mint_anew(sent, server_ms, now_ms),
                    None => self.let_go(sent),
                }
                0.0
            }
            // Too many, too early, a proxy's or the server's bad moment: the same again later.
            0 | 408 | 425 | 429 | 500.. => {
                let wait = wait_ms(self.failures, answer.retry_after_s, chance);
                self.failures = self.failures.saturating_add(1);
                wait
            }
            // Whatever else it says, it will say again.
            _ => {
                self.let_go(sent);
                self.count_dropped(sent);
                0.0
            }
        }
    }

    /// What to keep on the device at `now_ms`: the events of visitors who consented, each with its visitor. Empty where
    /// there are none.
    pub fn to_stored(&mut self, now_ms: i64) -> Vec<u8> {
        let mut all = Vec::new();
        for entry in &mut self.entries {
            if let Who::Visitor(visitor) = &entry.who {
                if all.is_empty() {
                    all.push(STORED_VERSION);
                    all.extend_from_slice(&now_ms.to_be_bytes());
                }
                all.extend_from_slice(visitor);
                all.extend_from_slice(&entry.record);
                entry.stored = true;
            }
        }
        all
    }

    /// Lets go of what is stored: another page has taken it over, and delivers it.
    pub fn give_up_stored(&mut self) {
        // The answer that is awaited will say what has left; then there is time for this.
        if !self.waiting {
            self.entries.retain(|entry| !entry.stored);
        }
    }

    /// Takes over what another page has stored and could not deliver, and says so; not where that would push out what is
    /// queued already, and may be called again later. It is older than all that is queued.
    pub fn restore(&mut self, stored: &[u8], now_ms: i64) -> bool {
        if !self.entries.is_empty() {
            let (mut count, mut bytes) = (self.entries.len(), self.bytes());
            for (_, record, _) in stored_entries(stored, now_ms) {
                count += 1;
                bytes += record.len();
            }
            if count > MAX_EVENTS || bytes > MAX_BYTES {
                return false;
            }
        }
        // Behind what is on its way already.
        let mut at = self.in_flight.min(self.entries.len());
        for (visitor, record, id) in stored_entries(stored, now_ms) {
            if !self.has(&id) && at <= self.entries.len() {
                let who = Who::Visitor(*visitor);
                let record = record.to_vec();
                // The page that stored it has sent it as it went: only a fetch whose answer is heard sends it again, or
                // pages that come and go quickly would send it each.
                self.entries.insert(at, Entry { who, record, beaconed: true, stored: false, minted_anew: false });
                at += 1;
            }
        }
        self.keep_limits();
        true
    }

    fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.record.len()).sum()
    }

    fn has(&self, id: &Id) -> bool {
        self.entries.iter().any(|entry| wire::record_id(&entry.record).as_ref() == Some(id))
    }

    /// Removes the first entries.
    fn let_go(&mut self, count: usize) {
        let mut place = 0;
        self.entries.retain(|_| {
            place += 1;
            place > count
        });
    }

    /// The collector refused ids for their time: those get the server's time and are sent once more.
    fn mint_anew(&mut self, sent: usize, server_ms: i64, now_ms: i64) {
        // Whole hours, as the fallback does, so that the two move references to the same view by the same.
        let skew_ms = server_ms.saturating_sub(now_ms).saturating_add(HOUR_MS / 2).div_euclid(HOUR_MS) * HOUR_MS;
        let in_range = |id: Id| {
            let age = server_ms.saturating_sub(wire::id_time_ms(&id));
            (-DAY_MS..=8 * DAY_MS).contains(&age)
        };
        let mut place = 0;
        let mut lost = 0;
        self.entries.retain_mut(|entry| {
            let was_sent = place < sent;
            place += 1;
            let Some(id) = wire::record_id(&entry.record) else { return false };
            if in_range(id) {
                return !was_sent;
            }
            // Under this id it will never be acknowledged.
            if !entry.minted_anew {
                entry.minted_anew = true;
                wire::shift_ids(&mut entry.record, skew_ms);
                if wire::record_id(&entry.record).is_some_and(in_range) {
                    return true;
                }
            }
            lost += 1;
            false
        });
        self.count_dropped(lost);
        // What comes from now on has the same wrong clock, and refers to the same views.
        if self.skew_ms == 0 && skew_ms.abs() >= DAY_MS {
            self.skew_ms = skew_ms;
        }
    }

    /// Lets the oldest go until the rest is within the limits. What is on its way is left alone, and takes nobody's place:
    /// its answer will say how many of the first entries it was.
    fn keep_limits(&mut self) {
        let waits = self.in_flight;
        let (mut count, mut bytes) = (0, 0);
        let mut first = self.entries.len();
        for entry in self.entries.iter().skip(waits).rev() {
            count += 1;
            bytes += entry.record.len();
            if count > MAX_EVENTS || bytes > MAX_BYTES {
                break;
            }
            first -= 1;
        }
        let over = first.saturating_sub(waits);
        if over > 0 {
            let mut place = 0;
            self.entries.retain(|_| {
                place += 1;
                place <= waits || place > waits + over
            });
            self.count_dropped(over);
        }
    }

    fn count_dropped(&mut self, count: usize) {
        self.dropped = self.dropped.saturating_add(count as u32);
    }
}

/// When [`Queue::to_stored`] gave this, and the rest of it; `None` where it is of another release.
fn split_stored(stored: &[u8]) -> Option<(i64, &[u8])> {
    let rest = stored.strip_prefix(&[STORED_VERSION])?;
    let (written, rest) = rest.split_first_chunk()?;
    Some((i64::from_be_bytes(*written), rest))
}

/// Whether the page that stored this has done so within the last `lease_ms`, and so may live.
pub fn is_leased(stored: &[u8], now_ms: i64, lease_ms: i64) -> bool {
    split_stored(stored).is_some_and(|(written_ms, _)| now_ms.wrapping_sub(written_ms).wrapping_abs() < lease_ms)
}

/// What [`Queue::to_stored`] gave, entry by entry, without what is too old.
fn stored_entries(stored: &[u8], now_ms: i64) -> impl Iterator<Item = (&Id, &[u8], Id)> {
    let mut rest = split_stored(stored).map_or(&[][..], |(_, rest)| rest);
    std::iter::from_fn(move || {
        let (visitor, after) = rest.split_first_chunk::<16>()?;
        let (record, after) = wire::split_record(after)?;
        rest = after;
        Some((visitor, record, wire::record_id(record)?))
    })
    .filter(move |(_, _, id)| wire::id_time_ms(id) > now_ms - MAX_AGE_MS)
}

/// The longest run of first entries that fits one post: one visitor, within the limit of bytes.
fn run<'a>(entries: impl Iterator<Item = &'a Entry>) -> Option<(Who, Vec<u8>, usize)> {
    let mut records = Vec::new();
    let mut whose = None;
    let mut count = 0;
    for entry in entries {
        let who = *whose.get_or_insert(entry.who);
        if who != entry.who || (count > 0 && records.len() + entry.record.len() > MAX_BATCH_BYTES) {
            break;
        }
        records.extend_from_slice(&entry.record);
        count += 1;
    }
    whose.map(|who| (who, records, count))
}

/// How long to wait after `failures` earlier ones: doubling from two seconds with up to half of it taken off by
/// chance, so that browsers that failed together do not return together; never less than the server asked for.
fn wait_ms(failures: u32, retry_after_s: f64, chance: f64) -> f64 {
    let doubled = (2_000_u32 << failures.min(8)) as f64;
    let wait = doubled.min(LONGEST_WAIT_MS) * (1.0 - chance / 2.0);
    // A day at most: a timer takes no more than 24 days, and the next page asks anew.
    if retry_after_s > 0.0 { wait.max((retry_after_s * 1_000.0).min(DAY_MS as f64)) } else { wait }
}

#[cfg(test)]
mod tests;
