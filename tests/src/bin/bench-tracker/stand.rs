//! The server that every tag of the bench loads from and posts to, on an origin of its own.
//!
//! It has the peers' scripts and answers their posts with what each calls success. What it does not have it asks the
//! collector for: ours. So all of them meet the same network, and the time at which a post arrives is taken with the
//! same clock, whoever answers it.

use anyhow::{Context as _, Result, bail};
use brotli::enc::BrotliEncoderParams;
use rustix::time::{ClockId, clock_gettime};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use ureq::Agent;
use ureq::http::Request;

/// What belongs to one connection, and is not handed on.
const OF_THE_CONNECTION: [&str; 6] =
    ["accept-encoding", "connection", "content-encoding", "content-length", "host", "transfer-encoding"];

/// A request that has come.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// When its head had been read: µs of the monotonic clock, which is also the trace's.
    pub(crate) at_us: u64,
    /// The method.
    pub(crate) method: String,
    /// The path with its query.
    pub(crate) target: String,
    /// What the answer weighs with brotli at its best, in bytes; 0 for posts.
    pub(crate) answer_bytes: usize,
    /// The body as it came.
    pub(crate) body: Vec<u8>,
}

/// An answer that is there before it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    /// Compressed, where that is said in the headers.
    body: Vec<u8>,
}

impl Answer {
    /// A file as a CDN serves it: with brotli at its best.
    pub(crate) fn file(content_type: &str, body: &[u8]) -> Result<Answer> {
        Ok(Answer {
            status: 200,
            headers: vec![
                ("content-type".to_owned(), content_type.to_owned()),
                ("content-encoding".to_owned(), "br".to_owned()),
            ],
            body: squeeze(body)?,
        })
    }

    /// A short one to a post.
    pub(crate) fn told(status: u16, content_type: &str, body: &str) -> Answer {
        Answer {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.as_bytes().to_vec(),
        }
    }
}

/// The running stand; stopped when dropped.
pub(crate) struct Stand {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    agent: Agent,
    /// By path.
    answers: Mutex<HashMap<String, Answer>>,
    /// The collector's origin.
    collector: String,
    arrivals: Mutex<Vec<Arrival>>,
}

