//! A server that speaks what Shopify's GraphQL Admin API and Google's Search Console document, as far as it is asked, and
//! that can be in trouble.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// What becomes of a question; each is met by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is answered.
    Pass,
    /// A status, with `Retry-After` where there is one.
    Status(u16, Option<&'static str>),
    /// The connection ends in the middle of the answer.
    Cut,
    /// GraphQL's error that too much was asked in too short a time.
    Throttled,
    /// GraphQL's error that the question costs too much.
    TooDear,
    /// Nothing is answered until [`Vendor::lets_go`].
    Hold,
}

/// A question that came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The path.
    pub path: String,
    /// The body, parsed; null where it is no JSON.
    pub body: Value,
}

/// Rows of search by dimension (`query`, `page`) and day: key, clicks, impressions, position.
pub type Rows = BTreeMap<(&'static str, String), Vec<(String, u64, u64, f64)>>;

/// What the vendor has and remembers.
#[derive(Default)]
pub struct Books {
    /// Orders as GraphQL nodes.
    pub orders: Vec<Value>,
    /// Customers, likewise.
    pub customers: Vec<Value>,
    /// Searches.
    pub rows: Rows,
    /// The access token of the shop.
    pub token: String,
    /// Whether Google takes the service account's key.
    pub refuses_key: bool,
    /// What becomes of the next questions.
    pub troubles: VecDeque<Trouble>,
    /// Every question so far, but those for tokens.
    pub asked: Vec<Asked>,
    /// Tokens that Google has given out.
    pub granted: Vec<String>,
    held: bool,
}

/// The running server; stopped when dropped.
pub struct Vendor {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// The service account's JSON key, as Google hands it out.
    pub key_file: String,
}

struct Shared {
    books: Mutex<Books>,
    released: Condvar,
    public_key: Vec<u8>,
}

struct Request {
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    retry_after: Option<&'static str>,
    body: Value,
}

fn ok(body: Value) -> Answer {
    Answer { status: 200, retry_after: None, body }
}

fn refused(status: u16, body: Value) -> Answer {
    Answer { status, retry_after: None, body }
}

impl Vendor {
    /// Opens one with nothing in it.
    ///
    /// # Panics
    /// Without Node.js, which makes the service account's key.
    pub fn open() -> Vendor {
        let makes = "const { privateKey } = require('crypto').generateKeyPairSync('rsa', { modulusLength: 2048 });
            process.stdout.write(privateKey.export({ type: 'pkcs8', format: 'pem' }))";
        let pem = Command::new("node").args(["-e", makes]).output().expect("node runs");
        assert!(pem.status.success(), "{}", String::from_utf8_lossy(&pem.stderr));
        let pem = String::from_utf8(pem.stdout).expect("PEM");
        let der: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(der).expect("base64")).expect("an RSA key");
        let key_file = json!({
            "type": "service_account",
            "project_id": "a-test",
            "private_key_id": "k1",
            "private_key": pem,
            "client_email": "reader@a-test.iam.gserviceaccount.com",
            "token_uri": "https://evil.example/token",
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let books = Books { token: "shpat_0123456789".to_owned(), ..Books::default() };
        let public_key = pair.public().as_ref().to_vec();
        let shared = Arc::new(Shared { books: Mutex::new(books), released: Condvar::new(), public_key });
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, served) = (Arc::clone(&stop), Arc::clone(&shared));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&served);
                std::thread::spawn(move || {
                    // A client that was killed is what this is for.
                    let _ = shared.serve(stream);
                });
            }
        });
        Vendor { address, shared, stop, thread: Some(thread), key_file: key_file.to_string() }
    }

    /// Its origin.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has and remembers.
    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.shared.books()
    }

    /// Whether a question is held now.
    pub fn holds(&self) -> bool {
        self.books().held
    }

    /// Answers what was held.
    pub fn lets_go(&self) {
        self.books().held = false;
        self.shared.released.notify_all();
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.lets_go();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let Some(request) = read(&stream)? else { return Ok(()) };
        if request.path == "/token" {
            return write(&stream, &self.token(&request), false);
        }
        let trouble = {
            let mut books = self.books();
            let body = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
            books.asked.push(Asked { path: request.path.clone(), body });
            books.troubles.pop_front().unwrap_or(Trouble::Pass)
        };
        let answer = match trouble {
            Trouble::Pass => return write(&stream, &self.answer(&request), false),
            Trouble::Cut => return write(&stream, &self.answer(&request), true),
            Trouble::Hold => {
                let mut books = self.books();
                books.held = true;
                while books.held {
                    books = self.released.wait(books).unwrap_or_else(PoisonError::into_inner);
                }
                drop(books);
                return write(&stream, &self.answer(&request), false);
            }
            Trouble::Status(status, retry_after) => {
                Answer { status, retry_after, body: json!({ "errors": "trouble" }) }
            }
            Trouble::Throttled => {
                ok(json!({ "errors": [{ "message": "Throttled", "extensions": { "code": "THROTTLED" } }],
                "extensions": { "cost": { "requestedQueryCost": 300, "actualQueryCost": null,
                    "throttleStatus": { "maximumAvailable": 2000.0, "currentlyAvailable": 250.0, "restoreRate": 100.0 } } } }))
            }
            Trouble::TooDear => ok(
                json!({ "errors": [{ "message": "Query cost is 1200, which exceeds the single query max cost limit (1000).",
                "extensions": { "code": "MAX_COST_EXCEEDED" } }] }),
            ),
        };
        write(&stream, &answer, false)
    }

    /// Google's token endpoint: the statement has to be signed by the account's key and to say what Google asks for.
    fn token(&self, request: &Request) -> Answer {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let assertion = form.split('&').find_map(|pair| pair.strip_prefix("assertion=")).unwrap_or_default();
        let mut books = self.books();
        if books.refuses_key || !self.is_signed(assertion) {
            return refused(400, json!({ "error": "invalid_grant", "error_description": "Invalid JWT Signature." }));
        }
        let token = format!("ya29.token-{}", books.granted.len());
        books.granted.push(token.clone());
        ok(json!({ "access_token": token, "expires_in": 3599, "token_type": "Bearer" }))
    }

    fn is_signed(&self, assertion: &str) -> bool {
        let Some((signed, signature)) = assertion.rsplit_once('.') else { return false };
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key);
        let claims = signed.split_once('.').and_then(|(_, claims)| URL_SAFE_NO_PAD.decode(claims).ok());
        let claims: Value = claims.and_then(|claims| serde_json::from_slice(&claims).ok()).unwrap_or(Value::Null);
        let lives = claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat);
        key.verify(signed.as_bytes(), &signature).is_ok()
            && claims["aud"] == "https://oauth2.googleapis.com/token"
            && claims["scope"] == "https://www.googleapis.com/auth/webmasters.readonly"
            && claims["iss"] == "reader@a-test.iam.gserviceaccount.com"
            && lives == Some(3_600)
    }

    fn answer(&self, request: &Request) -> Answer {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let books = self.books();
        if request.path == "/admin/api/2026-10/graphql.json" {
            return graphql(&books, request, &body);
        }
        if request.path == "/webmasters/v3/sites/sc%2Ddomain%3Ashop%2Eexample/searchAnalytics/query" {
            return search(&books, request, &body);
        }
        refused(404, json!({ "errors": "Not Found" }))
    }
}

