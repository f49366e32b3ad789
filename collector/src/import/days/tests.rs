use super::super::preview;
use super::super::reading::{Reading, Skipped};
use super::super::{Batch, Kind, Mapping};
use super::*;
use crate::store::sites::{Bots, BrowserOrders, Site, TagConsent};
use jiff::civil::date;
use std::io::Cursor;
use std::sync::Arc;

fn site() -> Arc<Site> {
    Arc::new(Site {
        site_id: 1,
        name: "shop".into(),
        domains: vec!["shop.example".into()],
        currency: Currency::EUR,
        time_zone: TimeZone::get("Europe/Vienna").unwrap(),
        write_key: String::new(),
        secret_key_hash: Vec::new(),
        tag_consent: TagConsent::Measure,
        browser_orders: BrowserOrders::Auto,
        trusted_orders_seen: false,
        identity_secret: String::new(),
        signed_identify: false,
        plan: Arc::default(),
        bots: Bots::Exclude,
        bot_limit: 50,
    })
}

/// Reads a file; gives its sums and its rejected lines with their reasons.
fn reads(kind: Kind, text: &str, from: Option<&str>, skipped_lines: u64) -> (Days, Vec<(u64, String)>) {
    let mapping = Mapping { from: from.map(str::to_owned), ..Mapping::default() };
    let input = Box::new(Cursor::new(text.as_bytes().to_vec()));
    let skipped = Skipped { lines: skipped_lines };
    let mut reading = Reading::open(&site(), (kind, &mapping), input, skipped).expect("a file");
    let (mut days, mut rejected) = (Days::default(), Vec::new());
    while let Some(batch) = reading.next().expect("a batch") {
        let Batch { days: sums, rejected: lines, events, .. } = batch;
        assert!(events.is_empty());
        rejected.extend(lines.into_iter().map(|line| (line.line, line.reason)));
        if !sums.is_empty() {
            days = sums;
        }
    }
    (days, rejected)
}

/// What a file lacks, in words.
fn lacks(kind: Kind, header: &str, from: Option<&str>) -> String {
    let mapping = Mapping { from: from.map(str::to_owned), ..Mapping::default() };
    let told = preview(&site(), (kind, &mapping), Box::new(Cursor::new(format!("{header}\n").into_bytes())));
    told.expect("a file").missing.join("; ")
}

/// Day, source, campaign, cost in cents, clicks, impressions.
type SpendTold<'a> = (Date, &'a str, &'a str, i64, i64, i64);

fn spend(days: &Days) -> Vec<SpendTold<'_>> {
    let rows = days.spend.iter().map(|((day, source, campaign, _), (_, spent))| {
        (*day, source.as_str(), campaign.as_str(), spent.cost_minor, spent.clicks, spent.impressions)
    });
    rows.collect()
}

const GOOGLE: &str = "Campaign report\n\"November 1, 2025 - November 2, 2025\"\n\
Day,Campaign,Ad group,Currency code,Cost,Clicks,Impr.\n\
2025-11-01,Brand,a,EUR,\"1,200.50\",\"1,010\",\"10,000\"\n\
2025-11-01,Brand,b,EUR,0.25,3, --\n\
2025-11-02,Brand,a,EUR,10.00,1,7\n\
Total: Account, --, --,EUR,1210.75,1014,10007\n";

#[test]
fn finer_lines_of_a_day_and_campaign_are_added_up() {
    let (days, rejected) = reads(Kind::AdSpend, GOOGLE, None, 0);
    let expected = [
        (date(2025, 11, 1), "google", "Brand", 120_075, 1_013, 10_000),
        (date(2025, 11, 2), "google", "Brand", 1_000, 1, 7),
    ];
    assert_eq!(spend(&days), expected);
    assert_eq!(rejected.len(), 1, "the report's own total is no day: {rejected:?}");
    assert_eq!(rejected[0].0, 7, "by the line of the file, titles and all");
}

#[test]
fn an_import_that_goes_on_adds_up_the_whole_file_again() {
    let (whole, _) = reads(Kind::AdSpend, GOOGLE, None, 0);
    let (rest, rejected) = reads(Kind::AdSpend, GOOGLE, None, 3);
    assert_eq!(spend(&rest), spend(&whole));
    assert_eq!(rejected.len(), 1);
    let (end, rejected) = reads(Kind::AdSpend, GOOGLE, None, 4);
    assert_eq!((spend(&end), rejected), (spend(&whole), Vec::new()), "and tells no rejected line twice");
}

