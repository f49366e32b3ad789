//! What each vendor tells, what that becomes here, and requests to try it with; nothing of a trial is stored.

use super::{Request, Settings, Told, Vendor, shopify, woocommerce};
use crate::intake::screen::Sender;
use crate::store::events::{NewEvent, Term};
use crate::store::identities::Who;
use domain::report::{HookSample, SourceTrial, WouldBe};
use jiff::{Timestamp, ToSpan};

/// What a vendor tells, in its words, and what that becomes.
pub(crate) const fn mapping(vendor: Vendor) -> &'static [(&'static str, &'static str)] {
    match vendor {
        Vendor::Shopify => &[
            ("orders/create", "Order Completed, with its lines, discount, shipping and tax"),
            ("orders/updated, orders/paid", "Order Updated, and Order Completed where it was not told yet"),
            ("orders/cancelled", "Order Cancelled"),
            ("refunds/create", "Order Refunded, by its successful transactions"),
            ("customers/create, customers/update", "Identify: name, phone, country, city, tags, marketing consent"),
        ],
        Vendor::WooCommerce => &[
            ("order.created, order.updated", "Order Completed once it is placed, then Order Updated"),
            ("its state cancelled, order.deleted", "Order Cancelled"),
            ("its refunds", "Order Refunded"),
            ("customer.created, customer.updated", "Identify: name, phone, country, city"),
        ],
        Vendor::Stripe => &[
            ("checkout.session.completed, invoice.paid", "Order Completed"),
            ("charge.succeeded", "Order Completed, where neither of the two above tells of it"),
            ("refund.created, refund.updated", "Order Refunded, once it has succeeded"),
            ("customer.created, customer.updated", "Identify: name, phone, country, city"),
        ],
        Vendor::Mailchimp => &[
            ("subscribe", "Subscribed, and Identify with the merge fields"),
            ("profile", "Identify with the merge fields"),
            ("unsubscribe", "Unsubscribed, and Identify: no consent"),
            ("cleaned", "Email Bounced or Email Marked as Spam, and Identify: no consent"),
            ("upemail", "both addresses are one person"),
            ("campaign", "nothing: it says nothing of anybody"),
        ],
        Vendor::SendGrid => &[
            ("processed, delivered", "Email Sent, Email Delivered"),
            ("open, click", "Email Opened, Email Link Clicked"),
            ("deferred, bounce, dropped", "Email Deferred, Email Bounced, Email Dropped"),
            ("spamreport", "Email Marked as Spam"),
            ("unsubscribe, group_unsubscribe, group_resubscribe", "Unsubscribed, Subscribed"),
        ],
        Vendor::Klaviyo => &[
            ("mail topics", "Email Sent, Email Opened, Email Link Clicked, Email Bounced, Unsubscribed, …"),
            ("orders and products", "named events of Klaviyo’s own words; orders stay the shop’s"),
            ("profiles", "Identify: name, phone, place, consent"),
        ],
    }
}

