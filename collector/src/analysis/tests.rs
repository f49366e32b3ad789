use super::columns::{Base, Columns, Row, Seen, Shard};
use super::keeper::{fitting, fixed};
use super::*;
use crate::store::columns::Size;
use domain::event::TermId;
use domain::segment::rule::{Matching, PersonRow, PlacedAt, Rule, Scores, Slots, Vocabulary, What};
use jiff::civil::date;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

const DAY: u32 = 86_400;
/// 2026-03-01 00:00 in Berlin, four weeks before summer time begins there.
const MARCH: u32 = 1_772_319_600;

/// Somebody who did these things so many seconds after [`MARCH`].
fn person(words: &mut Vocabulary, id: i64, is_profile: bool, did: &[(u32, &str)]) -> Row {
    let mut row = PersonRow::new(ProfileId(id), false);
    for (after, what) in did {
        let at = MARCH + after;
        let what = match *what {
            "order" => {
                row.orders.push(PlacedAt { at, record: 0, minor: 1_000 });
                What::ORDER
            }
            "visit" => What::VISIT,
            page if page.starts_with('/') => {
                let term = page.bytes().fold(0_i32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
                words.page(TermId(term), || format!("shop.example{page}").into())
            }
            name => words.track(&name.into()),
        };
        row.at.push(at);
        row.what.push(what);
        row.record.push(0);
    }
    let (first, last) = (row.at.first().copied().unwrap_or(0), row.at.last().copied().unwrap_or(0));
    Row { row, seen: Seen { is_profile, first, last } }
}

/// Columns of these people, spread over so many shards.
fn columns(words: Vocabulary, shards: usize, mut people: Vec<Row>) -> Columns {
    people.sort_by_key(|row| row.row.profile_id);
    let mut bases: Vec<Base> = (0..shards).map(|_| Base::with_room(0, 0, 0, 0)).collect();
    for row in &people {
        bases[columns::shard_of(row.row.profile_id.0, shards)].push(&row.row.as_person(&[]), row.seen);
    }
    Columns {
        shards: bases.into_iter().map(|base| Arc::new(Shard::of(base))).collect(),
        vocabulary: Arc::new(RwLock::new(words)),
        from: None,
    }
}

fn view(columns: &Columns) -> View {
    View {
        columns: Arc::new(columns.clone()),
        time_zone: TimeZone::get("Europe/Berlin").unwrap(),
        currency_digits: 2,
        coverage: Coverage::default(),
    }
}

fn members(view: &View, who: &str, as_of: u32) -> Vec<i64> {
    let rule = Rule::from_json(&format!(r#"{{"version":1,"who":{who}}}"#)).unwrap();
    let plan = view.plan_at(&rule, &Slots::default(), as_of).unwrap();
    let among = Among { plans: std::slice::from_ref(&plan), as_of };
    let members: Vec<i64> = view.members(among).into_iter().map(|id| id.0).collect();
    assert_eq!(view.preview(among, 0, 0).count, members.len() as u64);
    assert_eq!(view.count_many(std::slice::from_ref(&plan), as_of).sizes, [members.len() as u64]);
    members
}

const BUYERS: &str = r#"{"fact":{"name":"orders","is":{"at_least":1}}}"#;
const PRICING: &str = r#"{"event":{"of":{"what":{"page":"/pricing"}},"is":{"count":{"at_least":1}}}}"#;

#[test]
fn changed_people_stand_before_the_columns_until_they_are_part_of_them() {
    let mut words = Vocabulary::new();
    let people = (1..=40).map(|id| person(&mut words, id, true, &[(60, "visit"), (60, "/"), (90, "order")])).collect();
    let changed = [
        (3, Some(person(&mut words, 3, true, &[(60, "visit"), (60, "/pricing")]))),
        (7, None),
        (50, Some(person(&mut words, 50, true, &[(60, "visit"), (60, "/pricing"), (70, "order")]))),
        (51, None),
    ];
    let mut now = columns(words, 4, people);
    let before = view(&now);
    now.put(changed.to_vec());
    let expected: Vec<i64> = (1..=40).filter(|id| *id != 3 && *id != 7).chain([50]).collect();
    let (people, events) = now.counts();
    let mut merged = now.clone();
    merged.shards.iter_mut().for_each(|shard| Arc::make_mut(shard).merge(0));
    for columns in [&now, &merged] {
        let view = view(columns);
        assert_eq!(members(&view, BUYERS, MARCH + DAY), expected);
        assert_eq!(members(&view, PRICING, MARCH + DAY), [3, 50]);
        assert_eq!(columns.counts(), (people, events));
    }
    assert_eq!(people, 40);
    assert!(view(&now).differences(&view(&merged)).is_empty());
    assert_eq!(members(&before, BUYERS, MARCH + DAY).len(), 40, "who asked before keeps that moment");
    let mut differences = before.differences(&view(&now));
    differences.sort_unstable();
    assert_eq!(differences, [3, 7, 50]);
}

#[test]
fn what_models_say_stays_when_a_person_is_read_again() {
    let mut words = Vocabulary::new();
    let row = person(&mut words, 1, true, &[(60, "visit"), (90, "order")]);
    let mut now = columns(words, 1, vec![row.clone()]);
    let scores = Scores { probability_alive: 0.75, ..Scores::NONE };
    now.score(&HashMap::from([(ProfileId(1), scores)]));
    let likely = r#"{"fact":{"name":"probability_alive","is":{"at_least":0.5}}}"#;
    assert_eq!(members(&view(&now), likely, MARCH + DAY), [1]);
    now.put(vec![(1, Some(row))]);
    assert_eq!(members(&view(&now), likely, MARCH + DAY), [1]);
    assert_eq!(now.scores().len(), 1);
}

#[test]
fn a_day_begins_at_midnight_of_the_site_also_when_the_clock_is_put_forward() {
    let mut words = Vocabulary::new();
    // 2026-03-29 has 23 hours in Berlin.
    let sunday = 28 * DAY;
    let monday = sunday + 23 * 3_600;
    let people = vec![
        person(&mut words, 1, true, &[(sunday, "visit"), (sunday + 60, "visit"), (monday - 1, "visit")]),
        person(&mut words, 2, true, &[(sunday - 1, "visit"), (monday, "visit")]),
        person(&mut words, 3, false, &[(monday - 1, "visit")]),
        person(&mut words, 4, true, &[(monday - 1, "/")]),
    ];
    let days = view(&columns(words, 2, people)).visitors(date(2026, 3, 28), date(2026, 3, 30), None);
    let counts: Vec<_> = days.iter().map(|day| (day.day.day(), day.visitors, day.profiles)).collect();
    assert_eq!(counts, [(28, 1, 1), (29, 2, 1), (30, 1, 1)]);
}

#[test]
fn a_funnel_counts_those_for_whom_some_way_through_it_was_in_time() {
    let mut words = Vocabulary::new();
    let people = vec![
        // The first try is too old, the second in time.
        person(&mut words, 1, true, &[(0, "/pricing"), (90, "/pricing"), (95, "Product Added"), (150, "order")]),
        person(&mut words, 2, true, &[(0, "/pricing"), (95, "Product Added"), (150, "order")]),
        person(&mut words, 3, true, &[(0, "Product Added"), (5, "/pricing"), (10, "order")]),
        person(&mut words, 4, false, &[(0, "/pricing"), (5, "Product Added")]),
        person(&mut words, 5, true, &[(0, "/")]),
    ];
    let view = view(&columns(words, 2, people));
    let steps: Vec<_> =
        [r#"{"what":{"page":"/pricing"}}"#, r#"{"what":{"track":"Product Added"}}"#, r#"{"what":"order"}"#]
            .iter()
            .map(|step| view.matcher(&serde_json::from_str::<Matching>(step).unwrap()).unwrap())
            .collect();
    let funnel = Funnel { steps: &steps, from: MARCH, to: MARCH + DAY, window_seconds: 100 };
    let taken = view.funnel(funnel, None);
    assert_eq!(taken.iter().map(|step| step.people).collect::<Vec<_>>(), [4, 3, 1]);
    assert_eq!(taken.iter().map(|step| step.median_seconds).collect::<Vec<_>>(), [None, Some(5), Some(55)]);
    let later = view.funnel(Funnel { from: MARCH + 1, ..funnel }, None);
    assert_eq!(later.iter().map(|step| step.people).collect::<Vec<_>>(), [2, 1, 1], "begun in time");
}

#[test]
fn cohorts_are_those_who_came_first_in_their_period() {
    let mut words = Vocabulary::new();
    let people = vec![
        person(&mut words, 1, true, &[(0, "visit"), (40 * DAY, "visit"), (41 * DAY, "visit"), (70 * DAY, "visit")]),
        person(&mut words, 2, true, &[(10, "visit")]),
        person(&mut words, 3, true, &[(35 * DAY, "visit"), (70 * DAY, "visit")]),
        person(&mut words, 4, false, &[(10, "visit")]),
    ];
    let cohorts = view(&columns(words, 2, people)).retention(Period::Month, date(2026, 3, 9), 3, Return::Visit, None);
    let counts: Vec<_> = cohorts.iter().map(|cohort| (cohort.people, cohort.returned.clone())).collect();
    assert_eq!(counts, [(2, vec![1, 1]), (1, vec![1]), (0, vec![])]);
    assert_eq!(cohorts[0].begins, date(2026, 3, 1));
}

#[test]
fn the_ways_through_visits_are_counted() {
    let mut words = Vocabulary::new();
    let people = vec![
        person(&mut words, 1, true, &[(0, "visit"), (0, "/"), (1, "/a"), (2, "/b"), (DAY, "visit"), (DAY, "/")]),
        person(&mut words, 2, true, &[(0, "visit"), (0, "/"), (1, "/a"), (2, "/a")]),
    ];
    let view = view(&columns(words, 1, people));
    let told = |paths: Vec<Path>| -> Vec<(String, u64)> {
        let page = |page: &Arc<str>| page.trim_start_matches("shop.example").to_owned();
        paths.iter().map(|path| (path.pages.iter().map(page).collect::<Vec<_>>().join(" "), path.visits)).collect()
    };
    let all = (MARCH, MARCH + 2 * DAY);
    let entered = told(view.paths(None, all, 2, 10, None));
    assert_eq!(entered, [("/ /a".to_owned(), 2), ("/".to_owned(), 1)]);
    let after = view.matcher(&serde_json::from_str(r#"{"what":{"page":"/a"}}"#).unwrap()).unwrap();
    let mut after = told(view.paths(Some(&after), all, 2, 10, None));
    after.sort();
    assert_eq!(after, [("/a".to_owned(), 1), ("/a /b".to_owned(), 1)]);
}

#[test]
fn a_backtest_knows_what_came_later_and_does_not_use_it() {
    let mut words = Vocabulary::new();
    let people = vec![
        person(&mut words, 1, true, &[(0, "/pricing"), (40 * DAY, "order")]),
        person(&mut words, 2, true, &[(0, "/"), (10 * DAY, "order"), (80 * DAY, "/pricing")]),
    ];
    let view = view(&columns(words, 1, people));
    let rule = Rule::from_json(&format!(r#"{{"version":1,"who":{PRICING}}}"#)).unwrap();
    let plan = view.plan_at(&rule, &Slots::default(), 0).unwrap();
    let tested = view.backtest(&[plan], &[MARCH + DAY, MARCH + 90 * DAY]);
    assert_eq!((tested[0].members.people, tested[0].everybody.people), (1, 2));
    assert_eq!((tested[0].members.ordered_30, tested[0].members.ordered_90), (0, 1));
    assert_eq!((tested[0].everybody.ordered_30, tested[0].everybody.revenue_90_minor), (1, 2_000));
    assert_eq!((tested[1].members.people, tested[1].members.revenue_minor), (2, 2_000));
}

#[test]
fn memory_is_kept_by_leaving_out_the_oldest_months_of_detail() {
    let months = [(MARCH, 1_000), (MARCH + 31 * DAY, 1_000), (MARCH + 61 * DAY, 1_000)];
    let size = Size { people: 10, visits: 10, orders: 0, months: BTreeMap::from(months) };
    let all = fixed(&size) + 3_000 * load::LOADING_EVENT_BYTES;
    assert_eq!(fitting(&size, all), None);
    assert_eq!(fitting(&size, all - 1), Some(MARCH + 31 * DAY));
    assert_eq!(fitting(&size, all - 1_001 * load::LOADING_EVENT_BYTES), Some(MARCH + 61 * DAY));
    assert_eq!(fitting(&size, 0), Some(MARCH + 92 * DAY), "behind the newest month");

    let mut words = Vocabulary::new();
    let did = [(10, "visit"), (10, "/pricing"), (20, "order"), (40 * DAY, "visit"), (40 * DAY, "/pricing")];
    let people = vec![person(&mut words, 1, true, &did), person(&mut words, 2, true, &did[..3])];
    let mut now = columns(words, 1, people);
    let next = now.next_month().unwrap();
    assert_eq!(jiff::Timestamp::from_second(next.into()).unwrap().to_string(), "2026-03-01T00:00:00Z");
    now.forget_before(MARCH + 31 * DAY);
    let shorter = view(&now);
    assert_eq!(members(&shorter, PRICING, MARCH + 50 * DAY), [1]);
    assert_eq!(members(&shorter, BUYERS, MARCH + 50 * DAY), [1, 2], "orders stay");
    let visits = r#"{"fact":{"name":"visits","is":{"at_least":2}}}"#;
    assert_eq!(members(&shorter, visits, MARCH + 50 * DAY), [1], "visits stay");
}

#[test]
fn a_file_is_read_back_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut words = Vocabulary::new();
    words.keep_property("plan");
    let properties = serde_json::json!({ "plan": "pro" });
    let record = words.record(properties.as_object().unwrap());
    let mut row = person(&mut words, 1, true, &[(60, "visit"), (60, "/pricing"), (70, "Signed Up"), (90, "order")]);
    row.row.record[2] = record;
    let rows = vec![row, person(&mut words, 9, false, &[(60, "visit")])];
    let mut now = columns(words, 2, rows);
    let changed = person(&mut now.vocabulary.write().unwrap(), 5, true, &[(60, "/other")]);
    now.put(vec![(5, Some(changed))]);
    let about = file::About {
        site_id: 4,
        currency: "EUR".to_owned(),
        selection: Selection { from: Some(7), ..Selection::default() },
        reader: "analysis_x".to_owned(),
        cursor: 1_234,
    };
    file::save(folder.path(), &about, &now).unwrap();
    let (told, read) = file::read(folder.path(), 4).unwrap();
    assert_eq!((told, read.from), (about, Some(7)));
    assert!(view(&now).differences(&view(&read)).is_empty());
    let pro = r#"{"event":{"of":{"what":{"track":"Signed Up"},"with":[{"property":"plan","is":{"is":"PRO"}}]},
        "is":{"count":{"at_least":1}}}}"#;
    assert_eq!(members(&view(&read), pro, MARCH + DAY), [1]);
    assert_eq!(members(&view(&read), PRICING, MARCH + DAY), [1]);
    // Words that come later get numbers of their own.
    let again = read.vocabulary.write().unwrap().track(&"Signed Up".into());
    assert_eq!(again, now.vocabulary.write().unwrap().track(&"Signed Up".into()));
    assert_ne!(again, read.vocabulary.write().unwrap().track(&"New".into()));

    let path = file::path(folder.path(), 4);
    let whole = std::fs::read(&path).unwrap();
    assert!(file::read(folder.path(), 5).is_err(), "another site's");
    for place in [0, 9, 14, 60, whole.len() / 2, whole.len() - 1] {
        let mut broken = whole.clone();
        broken[place] ^= 1;
        std::fs::write(&path, &broken).unwrap();
        assert!(file::read(folder.path(), 4).is_err(), "byte {place}");
    }
    for length in [0, 7, 40, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(file::read(folder.path(), 4).is_err(), "{length} bytes");
    }
}
