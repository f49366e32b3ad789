//! Mailchimp: its audience webhooks are not signed. Its documentation asks for a secret in the address instead, and that
//! the address answers GET before it is saved.
//!
//! The body is a form whose fields are written `data[merges][FNAME]`; `fired_at` is UTC.

use super::{Maker, Person, Request, Told, Unsigned, moment, object, unknown};
use crate::intake::Reason;
use crate::intake::screen::Fault;
use domain::identity::Kind as IdentityKind;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Merge fields that have names of their own among the traits.
const NAMED: [(&str, &str); 3] = [("FNAME", "firstName"), ("LNAME", "lastName"), ("PHONE", "phone")];

pub(super) fn check(secret: &str, request: &Request<'_>) -> Result<(), Unsigned> {
    let given = form_urlencoded::parse(request.query.as_bytes()).find(|(name, _)| name == "secret");
    let (_, given) = given.ok_or(Unsigned::Missing)?;
    if crate::secrets::same(&given, secret) { Ok(()) } else { Err(Unsigned::Wrong) }
}

pub(super) fn tell(request: &Request<'_>, maker: &Maker<'_>) -> Told {
    let mut told = Told::default();
    let form: Form = form_urlencoded::parse(request.body)
        .map(|(name, value)| (name.into_owned(), value.trim().to_owned()))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let sample = json!(form);
    let kind = form.get("type").map_or("", String::as_str);
    let Some(at_us) = form.get("fired_at").and_then(|at| moment(at)) else {
        told.note(Err(Fault::new(Reason::DateOutOfRange, "fired_at is missing or no date")), &sample);
        return told;
    };
    let said = Said { form: &form, at_us, maker, sample: &sample };
    match kind {
        "subscribe" => said.subscribed(&mut told),
        "profile" => said.knows(None, &mut told),
        "unsubscribe" => said.unsubscribed(&mut told),
        "cleaned" => said.cleaned(&mut told),
        "upemail" => said.moved(&mut told),
        // A campaign was sent: that says nothing of anybody.
        "campaign" => {}
        other => told.note(Err(unknown(&format!("type {other}"))), &sample),
    }
    told
}

type Form = BTreeMap<String, String>;

struct Said<'a> {
    form: &'a Form,
    at_us: i64,
    maker: &'a Maker<'a>,
    sample: &'a Value,
}

impl Said<'_> {
    fn data(&self, name: &str) -> Option<Value> {
        self.form.get(&format!("data[{name}]")).map(|value| value.as_str().into())
    }

    fn person(&self) -> Person {
        self.form.get("data[email]").map(|email| (IdentityKind::Email, email.clone())).into_iter().collect()
    }

    /// There is no id of the message: type, time and person say which it is.
    fn id(&self, what: &str) -> String {
        let field = |name: &str| self.form.get(name).map_or("", String::as_str);
        let who = if self.form.contains_key("data[email]") { "data[email]" } else { "data[new_email]" };
        format!("{what}:{}:{}:{}", field("fired_at"), field("data[list_id]"), field(who))
    }

    fn track(&self, name: &str, what: &str, further: [(&'static str, Option<Value>); 2], told: &mut Told) {
        let mut said = object([("list_id", self.data("list_id")), ("campaign_id", self.data("campaign_id"))]);
        said.extend(object(further));
        told.note(self.maker.track(name, self.at_us, &self.id(what), &self.person(), said), self.sample);
    }

    fn knows(&self, opt_in: Option<bool>, told: &mut Told) {
        let mut traits: Map<String, Value> =
            object([("email", self.data("email")), ("email_opt_in", opt_in.map(Value::from))]);
        for (name, value) in self.form {
            let merge = name.strip_prefix("data[merges][").and_then(|rest| rest.strip_suffix(']'));
            let Some(merge) = merge.filter(|merge| *merge != "EMAIL" && !merge.contains('[')) else { continue };
            let named = NAMED.iter().find(|(own, _)| *own == merge).map(|(_, name)| (*name).to_owned());
            traits.insert(named.unwrap_or_else(|| merge.to_lowercase()), value.as_str().into());
        }
        told.note(self.maker.identify(self.at_us, &self.id("knows"), &self.person(), traits), self.sample);
    }

    fn subscribed(&self, told: &mut Told) {
        self.knows(Some(true), told);
        self.track("Subscribed", "subscribe", [("email_type", self.data("email_type")), ("reason", None)], told);
    }

    fn unsubscribed(&self, told: &mut Told) {
        self.knows(Some(false), told);
        let further = [("action", self.data("action")), ("reason", self.data("reason"))];
        self.track("Unsubscribed", "unsubscribe", further, told);
    }

    /// The address is struck off: it bounced for good, or its reader called the mail spam.
    fn cleaned(&self, told: &mut Told) {
        let is_abuse = self.form.get("data[reason]").is_some_and(|reason| reason == "abuse");
        let name = if is_abuse { "Email Marked as Spam" } else { "Email Bounced" };
        self.track(name, "cleaned", [("reason", self.data("reason")), ("action", None)], told);
        let traits = object([("email_opt_in", Some(json!(false)))]);
        told.note(self.maker.identify(self.at_us, &self.id("cleaned-knows"), &self.person(), traits), self.sample);
    }

    /// A reader has another address now: both are the same person's.
    fn moved(&self, told: &mut Told) {
        let addresses = ["data[new_email]", "data[old_email]"];
        let person: Person = addresses
            .iter()
            .filter_map(|name| self.form.get(*name).map(|email| (IdentityKind::Email, email.clone())))
            .collect();
        let traits = object([("email", self.data("new_email"))]);
        told.note(self.maker.identify(self.at_us, &self.id("upemail"), &person, traits), self.sample);
    }
}
