//! Files of what others count by day: what they come to on the page of acquisition, and that nothing is doubled.

use super::dashboard::{leads, list, owner, reaches};
use super::kinds::imports;
use super::{Shop, fails, fs, segments};
use tests::cluster::Folder;
use tests::web::Owner;
use tests::{SOON, until};

const SPEND: &str = "Campaign report\n\"1 November 2025 - 2 November 2025\"\n\
Day,Campaign,Ad group,Currency code,Cost,Clicks,Impr.\n\
2025-11-01,Brand,a,EUR,\"1,200.50\",10,100\n2025-11-01,brand,b,EUR,1,1,1\n2025-11-01,Brand,b,EUR,0.25,3,50\n\
2025-11-02,Brand,a,EUR,10.00,1,7\nTotal: Account, --, --,EUR,1211.75,15,158\n";
const QUERIES: &str = "Date,Top queries,Clicks,Impressions,CTR,Position\n\
2025-11-01,kettle,3,10,30%,2\n2025-11-02,kettle,1,30,3.33%,4\n2025-11-02,cup,2,4,50%,1\n";
const GOOGLE: &str =
    "# Traffic\n# 20251101-20251102\n\nDate,Total users,Sessions,Views\n20251101,40,50,90\n20251102,4,5,9\n";
const PLAUSIBLE: &str = "date,visitors,pageviews,bounces,visits,visit_duration\n2025-11-03,5,20,2,6,600\n";

/// The files of the page of acquisition, as far as they have something to do with the imports.
fn acquisition(shop: &Shop, owner: &Owner) -> [String; 3] {
    ["unmatched", "queries", "history"].map(|table| {
        let days = "from=2025-11-01&to=2025-11-04";
        owner.reads(&format!("/s/{}/acquisition/{table}.csv?{days}", shop.keys.site_id))
    })
}

#[test]
fn what_others_count_is_added_up_by_day_and_a_second_import_changes_nothing() {
    let shop = Shop::open();
    let owner = owner(&shop);
    let told = [
        ("ad-spend", SPEND, "read 5 stored 3 duplicate 0 rejected 1"),
        ("search-console", QUERIES, "read 3 stored 3 duplicate 0 rejected 0"),
        ("web-history", GOOGLE, "read 2 stored 2 duplicate 0 rejected 0"),
        ("web-history", PLAUSIBLE, "read 1 stored 1 duplicate 0 rejected 0"),
    ];
    for (kind, text, expected) in told {
        assert!(imports(&shop, kind, text, &[]).starts_with(expected), "{kind}");
    }
    let first = acquisition(&shop, &owner);
    let [unmatched, queries, history] = &first;
    assert!(unmatched.contains("\r\ngoogle,") && unmatched.contains(",1211.75,,15,158,"), "added up: {unmatched}");
    assert!(queries.contains("\r\nkettle,4,40,") && queries.contains(",3.5"), "{queries}");
    for row in ["2025-11-01,google-analytics,40,50,90", "2025-11-03,plausible,5,6,20"] {
        assert!(history.contains(row), "{history}");
    }
    for (kind, text, expected) in told {
        let rows = expected.split_whitespace().nth(3).expect("a number");
        let again = imports(&shop, kind, text, &[]);
        assert!(again.contains(&format!("stored 0 duplicate {rows} ")), "{kind}: {again}");
    }
    assert_eq!(acquisition(&shop, &owner), first);
    // A later file of the same days has the last word.
    let told = imports(&shop, "ad-spend", &SPEND.replace("0.25", "0.50"), &[]);
    assert!(told.starts_with("read 5 stored 1 duplicate 2 rejected 1"), "{told}");
    assert!(acquisition(&shop, &owner)[0].contains(",1212.00,"));
    assert_eq!(shop.stored(), 0, "and nobody did anything");
}

#[test]
fn the_dashboard_asks_for_what_a_file_does_not_say_and_counts_what_it_came_to() {
    let shop = Shop::open();
    let owner = owner(&shop);
    let page = owner.reads(&format!("/s/{}/acquisition", shop.keys.site_id));
    assert!(page.contains(&format!("href=\"{}\"", list(&shop))), "an empty page leads to the imports");
    let text = "Day,Campaign,Cost\n2025-11-01,Brand,5\n2025-11-01,Brand,7.5\n2025-11-02,Brand,1\n2025-11-02,,1\n";
    let path = leads(&owner.uploads(&list(&shop), &[("kind", "ad-spend")], "spend.csv", text.as_bytes()));
    assert!(owner.reads(&path).contains("no column says where the advertisements stood"));
    let wrong = [("kind", "ad-spend"), ("from", "Letter"), ("field.cost", "Campaign")];
    assert_eq!(leads(&owner.posts(&format!("{path}/map"), &wrong)), path);
    assert!(owner.reads(&path).contains("Cost: the column holds no number in 3 of 3 lines"));
    let right = [("kind", "ad-spend"), ("from", "Letter"), ("field.cost", "Cost")];
    assert_eq!(leads(&owner.posts(&format!("{path}/map"), &right)), path);
    let page = owner.reads(&path);
    assert!(page.contains("letter, Brand") && page.contains("12.50"), "the sums: {page}");
    leads(&owner.posts(&format!("{path}/start"), &right));
    reaches(&shop, "done");
    assert!(owner.reads(&path).contains("2 stored, 0 known before, 1 rejected"), "{}", owner.reads(&path));
    assert!(acquisition(&shop, &owner)[0].contains("letter,Brand,13.50,"));
    let path = leads(&owner.uploads(&list(&shop), &[("kind", "ad-spend")], "again.csv", text.as_bytes()));
    leads(&owner.posts(&format!("{path}/start"), &right));
    until("the second import", SOON * 3, || {
        (shop.database.number("SELECT count(*) FROM imports WHERE state = 'done'") == 2).then_some(())
    });
    assert!(owner.reads(&path).contains("0 stored, 2 known before, 1 rejected"));
    assert!(acquisition(&shop, &owner)[0].contains("letter,Brand,13.50,"));
}

#[test]
fn a_file_that_cannot_be_told_by_day_is_refused_with_what_to_do() {
    let shop = Shop::open();
    let folder = Folder::make();
    let file = folder.path().join("file.csv");
    let file = file.to_str().expect("a path of text");
    let refused = |kind: &str, text: &str, more: &[&str]| {
        fs::write(file, text).expect("a file");
        fails(&segments(&shop.database, &[&["import", kind, "--site", "shop", file], more].concat()))
    };
    let told = refused("search-console", "Top queries,Clicks,Impressions,CTR,Position\nkettle,1,2,50%,1\n", &[]);
    assert!(told.contains("total of a period") && told.contains("Dates.csv"), "{told}");
    let told = refused("web-history", "website_id,session_id,visit_id,created_at\na,b,c,2025-11-01\n", &[]);
    assert!(told.contains("website_event"), "{told}");
    let told = refused("web-history", "date,views\n2025-11-01,5\n", &["--from", "abacus"]);
    assert!(told.contains("abacus") && told.contains("matomo"), "{told}");
    let told = refused("orders", "email,date,total\n", &["--from", "google"]);
    assert!(told.contains("--from is for"), "{told}");
    let told = refused("ad-spend", "Day,Campaign,Cost\n2025-11-01,Brand,1\n", &["--map", "cost=Price"]);
    assert!(told.contains("Price") && told.contains("Day, Campaign, Cost"), "{told}");
    assert_eq!(shop.database.number("SELECT count(*) FROM ad_spend"), 0);
}
