//! `segments match`: who is there twice in a file, without a database.

use serde_json::Value;
use std::fs;
use std::process::Output;
use tests::cluster::Folder;
use tests::server::{command, fails, succeeds};

const FEBRL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../domain/tests/data/febrl1.csv");
const TRUTH: [&str; 4] = ["--truth-column", "rec_id", "--truth-pattern", "rec-([0-9]+)-"];

/// Runs `segments match` where any attempt at a database would fail.
fn matches(arguments: &[&str]) -> Output {
    let mut segments = command();
    segments.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere").arg("match").args(arguments);
    segments.output().expect("segments runs")
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&succeeds(&matches(&[arguments, &["--json"]].concat()))).expect("JSON")
}

#[test]
fn febrl_is_matched_with_an_f1_of_99_percent_by_names_addresses_and_birthdays_alone() {
    let folder = Folder::make();
    let output = folder.path().join("pairs.csv");
    let told = json(&[&["--input", FEBRL, "--output", output.to_str().unwrap()], &TRUTH[..]].concat());
    let fields = told["fields"].as_object().unwrap();
    let columns: Vec<&str> = fields.values().map(|column| column.as_str().unwrap()).collect();
    assert_eq!(fields.len(), 9);
    assert!(!columns.contains(&"soc_sec_id") && !columns.contains(&"rec_id"), "{columns:?}");
    for by in ["pairs", "clusters"] {
        let f1 = told["quality"][by]["f1"].as_f64().unwrap();
        assert!(f1 >= 0.99, "{by}: {f1}");
    }
    let mut pairs = csv::Reader::from_path(&output).unwrap();
    let right = pairs.headers().unwrap().iter().position(|column| column == "is_right").unwrap();
    let pairs: Vec<csv::StringRecord> = pairs.records().map(Result::unwrap).collect();
    assert_eq!(pairs.len() as u64, told["pairs"]["from_0.5"].as_u64().unwrap());
    assert!(pairs.iter().filter(|pair| &pair[right] == "true").count() >= 490);
    assert!(pairs[0][6].contains("date of birth: the same"), "{:?}", &pairs[0][6]);
}

#[test]
fn a_line_that_cannot_be_read_is_told_and_the_others_are_matched() {
    let folder = Folder::make();
    let file = folder.path().join("people.csv");
    let text = b"First Name; Last-Name ;E-Mail;born\n\
        Mia;Harrington;mia@shop.example;1990-02-03\n\
        Robert;Lee\n\
        M\xFCller;Otto;;\n\
        \"Susan;Drake;susan@shop.example;1954-12-30\n\
        mia;HARRINGTON;Mia@Shop.example;03.02.1990\n";
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let told = json(&["--input", file]);
    assert_eq!(told["records"], 2);
    let rejected: Vec<(u64, &str)> = told["rejected"]["first"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["line"].as_u64().unwrap(), line["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(
        rejected,
        [
            (3, "has 2 values, the header has 4"),
            (4, "column \"First Name\" is not valid UTF-8"),
            (5, "has a quote that is not closed"),
        ]
    );
    assert_eq!(told["clusters"]["count"], 1);
    let said = String::from_utf8(matches(&["--input", file]).stderr).unwrap();
    assert!(said.contains("line 3 rejected: has 2 values, the header has 4"), "{said}");
    let told = succeeds(&matches(&["--input", file]));
    assert!(told.contains("lines 2 and 6: "), "{told}");
}

#[test]
fn what_is_wrong_with_a_call_is_told_with_what_would_be_right() {
    let folder = Folder::make();
    let file = folder.path().join("numbers.csv");
    fs::write(&file, "a,b\n1,2\n").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, expected) in [
        (&["--input", file][..], "--map surname=COLUMN"),
        (&["--input", FEBRL, "--map", "shoe=surname"], "the fields are given_name, surname"),
        (&["--input", FEBRL, "--map", "email=mail"], "the file has the columns rec_id"),
        (&["--input", FEBRL, "--threshold", "1.5"], "a probability of at least 0.5"),
        (&["--input", FEBRL, "--truth-column", "who"], "--truth-column who"),
        (&["--input", FEBRL, "--truth-column", "rec_id", "--truth-pattern", "("], "--truth-pattern ("),
        (&["--input", "nowhere.csv"], "cannot open nowhere.csv"),
    ] {
        let said = fails(&matches(arguments));
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