/// Requests of the vendor's documentation, with moments of the last hour.
pub(crate) fn samples(vendor: Vendor, now: Timestamp) -> Vec<HookSample> {
    let known: &[(&'static str, &str)] = match vendor {
        Vendor::Shopify => &[
            ("orders/create", include_str!("samples/shopify_order.json")),
            ("refunds/create", include_str!("samples/shopify_refund.json")),
            ("customers/update", include_str!("samples/shopify_customer.json")),
        ],
        Vendor::WooCommerce => &[
            ("order.created", include_str!("samples/woocommerce_order.json")),
            ("customer.updated", include_str!("samples/woocommerce_customer.json")),
        ],
        Vendor::Stripe => &[
            ("checkout.session.completed", include_str!("samples/stripe_checkout.json")),
            ("refund.created", include_str!("samples/stripe_refund.json")),
            ("customer.updated", include_str!("samples/stripe_customer.json")),
        ],
        Vendor::Mailchimp => &[
            ("subscribe", include_str!("samples/mailchimp_subscribe.txt")),
            ("unsubscribe", include_str!("samples/mailchimp_unsubscribe.txt")),
        ],
        Vendor::SendGrid => &[("events", include_str!("samples/sendgrid_events.json"))],
        Vendor::Klaviyo => &[
            ("event", include_str!("samples/klaviyo_event.json")),
            ("profile", include_str!("samples/klaviyo_profile.json")),
        ],
    };
    known.iter().map(|(topic, text)| HookSample { topic, body: of_today(text, now) }).collect()
}

/// A sample with its moments: created an hour ago, updated half an hour ago.
fn of_today(text: &str, now: Timestamp) -> String {
    let mut text = text.to_owned();
    for (name, minutes) in [("CREATED", 60), ("UPDATED", 30)] {
        let at = now.checked_sub(minutes.minutes()).unwrap_or(now);
        let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
        let civil = at.to_zoned_datetime(jiff::tz::TimeZone::UTC).datetime().to_string();
        text = text
            .replace(&format!("@{name}@"), &at.to_string())
            .replace(&format!("@{name}_UTC@"), &civil)
            .replace(&format!("@{name}_FORM@"), &civil.replace('T', "+").replace(':', "%3A"))
            .replace(&format!("@{name}_S@"), &at.as_second().to_string());
    }
    text
}

/// What a body would become if the vendor sent it now under that topic. It needs no signature, for it is kept nowhere.
pub(crate) fn try_out(vendor: Vendor, settings: &Settings, topic: &str, body: &str, sender: &Sender) -> SourceTrial {
    let header = |name: &str| {
        let is_topic = match vendor {
            Vendor::Shopify => name == shopify::TOPIC_HEADER,
            Vendor::WooCommerce => name == woocommerce::TOPIC_HEADER,
            // They name it in the body.
            Vendor::Stripe | Vendor::Mailchimp | Vendor::SendGrid | Vendor::Klaviyo => false,
        };
        is_topic.then(|| topic.to_owned())
    };
    let request = Request { header: &header, query: "", body: body.as_bytes() };
    let Told { events, rejections } = super::tell(vendor, settings, &request, sender);
    SourceTrial {
        topic: topic.to_owned(),
        body: body.to_owned(),
        events: events.iter().map(would_be).collect(),
        faults: rejections.into_iter().map(|fault| (fault.reason.to_owned(), fault.detail)).collect(),
    }
}

fn would_be(event: &NewEvent) -> WouldBe {
    let own = match &event.who {
        Who::Known { kind, value } => vec![format!("{kind} {value}")],
        Who::Measured { .. } => Vec::new(),
    };
    let further = event.links.iter().map(|link| format!("{} {}", link.kind, link.value));
    WouldBe {
        name: event.text(Term::Name).map_or_else(|| event.kind.label().to_owned(), ToString::to_string),
        who: own.into_iter().chain(further).collect(),
        at: crate::store::instant(event.occurred_at_us),
        properties: event.properties.as_deref().unwrap_or("{}").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::site;
    use super::*;
    use domain::event::Trust;
    use std::sync::Arc;

    #[test]
    fn every_sample_becomes_an_event_and_is_rejected_for_nothing() {
        let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        let sender = Sender::new(Arc::new(site()), "vendor:test", Trust::Trusted, now.as_microsecond(), None, None);
        for vendor in Vendor::ALL {
            for sample in samples(vendor, now) {
                let trial = try_out(vendor, &Settings::default(), sample.topic, &sample.body, &sender);
                assert!(!trial.events.is_empty(), "{vendor:?} {}", sample.topic);
                assert_eq!(trial.faults, [], "{vendor:?} {}", sample.topic);
                assert!(!sample.body.contains('@') || !sample.body.contains("ED@"), "{}", sample.body);
                for event in trial.events {
                    assert!(event.at <= now && !event.who.is_empty(), "{event:?}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        let sender = Sender::new(Arc::new(site()), "vendor:test", Trust::Trusted, now.as_microsecond(), None, None);
        let trial = try_out(Vendor::Shopify, &Settings::default(), "products/update", "{}", &sender);
        assert_eq!(trial.faults[0].0, "unknown_kind");
        let trial = try_out(Vendor::Shopify, &Settings::default(), "orders/create", "{", &sender);
        assert_eq!(trial.faults[0].0, "unreadable");
    }
}