#[test]
fn metas_heading_names_the_currency_and_a_line_of_a_period_is_no_day() {
    let text = "Reporting starts,Reporting ends,Campaign name,Amount spent (CHF),Impressions,Link clicks\n\
        2025-11-01,2025-11-01,Autumn,12.5,100,4\n2025-11-01,2025-11-30,Autumn,99,100,4\n";
    let (days, rejected) = reads(Kind::AdSpend, text, None, 0);
    let keys: Vec<_> = days.spend.keys().map(|key| (key.1.as_str(), key.3.code())).collect();
    assert_eq!(keys, [("facebook", "CHF")]);
    assert!(rejected.len() == 1 && rejected[0].1.contains("export by day"), "{rejected:?}");
}

#[test]
fn a_file_says_where_its_advertisements_stood_or_its_owner_does() {
    assert!(lacks(Kind::AdSpend, "Day,Campaign,Cost", None).contains("advertisements stood"));
    assert_eq!(lacks(Kind::AdSpend, "Day,Campaign,Cost", Some("Letter")), "");
    assert_eq!(lacks(Kind::AdSpend, "Day,utm_source,utm_campaign,Spend", None), "");
    let (days, _) = reads(Kind::AdSpend, "Day,Campaign,Cost\n1.11.2025,x,5\n", Some("Letter"), 0);
    assert_eq!(spend(&days)[0].1, "letter", "as links are compared");
}

#[test]
fn positions_are_averaged_by_impressions() {
    let text = "Date,Top queries,Device,Clicks,Impressions,CTR,Position\n\
        2025-11-01,kettle,MOBILE,3,10,30%,2\n2025-11-01,kettle,DESKTOP,1,30,3.33%,4\n\
        2025-11-01,,DESKTOP,1,30,3%,4\n2025-11-01,cup,DESKTOP,many,30,3%,4\n2025-11-01,mug,DESKTOP,1,30,3%,\n";
    let (days, rejected) = reads(Kind::SearchConsole, text, None, 0);
    let rows: Vec<_> = days.searches.iter().map(|(key, (_, searched))| search_row(key, searched)).collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].cut, SearchCut::Query("kettle".into()));
    assert_eq!((rows[0].clicks, rows[0].impressions, rows[0].position), (4, 40, 3.5));
    let lines: Vec<u64> = rejected.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [4, 5, 6], "{rejected:?}");
}

#[test]
fn a_search_export_without_days_or_of_two_cuts_is_refused_in_words() {
    let told = lacks(Kind::SearchConsole, "Top queries,Clicks,Impressions,CTR,Position", None);
    assert!(told.contains("total of a period") && told.contains("Dates.csv"), "{told}");
    let told = lacks(Kind::SearchConsole, "Date,Query,Page,Clicks,Impressions,Position", None);
    assert!(told.contains("query and page"), "{told}");
    assert_eq!(lacks(Kind::SearchConsole, "Date,Clicks,Impressions,CTR,Position", None), "");
}

fn visited(days: &Days) -> Vec<(String, [Option<i64>; 5])> {
    let row = |(key, (_, visited)): (&HistoryKey, &(u64, Visited))| {
        let row = days.history_row(key, visited);
        let what = format!("{} {} {} {}", row.day, row.system, row.dimension, row.value);
        (what.trim_end().to_owned(), [row.visitors, row.visits, row.views, row.bounces, row.visit_seconds])
    };
    days.history.iter().map(row).collect()
}

#[test]
fn googles_remarks_days_and_rates_are_read() {
    let text = "# ----------------------------------------\n# Traffic, 20251101-20251103\n#\n\n\
        Date,Total users,Sessions,Views,Bounce rate,Average session duration\n\
        20251101,\"1,040\",1200,3.600,25,61.5\n20251102,10,20,30,45 %,\n20251103,10,20,30,45,2\n# end\n\
        20251101,1,1,1,0,0\nGrand total,1,1,1,0,0\n";
    let (days, rejected) = reads(Kind::WebHistory, text, None, 0);
    assert_eq!(
        visited(&days),
        [
            (
                "2025-11-01 google-analytics total".to_owned(),
                [Some(1_040), Some(1_200), Some(3_600), Some(300), Some(73_800)]
            ),
            ("2025-11-02 google-analytics total".to_owned(), [Some(10), Some(20), Some(30), Some(9), None]),
            ("2025-11-03 google-analytics total".to_owned(), [Some(10), Some(20), Some(30), Some(9), Some(40)]),
        ]
    );
    let lines: Vec<u64> = rejected.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [10, 11], "a second line of a day, and a total: {rejected:?}");
    let bounces = |rates: [&str; 2]| {
        let lines = format!("20251101,5,1000,{}\n20251102,5,1000,{}\n", rates[0], rates[1]);
        let text = format!("Date,Total users,Sessions,Bounce rate\n{lines}");
        visited(&reads(Kind::WebHistory, &text, None, 0).0).iter().map(|(_, row)| row[3]).collect::<Vec<_>>()
    };
    assert_eq!(bounces(["0.25", "1"]), [Some(250), Some(1_000)]);
    assert_eq!(bounces(["0.8", "45"]), [Some(8), Some(450)], "a file writes all its rates alike");
    let engaged = "Date,Active users,Sessions,Engaged sessions\n20251101,5,10,7\n";
    assert_eq!(visited(&reads(Kind::WebHistory, engaged, None, 0).0)[0].1[3], Some(3));
}

