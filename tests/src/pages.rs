//! Pages of other people: a little server of fixed pages with headers of their own, on an origin of its own.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
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
                std::thread::spawn(move || answer(stream, &pages));
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

fn answer(stream: TcpStream, pages: &HashMap<String, Page>) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    // The rest of the head; requests for pages have no body.
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let target = first.split(' ').nth(1).unwrap_or("/");
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
    // The browser may have gone on already.
    let _ = (&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(body));
}