fn graphql(books: &Books, request: &Request, body: &Value) -> Answer {
    if request.headers.get("x-shopify-access-token") != Some(&books.token) {
        return refused(
            401,
            json!({ "errors": "[API] Invalid API key or access token (unrecognized login or wrong password)" }),
        );
    }
    let variables = &body["variables"];
    let is_orders = body["query"].as_str().is_some_and(|query| query.contains("orders(first: $first"));
    let (field, all) = if is_orders { ("orders", &books.orders) } else { ("customers", &books.customers) };
    let since = variables["changed"].as_str().map(|text| {
        let moment = text.strip_prefix("updated_at:>='").and_then(|rest| rest.strip_suffix('\'')).expect("a filter");
        moment.parse::<jiff::Timestamp>().expect("a moment")
    });
    let place = |node: &Value| {
        let at: jiff::Timestamp = node["updatedAt"].as_str().and_then(|text| text.parse().ok()).expect("a moment");
        (at, node["legacyResourceId"].as_str().expect("an id").to_owned())
    };
    let mut nodes: Vec<&Value> = all.iter().filter(|node| since.is_none_or(|since| place(node).0 >= since)).collect();
    nodes.sort_by_key(|node| place(node));
    let cursor = |node: &Value| format!("{} {}", place(node).0, place(node).1);
    let begin = match variables["after"].as_str() {
        Some(after) => nodes.iter().position(|node| cursor(node) == after).map_or(nodes.len(), |at| at + 1),
        None => 0,
    };
    let first = variables["first"].as_u64().expect("how many") as usize;
    let page: Vec<&Value> = nodes[begin..].iter().take(first).copied().collect();
    let has_next = begin + page.len() < nodes.len();
    let end = page.last().map(|node| cursor(node));
    ok(json!({
        "data": { field: { "pageInfo": { "hasNextPage": has_next, "endCursor": end }, "nodes": page } },
        "extensions": { "cost": { "requestedQueryCost": 300, "actualQueryCost": 40,
            "throttleStatus": { "maximumAvailable": 2000.0, "currentlyAvailable": 1960.0, "restoreRate": 100.0 } } },
    }))
}

