//! People as the tables have them, told again as stories for the naive evaluator. Nothing here asks the engine.

use super::naive::{Did, Done, Properties, Someone};
use diesel::PgConnection;
use domain::event::ProfileId;
use domain::segment::lifecycle::{LimitsVersion, Rhythm};
use domain::segment::rfm::Scales;
use domain::segment::rule::{Percentiles, Rule, Scores, Site};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tests::cluster::rows;

/// A segment that is in use.
pub(crate) struct Segment {
    pub(crate) key: String,
    /// `None` for a list.
    pub(crate) rule: Option<Rule>,
}

/// Somebody with what is stored of their memberships.
pub(crate) struct Stored {
    pub(crate) someone: Someone,
    /// Keys of segments.
    pub(crate) member_of: BTreeSet<String>,
    pub(crate) listed_in: BTreeSet<String>,
    pub(crate) due: Option<u32>,
    /// A pair that the API finds them by.
    pub(crate) asked_by: String,
    pub(crate) profile: Value,
}

/// A site at one moment.
pub(crate) struct Reading {
    pub(crate) as_of: u32,
    pub(crate) revision: i64,
    pub(crate) site: Site,
    pub(crate) segments: Vec<Segment>,
    pub(crate) people: Vec<Stored>,
}

/// The day's values as `segment_models` has them.
#[derive(Deserialize)]
struct Values {
    scales: Scales,
    revenue: Percentiles,
    order_value: Percentiles,
    expected_revenue: Percentiles,
}

fn text(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap_or_else(|| panic!("no text {name} in {row}")).to_owned()
}

fn number(row: &Value, name: &str) -> i64 {
    row[name].as_i64().unwrap_or_else(|| panic!("no number {name} in {row}"))
}

fn second(at_us: i64) -> u32 {
    u32::try_from(at_us.div_euclid(1_000_000)).expect("a time between 1970 and 2106")
}

/// When something was, its rank within its second, and what keeps the order beyond.
type Place = (u32, u8, i64, String);

fn properties(row: &Value, names: &[&str]) -> Properties {
    let known = names.iter().map(|name| ((*name).to_owned(), row[*name].clone()));
    known.filter(|(_, value)| value.as_str().is_some_and(|text| !text.is_empty())).collect()
}

impl Reading {
    /// Reads a site in one snapshot of the database.
    pub(crate) fn of(connection: &mut PgConnection, site_id: i32) -> Reading {
        connection
            .build_transaction()
            .repeatable_read()
            .run(|connection| Ok::<_, diesel::result::Error>(Reading::read(connection, site_id)))
            .expect("one snapshot")
    }

