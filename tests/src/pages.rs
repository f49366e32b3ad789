//! Pages of other people: a little server of fixed pages with headers of their own, on an origin of its own. It can hand
//! a folder on to the server under test, as the nginx of a shop does.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// One page.
#[derive(Clone, Debug)]
pub struct Page {
    path: String,
    status: &'static str,
    content_type: &'static str,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Page {
    /// HTML at a path. The icon is empty, so that no browser asks for one.
    pub fn html(path: &str, head: &str, body: &str) -> Page {
        let html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{path}</title>{head}</head>\
             <body><main><h1>{path}</h1>{body}</main></body></html>"
        );
        Page::file(path, "text/html; charset=utf-8", html.into_bytes())
    }

    /// Anything at a path.
    pub fn file(path: &str, content_type: &'static str, body: Vec<u8>) -> Page {
        Page { path: path.to_owned(), status: "200 OK", content_type, headers: Vec::new(), body }
    }

    /// With another status, `404 Not Found` for example.
    pub fn status(mut self, status: &'static str) -> Page {
        self.status = status;
        self
    }

    /// With one more header.
    pub fn with(mut self, name: &str, value: &str) -> Page {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// The running server; stopped when dropped.
#[derive(Debug)]
pub struct Pages {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pages {
    /// Serves these pages.
    pub fn serve(pages: Vec<Page>) -> Pages {
        Pages::serve_beside(pages, None)
    }

    /// Serves these pages, and has what is asked for in the folder `/s/` answered by a server of the tracker, under
    /// names of the shop's own: `/s/x.js` is the script and `/s/e` takes its events. See `deploy/nginx-first-party.conf`.
    pub fn serve_beside(pages: Vec<Page>, collector: Option<SocketAddr>) -> Pages {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = Arc::new(AtomicBool::new(false));
        let pages: Arc<HashMap<String, Page>> =
            Arc::new(pages.into_iter().map(|page| (page.path.clone(), page)).collect());
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let pages = Arc::clone(&pages);
                // A browser opens connections ahead that it may never use: each waits on its own.
                std::thread::spawn(move || {
                    // The browser may have gone on already.
                    let _ = answer(&stream, &pages, collector);
                });
            }
        });
        Pages { address, stop, thread: Some(thread) }
    }

    /// Its origin.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address of a page.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(stream: &TcpStream, pages: &HashMap<String, Page>, collector: Option<SocketAddr>) -> std::io::Result<()> {
    let mut from = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let Some(first) = lines.first() else { return Ok(()) };
    let target = first.split(' ').nth(1).unwrap_or("/");
    if let (Some(name), Some(collector)) = (target.strip_prefix("/s/"), collector) {
        let target = match name {
            "x.js" => "t.js",
            "e" => "v1/events",
            name => name,
        };
        lines[0] = first.replace(&format!("/s/{name}"), &format!("/{target}"));
        return hand_on(from, &lines, collector);
    }
    let path = target.split(['?', '#']).next().unwrap_or("/");
    let (status, headers, body) = match pages.get(path) {
        Some(page) => {
            let mut headers = format!("content-type: {}\r\n", page.content_type);
            for (name, value) in &page.headers {
                headers.push_str(&format!("{name}: {value}\r\n"));
            }
            (page.status, headers, &page.body[..])
        }
        None if path == "/favicon.ico" => ("204 No Content", String::new(), &b""[..]),
        None => ("404 Not Found", String::new(), &b"no such page"[..]),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\ncache-control: no-cache\r\n\r\n",
        body.len()
    );
    let mut to = stream;
    to.write_all(head.as_bytes())?;
    to.write_all(body)
}

/// Asks the server under test and gives its answer back as it is; one request a connection.
fn hand_on(mut from: BufReader<&TcpStream>, lines: &[String], collector: SocketAddr) -> std::io::Result<()> {
    let header = |line: &str, name: &str| {
        let (own, value) = line.split_once(':')?;
        own.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    };
    let length = lines.iter().find_map(|line| header(line, "content-length")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    let kept: Vec<&str> =
        lines.iter().map(String::as_str).filter(|line| header(line, "connection").is_none()).collect();
    let mut server = TcpStream::connect(collector)?;
    server.write_all(format!("{}\r\nconnection: close\r\n\r\n", kept.join("\r\n")).as_bytes())?;
    server.write_all(&body)?;
    let mut client = *from.get_ref();
    std::io::copy(&mut server, &mut client)?;
    Ok(())
}