fn search(books: &Books, request: &Request, body: &Value) -> Answer {
    let bearer = request.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
    if !books.granted.iter().any(|token| Some(token.as_str()) == bearer) {
        return refused(
            401,
            json!({ "error": { "code": 401, "message": "Request had invalid authentication credentials." } }),
        );
    }
    let text = |key: &str| body[key].as_str().expect("a text").to_owned();
    let (from, to) = (text("startDate"), text("endDate"));
    let number = |key: &str| body[key].as_u64().expect("a number") as usize;
    let dimension = body["dimensions"][0].as_str().expect("a dimension");
    let mut rows: Vec<(String, u64, u64, f64)> = Vec::new();
    for ((kind, day), told) in books.rows.iter().filter(|((_, day), _)| *day >= from && *day <= to) {
        match dimension {
            // The total has the searches that are kept secret, too: here it is that of the pages and one more click.
            "date" if *kind == "page" => {
                let sum = told.iter().fold((1, 1), |sum, row| (sum.0 + row.1, sum.1 + row.2));
                rows.push((day.clone(), sum.0, sum.1, 2.0));
            }
            dimension if dimension == *kind => rows.extend(told.iter().cloned()),
            _ => {}
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.1));
    let rows: Vec<Value> = rows
        .into_iter()
        .skip(number("startRow"))
        .take(number("rowLimit"))
        .map(|(key, clicks, impressions, position)| {
            let rate = clicks as f64 / impressions as f64;
            json!({ "keys": [key], "clicks": clicks as f64, "impressions": impressions as f64, "ctr": rate, "position": position })
        })
        .collect();
    ok(json!({ "rows": rows, "responseAggregationType": "byProperty" }))
}

fn read(stream: &TcpStream) -> std::io::Result<Option<Request>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let Some(path) = line.split(' ').nth(1).map(str::to_owned) else { return Ok(None) };
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { path, headers, body }))
}

fn write(mut stream: &TcpStream, answer: &Answer, cut: bool) -> std::io::Result<()> {
    let body = answer.body.to_string();
    let retry_after = answer.retry_after.map_or_else(String::new, |after| format!("retry-after: {after}\r\n"));
    let head = format!(
        "HTTP/1.1 {} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{retry_after}connection: close\r\n\r\n",
        answer.status,
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    let sent = if cut { &body.as_bytes()[..body.len() / 2] } else { body.as_bytes() };
    stream.write_all(sent)
}