#[test]
fn plausibles_tables_are_told_apart_by_their_headings() {
    let total = "date,visitors,pageviews,bounces,visits,visit_duration\n2025-11-01,5,20,2,6,600\n";
    let expected = ("2025-11-01 plausible total".to_owned(), [Some(5), Some(6), Some(20), Some(2), Some(600)]);
    assert_eq!(visited(&reads(Kind::WebHistory, total, None, 0).0), [expected]);
    let sources = "date,source,referrer,utm_source,pageviews,visitors,visits,visit_duration,bounces\n\
        2025-11-01,Google,google.com,,4,3,3,30,1\n2025-11-01,Google,google.de,,1,1,1,3,0\n2025-11-01,,,,2,2,2,2,2\n";
    let (days, rejected) = reads(Kind::WebHistory, sources, None, 0);
    let rows = visited(&days);
    assert_eq!(rows[0].0, "2025-11-01 plausible source (none)");
    assert_eq!(rows[1], ("2025-11-01 plausible source Google".into(), [Some(4), Some(4), Some(5), Some(1), Some(33)]));
    assert!(rejected.is_empty());
}

#[test]
fn a_tool_that_is_not_shown_is_asked_for_and_single_events_are_refused() {
    assert!(lacks(Kind::WebHistory, "date,views", None).contains("which tool"));
    assert!(lacks(Kind::WebHistory, "date,views", Some("abacus")).contains("abacus"));
    assert_eq!(lacks(Kind::WebHistory, "date,views", Some("Umami")), "");
    let told = lacks(Kind::WebHistory, "website_id,session_id,visit_id,event_id,url_path,created_at", Some("umami"));
    assert!(told.contains("website_event") && !told.contains("no column"), "{told}");
    assert!(lacks(Kind::WebHistory, "date,page,country,visitors,pageviews", None).contains("page and country"));
    assert!(lacks(Kind::WebHistory, "date,colour", Some("ga4")).contains("visitors or visits"));
}

#[test]
fn one_sign_before_three_digits_of_a_count_stands_between_thousands() {
    for (text, number) in [
        ("1.000", Some(1_000.0)),
        ("1,000", Some(1_000.0)),
        ("12.345", Some(12_345.0)),
        ("1.000.000", Some(1_000_000.0)),
        ("1.000,00", Some(1_000.0)),
        ("12.0", Some(12.0)),
        ("0.000", Some(0.0)),
        ("7", Some(7.0)),
        ("1.5", None),
        ("many", None),
    ] {
        assert_eq!(whole(text), number, "{text}");
    }
}

#[test]
fn pages_say_nothing_of_anybody() {
    for (text, kept) in [
        ("https://shop.example/a?email=mia@mail.example", "shop.example/a"),
        ("/a?email=mia@mail.example#x", "/a"),
        ("/reset/mia@mail.example", "/reset/:email"),
        ("/", "/"),
        ("(not set)", "(not set)"),
        ("shop.example/a?id=7", "shop.example/a"),
        ("shop.example/mia@mail.example/a", "shop.example/:email/a"),
        ("", ""),
    ] {
        assert_eq!(page(text), kept, "{text}");
    }
}

#[test]
fn days_are_read_as_exports_write_them() {
    let vienna = TimeZone::get("Europe/Vienna").unwrap();
    for text in ["2025-11-23", "20251123", "23.11.2025", "Nov 23, 2025", "23 November 2025", "2025-11-22T23:30:00Z"] {
        assert_eq!(day(text, &vienna), Some(date(2025, 11, 23)), "{text}");
    }
    for text in ["11/23/2025", "20251301", "0001", "Total", ""] {
        assert_eq!(day(text, &vienna), None, "{text}");
    }
}

#[test]
fn more_than_can_be_held_is_refused_and_what_is_held_stays() {
    let mut days = Days::new(None);
    assert!(days.make_room(KEY_BYTES).is_ok());
    let refused = days.make_room(1).unwrap_err();
    assert!(refused.detail.contains("divide it by days"), "{}", refused.detail);
    assert_eq!(days.key_bytes, KEY_BYTES);
}
