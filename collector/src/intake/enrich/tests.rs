use super::*;
use crate::store::events::{EventKey, flags};
use crate::store::identities::{NewLink, Who};
use domain::identity::Call;
use uuid::Uuid;

const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:125.0) Gecko/20100101 Firefox/125.0";
const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

fn event(bits: i16, agent: Option<&str>) -> NewEvent {
    let key = EventKey::Unnamed { minted: Uuid::from_u128(1) };
    let who = Who::Known { kind: IdentityKind::Visitor, value: "a".into() };
    let mut event = NewEvent::new(&"tracker".into(), Kind::Page, key, who, (0, bits));
    event.set(Term::Agent, agent.map(Into::into));
    event
}

fn enriched(sender: &str, mut event: NewEvent) -> NewEvent {
    let enricher = Enricher::new(None).unwrap();
    let origin = Origin { address: Address(sender.parse().unwrap()), agent: Some("curl/8.7.1") };
    enricher.enrich(origin, std::slice::from_mut(&mut event));
    event
}

fn text(event: &NewEvent, term: Term) -> Option<&str> {
    event.text(term).map(|text| &**text)
}

#[test]
fn a_browser_is_where_its_request_comes_from() {
    let mut browser = event(0, Some(FIREFOX));
    browser.address = Address::parse("8.8.8.8");
    browser.set(Term::Device, Some("DE_at|Europe/Vienna|0x0".into()));
    let browser = enriched("1.1.1.1", browser);
    assert_eq!(text(&browser, Term::Place), Some("AU"), "not where it says it is");
    assert_eq!(text(&browser, Term::Software), Some("desktop|Firefox|125|Windows"));
    assert_eq!(text(&browser, Term::Device), Some("de-AT|Europe/Vienna|"));
    assert_eq!((browser.bot_score, browser.address), (0, None));
}

#[test]
fn a_trusted_senders_person_is_where_the_sender_says_and_never_a_bot() {
    let silent = enriched("1.1.1.1", event(flags::TRUSTED, None));
    assert_eq!((text(&silent, Term::Place), silent.bot_score), (None, 0), "the server's own address is nobody's");
    let own = enriched("1.1.1.1", event(flags::TRUSTED, Some("curl/8.7.1")));
    assert_eq!((text(&own, Term::Agent), text(&own, Term::Software)), (Some("curl/8.7.1"), None));
    let mut told = event(flags::TRUSTED, Some(GOOGLEBOT));
    told.address = Address::parse("8.8.8.8");
    let told = enriched("1.1.1.1", told);
    assert_eq!((text(&told, Term::Place), told.bot_score, told.address), (Some("US"), 0, None));
}

#[test]
fn programs_are_told_from_people() {
    let crawlers = Crawlers::read(lists::CRAWLERS).unwrap();
    for (agent, score) in [
        (GOOGLEBOT, 100),
        ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)", 100),
        ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", 100),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/124.0.0.0 Safari/537.36",
            95,
        ),
        ("Mozilla/5.0 (compatible; NewAndUnheardOfBot/0.1; +https://bots.example)", 90),
        ("curl/8.7.1", 40),
        ("python-requests/2.31.0", 40),
        ("analytics/1", 20),
        (FIREFOX, 0),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 Mobile/15E148 Safari/604.1",
            0,
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; CUBOT X30) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36",
            0,
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36 Edg/124.0.0.0",
            0,
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/24.0 Chrome/117.0.0.0 Mobile Safari/537.36",
            0,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21E236 Instagram 328.0.3.31.94 (iPhone14,5; iOS 17_4_1)",
            0,
        ),
    ] {
        assert_eq!(crawlers.score(agent), score, "{agent}");
    }
}

#[test]
fn a_bot_is_scored_and_a_spam_referrer_makes_one() {
    let bot = enriched("66.249.66.1", event(0, Some(GOOGLEBOT)));
    assert_eq!((bot.bot_score, text(&bot, Term::Software)), (100, Some("bot|||")));
    let mut spam = event(0, Some(FIREFOX));
    spam.set(Term::Referrer, Some("semalt.semalt.com/crawler".into()));
    assert_eq!(enriched("1.1.1.1", spam).bot_score, 100);
    assert_eq!(enriched("1.1.1.1", event(0, None)).bot_score, 30);
}

#[test]
fn mail_addresses_are_classed_by_lists_alone() {
    let enricher = Enricher::new(None).unwrap();
    let class = |email: &str| enricher.mail.class(email);
    assert_eq!(class("mia@gmail.com"), Some(EmailClass::Free));
    assert_eq!(class("Mia@Proton.Me"), Some(EmailClass::Free));
    assert_eq!(class("mia@mailinator.com"), Some(EmailClass::Disposable));
    assert_eq!(class("mia@x.mailinator.com"), Some(EmailClass::Disposable));
    assert_eq!(class("mia@shop.example"), Some(EmailClass::Company));
    assert_eq!((class("mia"), class("@gmail.com"), class("mia@localhost")), (None, None, None));

    let mut tied = event(flags::TRUSTED, None);
    tied.links.push(NewLink {
        kind: IdentityKind::Email,
        value: "mia@gmx.at".into(),
        call: Call::Together,
        standing: Trust::Trusted.into(),
    });
    assert_eq!(enriched("1.1.1.1", tied).email_class, Some(EmailClass::Free));
    let mut said = event(0, Some(FIREFOX));
    said.kind = Kind::Identify;
    said.properties = Some(r#"{"email":"mia@shop.example","plan":"x"}"#.into());
    assert_eq!(enriched("1.1.1.1", said.clone()).email_class, Some(EmailClass::Company));
    said.properties = Some(r#"{"email":17}"#.into());
    assert_eq!(enriched("1.1.1.1", said).email_class, None);
}