    fn read(connection: &mut PgConnection, site_id: i32) -> Reading {
        let mut of = |query: &str| rows(connection, &query.replace("$1", &site_id.to_string()));
        let clock = of("SELECT segments_revision, currency, time_zone,
                (extract(epoch FROM now()) * 1000000)::bigint AS at_us FROM sites WHERE site_id = $1");
        let [clock] = &clock[..] else { panic!("one site: {clock:?}") };
        let currency = text(clock, "currency");
        let mut models: HashMap<String, Value> = HashMap::new();
        for row in of("SELECT kind, model FROM segment_models WHERE site_id = $1 ORDER BY version") {
            models.insert(text(&row, "kind"), row["model"].clone());
        }
        let site = site(&text(clock, "time_zone"), &models);

        let segments: Vec<Segment> = of("SELECT key, rule FROM segments WHERE site_id = $1 AND archived_at IS NULL
                ORDER BY key COLLATE \"C\"")
        .iter()
        .map(|row| Segment {
            key: text(row, "key"),
            rule: (!row["rule"].is_null()).then(|| serde_json::from_value(row["rule"].clone()).expect("a rule")),
        })
        .collect();

        let mut did: HashMap<i64, Vec<(Place, Did)>> = HashMap::new();
        let mut happened = |profile_id: i64, rank: u8, at_us: i64, then: String, what: Did| {
            did.entry(profile_id).or_default().push(((second(at_us), rank, at_us, then), what));
        };
        for row in of("SELECT i.profile_id, (extract(epoch FROM e.occurred_at) * 1000000)::bigint AS at_us, e.event_id,
                e.kind, n.value AS name, p.value AS page, e.properties
             FROM events e JOIN identities i USING (site_id, identity_id)
             LEFT JOIN terms n ON n.site_id = e.site_id AND n.term_id = e.name_id
             LEFT JOIN terms p ON p.site_id = e.site_id AND p.term_id = e.page_id
             WHERE e.site_id = $1 AND e.kind <> 2")
        {
            let what = match number(&row, "kind") {
                1 | 7 => Did::Page(text(&row, "page")),
                3 => {
                    let properties = row["properties"].as_object().cloned().unwrap_or_default();
                    Did::Track(text(&row, "name"), properties.into_iter().collect())
                }
                4 => Did::Identify,
                // No rule asks for these two; they are seen all the same.
                5 | 6 => Did::Group,
                kind => panic!("events of kind {kind}"),
            };
            happened(number(&row, "profile_id"), 1, number(&row, "at_us"), text(&row, "event_id"), what);
        }
        for row in of("SELECT profile_id, (extract(epoch FROM started_at) * 1000000)::bigint AS at_us, session_id,
                channel, source, medium, campaign, referrer FROM sessions WHERE site_id = $1")
        {
            let touch = properties(&row, &["channel", "source", "medium", "campaign", "referrer"]);
            happened(number(&row, "profile_id"), 0, number(&row, "at_us"), text(&row, "session_id"), Did::Visit(touch));
        }
        for row in of("SELECT profile_id, (extract(epoch FROM ordered_at) * 1000000)::bigint AS at_us, order_id,
                total_minor, currency, channel, source, campaign FROM orders WHERE site_id = $1 AND counted")
        {
            let minor = row["total_minor"].as_i64().filter(|_| row["currency"] == currency).unwrap_or(0);
            let what = Did::Order(properties(&row, &["channel", "source", "campaign"]), minor);
            happened(number(&row, "profile_id"), 2, number(&row, "at_us"), text(&row, "order_id"), what);
        }

        let mut sets = |query: &str| -> HashMap<i64, BTreeSet<String>> {
            let mut sets: HashMap<i64, BTreeSet<String>> = HashMap::new();
            for row in of(query) {
                sets.entry(number(&row, "profile_id")).or_default().insert(text(&row, "key"));
            }
            sets
        };
        let mut member_of = sets(
            "SELECT profile_id, key FROM segment_members JOIN segments USING (site_id, segment_id)
             WHERE site_id = $1",
        );
        let mut listed_in = sets(
            "SELECT i.profile_id, g.key FROM segment_lists l JOIN segments g USING (site_id, segment_id)
             JOIN identities i USING (site_id, identity_id) WHERE l.site_id = $1",
        );
        let mut identities: HashMap<i64, BTreeMap<i64, String>> = HashMap::new();
        for row in of("SELECT profile_id, kind, min(value) AS value FROM identities
             WHERE site_id = $1 AND kind IN (1, 2, 3) GROUP BY profile_id, kind")
        {
            let own = identities.entry(number(&row, "profile_id")).or_default();
            own.insert(number(&row, "kind"), text(&row, "value"));
        }
        let scores: HashMap<i64, Scores> = of("SELECT * FROM segment_scores WHERE site_id = $1")
            .iter()
            .map(|row| {
                let score = |name: &str| row[name].as_f64().map_or(f32::NAN, |score| score as f32);
                let cluster = row["cluster"].as_u64().and_then(|cluster| u16::try_from(cluster).ok());
                let scores = Scores {
                    probability_alive: score("probability_alive"),
                    expected_orders: score("expected_orders"),
                    expected_revenue: score("expected_revenue"),
                    probability_of_return: score("probability_of_return"),
                    probability_of_sign_up: score("probability_of_sign_up"),
                    cluster: cluster.unwrap_or(Scores::NO_CLUSTER),
                };
                (number(row, "profile_id"), scores)
            })
            .collect();
        let people = of("SELECT p.*, (extract(epoch FROM d.due_at) * 1000000)::bigint AS due_us FROM profiles p
             LEFT JOIN segment_deadlines d USING (site_id, profile_id) WHERE site_id = $1 ORDER BY profile_id")
        .into_iter()
        .map(|profile| {
            let profile_id = number(&profile, "profile_id");
            let mut did = did.remove(&profile_id).unwrap_or_default();
            did.sort_by(|one, other| one.0.cmp(&other.0));
            let did = did.into_iter().map(|((at, ..), what)| Done { at, what }).collect();
            let identities = identities.remove(&profile_id).unwrap_or_default();
            let asked_by = [(2, "user_id"), (3, "email"), (1, "visitor_id")]
                .iter()
                .find_map(|(kind, name)| Some(format!("{name}={}", identities.get(kind)?)))
                .unwrap_or_else(|| panic!("nobody can ask for {profile}"));
            let traits = profile["traits"].as_object().cloned().unwrap_or_default();
            let someone = Someone {
                profile_id,
                signed_up: identities.contains_key(&2) || identities.contains_key(&3),
                did,
                traits: traits.into_iter().collect(),
                scores: scores.get(&profile_id).copied().unwrap_or(Scores::NONE),
                segments: BTreeSet::new(),
            };
            Stored {
                someone,
                member_of: member_of.remove(&profile_id).unwrap_or_default(),
                listed_in: listed_in.remove(&profile_id).unwrap_or_default(),
                due: profile["due_us"].as_i64().map(second),
                asked_by,
                profile,
            }
        })
        .collect();
        assert!(member_of.is_empty(), "members who are nobody: {member_of:?}");
        let revision = number(clock, "segments_revision");
        Reading { as_of: second(number(clock, "at_us")), revision, site, segments, people }
    }
}

fn site(time_zone: &str, models: &HashMap<String, Value>) -> Site {
    let zone = jiff::tz::TimeZone::get(time_zone).expect("a time zone");
    // Both sites' currencies have cents.
    let mut site = Site::new(zone, 2);
    let limits: LimitsVersion = serde_json::from_value(models["limits"].clone()).expect("limits");
    Rhythm { limits: site.limits, usual_gap_days: site.usual_gap_days } = limits.rhythm;
    let values: Values = serde_json::from_value(models["values"].clone()).expect("values");
    let Values { scales, revenue, order_value, expected_revenue } = values;
    Site { scales, revenue, order_value, expected_revenue, ..site }
}

impl Stored {
    /// Who it is.
    pub(crate) fn id(&self) -> ProfileId {
        ProfileId(self.someone.profile_id)
    }
}
