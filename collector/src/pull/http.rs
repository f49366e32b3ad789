//! Calls to the systems of others: which hosts, how long, how much, and what an answer means.

use super::PullError;
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;
use ureq::Agent;

/// A call that takes longer has failed; a server that stops waits for the one under way.
const TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of one answer: 25,000 rows of Search Console are some 5 MB.
const ANSWER_BYTES: u64 = 32 << 20;
/// Nobody is waited for longer because of a header.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(86_400);
/// Characters of the other side's own words that are kept.
const WORDS: usize = 200;

/// A client that follows no redirect, so that a key reaches the host that it is meant for and no other.
pub(crate) struct Client {
    agent: Agent,
    /// For tests: everything goes there instead.
    base: Option<String>,
}

/// A request's body.
pub(crate) struct Body<'a> {
    pub(crate) content_type: &'a str,
    pub(crate) bytes: &'a [u8],
}

/// Whether a base URL is one of this machine alone: the only one that is called without TLS.
pub(crate) fn is_loopback(base: &str) -> bool {
    let port = ["http://127.0.0.1:", "http://[::1]:"].into_iter().find_map(|start| base.strip_prefix(start));
    port.is_some_and(|port| port.parse::<u16>().is_ok())
}

impl Client {
    /// A client of documented hosts over TLS, or of one port of this machine.
    ///
    /// # Errors
    /// [`PullError::Odd`] where the base URL is another machine's.
    pub(crate) fn new(insecure_base_url: Option<&str>) -> Result<Client, PullError> {
        if insecure_base_url.is_some_and(|base| !is_loopback(base)) {
            return Err(PullError::Odd("a base URL without TLS is one of this machine alone".to_owned()));
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .https_only(insecure_base_url.is_none())
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("segments/", env!("CARGO_PKG_VERSION")));
        if insecure_base_url.is_some() {
            config = config.proxy(None);
        }
        Ok(Client { agent: config.build().into(), base: insecure_base_url.map(str::to_owned) })
    }

    /// Posts to a path of a host and reads the JSON that is answered.
    ///
    /// # Errors
    /// [`PullError`]: what the status or the connection means.
    pub(crate) fn post(
        &self,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Body<'_>,
        now: Timestamp,
    ) -> Result<Value, PullError> {
        let url = match &self.base {
            Some(base) => format!("{base}{path}"),
            None => format!("https://{host}{path}"),
        };
        let mut request = self.agent.post(url).header("content-type", body.content_type);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        // The error names the host at most, never what was sent to it.
        let mut response = request.send(body.bytes).map_err(|error| PullError::Away(error.to_string()))?;
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| retry_after_of(text, now));
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(ANSWER_BYTES).read_to_string();
        let text = text.map_err(|error| PullError::Away(format!("the answer broke off: {error}")))?;
        if status == 200 {
            return serde_json::from_str(&text)
                .map_err(|error| PullError::Odd(format!("the answer is no JSON: {error}")));
        }
        Err(refusal(status, retry_after, &words(&text)))
    }
}

/// What a status that is not 200 means.
fn refusal(status: u16, retry_after: Option<Duration>, said: &str) -> PullError {
    // Google says with 403 that too much was asked, and that nothing may be asked at all.
    let too_much = ["rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded"];
    match status {
        429 => PullError::Busy { retry_after },
        403 if too_much.iter().any(|reason| said.contains(reason)) => PullError::Busy { retry_after },
        401 | 403 => PullError::NeedsKey(format!("{status}: {said}")),
        // Google's and others' answer to a key that has been withdrawn.
        400 if ["invalid_grant", "invalid_client", "unauthorized_client"].iter().any(|code| said.contains(code)) => {
            PullError::NeedsKey(format!("{status}: {said}"))
        }
        503 if retry_after.is_some() => PullError::Busy { retry_after },
        408 | 500..=599 => PullError::Away(format!("status {status}: {said}")),
        status => PullError::Odd(format!("status {status}: {said}")),
    }
}

/// What an error's body says, without the rest of it: the words that vendors document, cut and made printable.
fn words(text: &str) -> String {
    let body: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let places =
        ["/error/errors/0/reason", "/error/message", "/error", "/error_description", "/errors/0/message", "/errors"];
    let said: Vec<&str> = places.into_iter().filter_map(|place| body.pointer(place).and_then(Value::as_str)).collect();
    let said = if said.is_empty() { "no reason is given".to_owned() } else { said.join(", ") };
    said.chars().take(WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `Retry-After`: seconds, Shopify's with a fraction, or a date.
fn retry_after_of(text: &str, now: Timestamp) -> Option<Duration> {
    let seconds = match text.trim().parse::<f64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
            at.duration_since(now).as_secs_f64()
        }
    };
    let seconds = if seconds.is_finite() { seconds.max(0.0) } else { return None };
    Some(Duration::from_secs_f64(seconds.min(LONGEST_RETRY_AFTER.as_secs_f64())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_more_than_a_day() {
        let now: Timestamp = "2026-11-26T10:00:00Z".parse().unwrap();
        let after = |text| retry_after_of(text, now).map(|wait| wait.as_millis());
        assert_eq!(after("2.0"), Some(2_000));
        assert_eq!(after(" 30 "), Some(30_000));
        assert_eq!(after("Thu, 26 Nov 2026 10:00:20 GMT"), Some(20_000));
        assert_eq!(after("Thu, 26 Nov 2026 09:00:00 GMT"), Some(0));
        assert_eq!(after("9e99"), Some(86_400_000));
        assert_eq!((after("soon"), after("NaN")), (None, None));
    }

    #[test]
    fn only_this_machine_is_called_without_tls() {
        assert!(is_loopback("http://127.0.0.1:8080") && is_loopback("http://[::1]:1"));
        let others = ["http://127.0.0.1", "http://127.0.0.1:80/x", "http://127.0.0.1:80@evil.example", "https://x:1"];
        assert!(others.iter().all(|base| !is_loopback(base)));
        assert!(Client::new(Some("http://shop.example:80")).is_err());
    }

    #[test]
    fn what_a_status_means_is_decided_once() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(refusal(429, second, ""), PullError::Busy { retry_after: second });
        assert_eq!(refusal(403, None, "quotaExceeded, Quota"), PullError::Busy { retry_after: None });
        assert!(matches!(refusal(403, None, "forbidden"), PullError::NeedsKey(_)));
        assert!(matches!(refusal(401, None, "x"), PullError::NeedsKey(_)));
        assert!(matches!(refusal(400, None, "invalid_grant, Invalid JWT"), PullError::NeedsKey(_)));
        assert!(matches!(refusal(400, None, "badRequest"), PullError::Odd(_)));
        assert!(matches!(refusal(500, None, ""), PullError::Away(_)));
        assert!(matches!(refusal(301, None, ""), PullError::Odd(_)), "no redirect is followed");
    }

    #[test]
    fn only_an_errors_own_words_are_kept() {
        assert_eq!(
            words(r#"{"error":{"code":403,"message":"no\u0007pe","errors":[{"reason":"forbidden"}]}}"#),
            "forbidden, no pe"
        );
        assert_eq!(
            words(r#"{"error":"invalid_grant","error_description":"Invalid JWT"}"#),
            "invalid_grant, Invalid JWT"
        );
        assert_eq!(words("<html>"), "no reason is given");
    }
}
