//! Requests as programs make them.

use crate::server::Server;
use serde_json::Value;
use std::io::Write;
use std::time::Duration;
use ureq::Agent;
use ureq::http::Request;

/// A client of one server.
#[derive(Clone, Debug)]
pub struct Web {
    agent: Agent,
    origin: String,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code; 0 when there was no answer at all.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Reply {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The body, parsed.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }

    /// What an ingest route says of a batch: stored, duplicate, rejected.
    #[track_caller]
    pub fn receipt(&self) -> (u64, u64, u64) {
        assert_eq!(self.status, 200, "{}", self.body);
        let said = self.json();
        let count = |name: &str| said[name].as_u64().unwrap_or_else(|| panic!("no {name} in {said}"));
        (count("stored"), count("duplicate"), count("rejected"))
    }
}

impl Web {
    /// A client with connections of its own.
    pub fn new(origin: &str) -> Web {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        Web { agent, origin: origin.to_owned() }
    }

    /// The origin it talks to.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Any request. Where nobody answers, the reply has status 0 and the error as its body.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.origin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).expect("a request");
        // A body is sent with every method that a test asks for.
        let agent = self.agent.configure_request(request).allow_non_standard_methods(true).build();
        match self.agent.run(agent) {
            Ok(response) => {
                let (parts, mut body) = response.into_parts();
                let headers = parts
                    .headers
                    .iter()
                    .map(|(name, value)| {
                        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                    })
                    .collect();
                match body.read_to_vec() {
                    Ok(body) => {
                        let body = String::from_utf8_lossy(&body).into_owned();
                        Reply { status: parts.status.as_u16(), headers, body }
                    }
                    Err(error) => Reply { status: 0, headers, body: error.to_string() },
                }
            }
            Err(error) => Reply { status: 0, headers: Vec::new(), body: error.to_string() },
        }
    }

    /// GET.
    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    /// POST of bytes as browsers send them to another origin.
    pub fn post(&self, path: &str, body: &[u8]) -> Reply {
        self.send("POST", path, &[("content-type", "text/plain")], body)
    }

    /// POST of JSON.
    pub fn post_json(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }
}

/// As `gzip` writes it.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("gzip into memory")
}

/// A value of the `Authorization` header with the key as the user name.
pub fn basic(key: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{key}:")))
}

/// Somebody who has logged in to the dashboard, without a browser.
#[derive(Clone, Debug)]
pub struct Owner {
    web: Web,
    cookie: String,
}

impl Owner {
    /// Logs in by the form.
    #[track_caller]
    pub fn logs_in(server: &Server, email: &str, password: &str) -> Owner {
        let web = Web::new(&server.origin());
        let form = format!("email={}&password={}&next=%2F", email.replace('@', "%40"), password.replace(' ', "+"));
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", web.origin())];
        let reply = web.send("POST", "/login", &headers, form.as_bytes());
        assert!(matches!(reply.status, 302 | 303), "{} {}", reply.status, reply.body);
        let cookie = reply.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie");
        Owner { cookie: cookie.to_owned(), web }
    }

    /// The text of a page.
    #[track_caller]
    pub fn reads(&self, path: &str) -> String {
        let reply = self.gets(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.body
    }

    /// The answer to an address, whatever it is.
    pub fn gets(&self, path: &str) -> Reply {
        self.web.send("GET", path, &[("cookie", &self.cookie)], b"")
    }

    /// Sends a form with the token of the session.
    #[track_caller]
    pub fn posts(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let page = self.reads("/definitions");
        let token = page.split("name=\"csrf_token\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let mut all = vec![("csrf_token", token.expect("a token"))];
        all.extend(fields);
        self.posts_bare(path, &all)
    }

    /// Sends a form with a file, and the token of the session before it.
    #[track_caller]
    pub fn uploads(&self, path: &str, fields: &[(&str, &str)], name: &str, bytes: &[u8]) -> Reply {
        let page = self.reads("/definitions");
        let token = page.split("name=\"csrf_token\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let mut all = vec![("csrf_token", token.expect("a token"))];
        all.extend(fields);
        self.uploads_bare(path, &all, name, bytes)
    }

    /// Sends a form with a file as it is.
    pub fn uploads_bare(&self, path: &str, fields: &[(&str, &str)], name: &str, bytes: &[u8]) -> Reply {
        const BOUNDARY: &str = "----a-boundary-of-the-tests";
        let mut body = Vec::new();
        for (field, value) in fields {
            let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: text/csv\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let headers = [("content-type", content_type.as_str()), ("cookie", self.cookie.as_str())];
        self.web.send("POST", path, &headers, &body)
    }

    /// Sends a form as it is.
    pub fn posts_bare(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let form: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", form_value(name), form_value(value))).collect();
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("cookie", self.cookie.as_str())];
        self.web.send("POST", path, &headers, form.join("&").as_bytes())
    }
}

/// A text of a form, as browsers write it.
fn form_value(text: &str) -> String {
    let written = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(written).collect()
}