impl Stand {
    /// Opens one before a collector.
    pub(crate) fn open(collector: &str) -> Result<Stand> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no port for the stand")?;
        let address = listener.local_addr()?;
        let agent = Agent::config_builder().http_status_as_error(false).build().into();
        let shared = Arc::new(Shared {
            agent,
            answers: Mutex::default(),
            collector: collector.to_owned(),
            arrivals: Mutex::default(),
        });
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, own) = (Arc::clone(&stop), Arc::clone(&shared));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let own = Arc::clone(&own);
                std::thread::spawn(move || {
                    // A browser that has gone on is no error of the stand.
                    let _ = own.serve(&stream);
                });
            }
        });
        Ok(Stand { address, shared, stop, thread: Some(thread) })
    }

    /// Its origin.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers a path so from now on.
    pub(crate) fn answers(&self, path: &str, answer: Answer) {
        lock(&self.shared.answers).insert(path.to_owned(), answer);
    }

    /// Everything that has come since the last time.
    pub(crate) fn takes_arrivals(&self) -> Vec<Arrival> {
        std::mem::take(&mut *lock(&self.shared.arrivals))
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Asked {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Asked {
    /// The next request of a connection, and when its head was there; `None` when there is none.
    fn read(reader: &mut impl BufRead) -> Result<Option<(Asked, u64)>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split(' ').map(str::to_owned);
        let (Some(method), Some(target)) = (words.next(), words.next()) else { bail!("no request: {line:?}") };
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
                None => break,
            }
        }
        let at_us = now_us();
        let mut asked = Asked { method, target, headers, body: Vec::new() };
        let length = asked.header("content-length").map_or(Ok(0), str::parse)?;
        asked.body.resize(length, 0);
        reader.read_exact(&mut asked.body)?;
        Ok(Some((asked, at_us)))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some((asked, at_us)) = Asked::read(&mut reader)? {
            let (answer, is_file) = self.answer(&asked)?;
            let answer_bytes = if is_file { answer.body.len() } else { 0 };
            let Asked { method, target, body, .. } = &asked;
            let (method, target, body) = (method.clone(), target.clone(), body.clone());
            lock(&self.arrivals).push(Arrival { at_us, method, target, answer_bytes, body });
            write(stream, &asked, &answer)?;
        }
        Ok(())
    }

    /// The answer, and whether it is a file that the tag loads.
    fn answer(&self, asked: &Asked) -> Result<(Answer, bool)> {
        let is_file = asked.method == "GET";
        if asked.method == "OPTIONS" {
            return Ok((Answer::told(204, "text/plain", ""), false));
        }
        let known = lock(&self.answers).get(asked.path()).cloned();
        if let Some(answer) = known {
            return Ok((answer, is_file));
        }
        let answer = self.ask_collector(asked)?;
        if is_file && answer.status == 200 {
            // A file's name or a test's run is what it lives for: compressed once.
            lock(&self.answers).insert(asked.path().to_owned(), answer.clone());
        }
        Ok((answer, is_file))
    }

    fn ask_collector(&self, asked: &Asked) -> Result<Answer> {
        let mut request = Request::builder().method(asked.method.as_str());
        request = request.uri(format!("{}{}", self.collector, asked.target));
        for (name, value) in asked.headers.iter().filter(|(name, _)| is_handed_on(name)) {
            request = request.header(name, value);
        }
        let (parts, mut body) = self.agent.run(request.body(&asked.body[..])?)?.into_parts();
        let text = |(name, value): (&ureq::http::HeaderName, &ureq::http::HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        let mut headers: Vec<_> =
            parts.headers.iter().filter_map(text).filter(|(name, _)| is_handed_on(name)).collect();
        let mut body = body.read_to_vec()?;
        if asked.method == "GET" {
            headers.push(("content-encoding".to_owned(), "br".to_owned()));
            body = squeeze(&body)?;
        }
        Ok(Answer { status: parts.status.as_u16(), headers, body })
    }
}

fn is_handed_on(name: &str) -> bool {
    !OF_THE_CONNECTION.contains(&name)
}

/// Writes an answer that a page of any origin may read.
fn write(mut stream: &TcpStream, asked: &Asked, answer: &Answer) -> Result<()> {
    let mut head = format!("HTTP/1.1 {} Told\r\n", answer.status);
    for (name, value) in answer.headers.iter().filter(|(name, _)| !name.starts_with("access-control-allow")) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let origin = asked.header("origin").unwrap_or("*");
    head.push_str(&format!("access-control-allow-origin: {origin}\r\naccess-control-allow-credentials: true\r\n"));
    if let Some(wanted) = asked.header("access-control-request-headers") {
        head.push_str(&format!("access-control-allow-headers: {wanted}\r\naccess-control-max-age: 600\r\n"));
    }
    if answer.status != 204 {
        head.push_str(&format!("content-length: {}\r\n", answer.body.len()));
    }
    head.push_str("\r\n");
    let mut whole = head.into_bytes();
    whole.extend_from_slice(&answer.body);
    stream.write_all(&whole)?;
    Ok(())
}

/// Brotli at its best, as for files that are compressed once and served often.
pub(crate) fn squeeze(bytes: &[u8]) -> Result<Vec<u8>> {
    let parameters = BrotliEncoderParams { quality: 11, lgwin: 22, ..BrotliEncoderParams::default() };
    let mut squeezed = Vec::new();
    brotli::BrotliCompress(&mut &bytes[..], &mut squeezed, &parameters).context("cannot compress")?;
    Ok(squeezed)
}

/// µs of the monotonic clock.
pub(crate) fn now_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1_000
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
