//! A proxy before the server that is in trouble at first: it turns requests away, or cuts the connection when the
//! server has stored what it was sent and before its answer is through.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// 503 with `Retry-After: 1`; the server does not hear of it.
    Refuse,
    /// The server answers, the client sees the connection end in the answer's first line.
    Cut,
}

/// The running proxy; stopped when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    plan: Arc<Plan>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Plan {
    upstream: SocketAddr,
    /// Only requests whose target has this in it meet trouble.
    path: String,
    troubles: Mutex<VecDeque<Trouble>>,
}

impl Proxy {
    /// A proxy whose first requests with `path` in their target meet these troubles, one each; all others pass.
    pub fn before(upstream: SocketAddr, path: &str, troubles: &[Trouble]) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let troubles = Mutex::new(troubles.iter().copied().collect());
        let plan = Arc::new(Plan { upstream, path: path.to_owned(), troubles });
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, planned) = (Arc::clone(&stop), Arc::clone(&plan));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let plan = Arc::clone(&planned);
                std::thread::spawn(move || {
                    // A connection that breaks is what this is for.
                    let _ = plan.serve(stream);
                });
            }
        });
        Proxy { address, plan, stop, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its origin.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The troubles that nobody has met yet.
    pub fn left(&self) -> usize {
        self.plan.troubles.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A request or an answer, as it is on the wire.
struct Packet {
    first: String,
    /// First line, headers and the empty line.
    head: Vec<u8>,
    body: Vec<u8>,
    origin: Option<String>,
}

impl Packet {
    fn whole(&self) -> Vec<u8> {
        [&self.head[..], &self.body[..]].concat()
    }
}

impl Plan {
    fn serve(&self, client: TcpStream) -> std::io::Result<()> {
        let server = TcpStream::connect(self.upstream)?;
        let (mut from_client, mut from_server) = (BufReader::new(&client), BufReader::new(&server));
        while let Some(request) = read(&mut from_client)? {
            match self.trouble(&request.first) {
                Some(Trouble::Refuse) => return (&client).write_all(&refusal(&request)),
                Some(Trouble::Cut) => {
                    (&server).write_all(&request.whole())?;
                    let _ = read(&mut from_server)?;
                    // Some clients take whole lines for an answer, even where the head breaks off after them.
                    (&client).write_all(b"HTTP/1.1 2")?;
                    return client.shutdown(Shutdown::Both);
                }
                None => {
                    (&server).write_all(&request.whole())?;
                    let Some(answer) = read(&mut from_server)? else { return Ok(()) };
                    (&client).write_all(&answer.whole())?;
                }
            }
        }
        Ok(())
    }

    fn trouble(&self, first: &str) -> Option<Trouble> {
        let mut words = first.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        if method == "OPTIONS" || !target.contains(&self.path) {
            return None;
        }
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Pages may read it, as they may read the server's own.
fn refusal(request: &Packet) -> Vec<u8> {
    let allowed = request.origin.as_ref().map_or(String::new(), |origin| {
        format!("access-control-allow-origin: {origin}\r\naccess-control-expose-headers: Retry-After\r\n")
    });
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n{allowed}content-length: 0\r\nconnection: close\r\n\r\n"
    )
    .into_bytes()
}

/// The next request or answer; `None` at the end of the connection.
fn read(from: &mut BufReader<&TcpStream>) -> std::io::Result<Option<Packet>> {
    let (mut head, mut first, mut origin) = (Vec::new(), String::new(), None);
    let (mut length, mut is_chunked) = (0_usize, false);
    loop {
        let mut line = Vec::new();
        if from.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        head.extend_from_slice(&line);
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if text.is_empty() {
            break;
        }
        if first.is_empty() {
            first = text;
        } else if let Some((name, value)) = text.split_once(':') {
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().map_err(std::io::Error::other)?,
                "transfer-encoding" => is_chunked = value.eq_ignore_ascii_case("chunked"),
                "origin" => origin = Some(value.to_owned()),
                _ => {}
            }
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    if is_chunked {
        body = chunks(from)?;
    }
    Ok(Some(Packet { first, head, body, origin }))
}

/// A chunked body, with its sizes, as it is on the wire.
fn chunks(from: &mut BufReader<&TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        from.read_until(b'\n', &mut line)?;
        let size = String::from_utf8_lossy(&line);
        let size = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
        body.extend_from_slice(&line);
        // The line break after a chunk is part of it.
        let mut chunk = vec![0; size + 2];
        from.read_exact(&mut chunk)?;
        body.extend_from_slice(&chunk);
        if size == 0 {
            return Ok(body);
        }
    }
}
