//! What an answer to our tracker does with the browser's identity cookie: see [`crate::intake::cookie`].

use super::{Answer, header_text, is_on};
use crate::http::{State, cookie as cookie_value, reached};
use crate::intake::cookie::{self, Place, Says, Verdict};
use crate::store::events::NewEvent;
use crate::store::sites::{Site, host_of};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use domain::event::Trust;
use uuid::Uuid;

/// What is to be done with the cookie of the browser that sends a batch; nothing by default.
#[derive(Default)]
pub(super) struct Identity {
    name: String,
    place: Option<Place>,
    verdict: Verdict,
    /// A page of the site may read the answer to a request that carried cookies.
    is_own_page: bool,
}

impl Identity {
    /// Only a page that says where it is gets a cookie: others could have been sent by anybody.
    pub(super) fn of(
        state: &State,
        request: &HttpRequest,
        (site, trust): (&Site, Trust),
        batch: &wire::Batch<'_>,
    ) -> Identity {
        let origin = header_text(request, header::ORIGIN).filter(|_| trust == Trust::Browser);
        let Some(origin) = origin else { return Identity::default() };
        let is_own_page = host_of(origin).is_some_and(|host| site.has_host(&host));
        let reached = reached(state, request);
        let place = reached.host.and_then(|host| cookie::place(site, host, origin, reached.is_https));
        let name = cookie::name(site);
        let asks_for_privacy =
            batch.signals.gpc || batch.signals.dnt || is_on(request, "sec-gpc") || is_on(request, "dnt");
        let says = match batch.who {
            wire::Who::Visitor(id) if !asks_for_privacy => Says::Visitor(Uuid::from_bytes(id)),
            wire::Who::Visitor(_) | wire::Who::Load(_) => Says::Nobody,
        };
        let verdict = if place.is_some() { cookie::decide(says, cookie_value(request, &name)) } else { Verdict::Keep };
        Identity { name, place, verdict, is_own_page }
    }

    /// Says of a batch's events whose browser they come from.
    pub(super) fn join(&self, events: &mut [NewEvent]) {
        if let Verdict::Holds { visitor, joined: true } = self.verdict {
            cookie::join(events, visitor);
        }
    }

    /// The answer to a batch that was taken in; `told` is what it says of the events.
    pub(super) fn tell(&self, answer: &Answer, mut told: serde_json::Value) -> HttpResponse {
        match self.verdict {
            // That both are one browser is said by an event that is stored; where none was, the next batch says it.
            Verdict::Holds { visitor, joined } if !joined || answer.receipt.stored > 0 => {
                told["visitor"] = visitor.as_simple().to_string().into();
            }
            Verdict::Holds { .. } | Verdict::Keep | Verdict::Give(_) | Verdict::End => {}
        }
        let mut response = HttpResponse::Ok().json(told);
        for line in self.place.iter().flat_map(|place| place.lines(&self.name, self.verdict)) {
            if let Ok(line) = HeaderValue::from_str(&line) {
                response.headers_mut().append(header::SET_COOKIE, line);
            }
        }
        response
    }

    /// Lets the site's own pages read an answer to a request that carried cookies, whatever it is.
    pub(super) fn allow(&self, response: &mut HeaderMap) {
        if self.is_own_page {
            response.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}
